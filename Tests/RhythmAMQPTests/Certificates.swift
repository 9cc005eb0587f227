import Glibc
import RhythmTesting

/// Certificates made on the spot by `openssl`: they are valid for a day.
struct Certificates {
    let server: RabbitMQServer.TLS
    /// Of somebody who signed nothing.
    let strangers: String

    static let shared = Result { try Certificates() }

    private init() throws {
        let folder = try ProcessGuard.shared.get().makeFolder("certificates")
        for name in ["server", "strangers"] {
            let child = try Processes.Child(
                "/usr/bin/openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                    "\(folder)/\(name)-key.pem", "-out", "\(folder)/\(name).pem",
                ], environment: ["PATH": "/usr/bin"], output: folder + "/openssl.log")
            var end: Processes.Child.End?
            while end == nil {
                end = child.poll()
                usleep(2000)
            }
            guard end == .exited(0) else { throw Processes.CannotStart(description: "openssl: see \(folder)") }
        }
        server = RabbitMQServer.TLS(
            authorities: folder + "/server.pem", certificate: folder + "/server.pem", key: folder + "/server-key.pem")
        strangers = folder + "/strangers.pem"
    }
}
