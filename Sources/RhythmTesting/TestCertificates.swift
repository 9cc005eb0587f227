import Foundation

/// A certificate authority for tests, made on the spot with the openssl program: nothing that expires is kept anywhere.
package struct TestCertificates: Sendable {
    /// Files in PEM.
    package struct Identity: Sendable, Hashable {
        package let certificate: String
        package let key: String
    }

    /// What a certificate is good for.
    package enum Use: String, Sendable {
        /// For `localhost` and 127.0.0.1.
        case server
        case client
        /// For another host than this one.
        case elsewhere
    }

    package struct Failure: Error { package let output: String }

    private static let configuration = """
        [req]
        distinguished_name = name
        [name]
        [authority]
        basicConstraints = critical, CA:TRUE
        keyUsage = critical, keyCertSign, cRLSign
        subjectKeyIdentifier = hash
        [server]
        basicConstraints = CA:FALSE
        subjectAltName = DNS:localhost, IP:127.0.0.1
        extendedKeyUsage = serverAuth
        [client]
        basicConstraints = CA:FALSE
        extendedKeyUsage = clientAuth
        [elsewhere]
        basicConstraints = CA:FALSE
        subjectAltName = DNS:elsewhere.example, IP:192.0.2.1
        extendedKeyUsage = serverAuth
        """

    private let folder: String
    private let name: String
    /// The authority's certificate.
    package var ca: String { "\(folder)/\(name).pem" }

    /// Makes an authority whose files begin with `name`.
    package init(in folder: String, name: String = "ca") async throws {
        self.folder = folder
        self.name = name
        try Data((Self.configuration + "\n").utf8).write(to: URL(fileURLWithPath: folder + "/openssl.cnf"))
        try await Self.run(
            folder, request(name) + ["-subj", "/CN=\(name)", "-extensions", "authority"])
    }

    /// Makes a certificate and its key. Its subject is `CN=NAME,O=Example`.
    package func issue(_ file: String, for use: Use) async throws -> Identity {
        try await Self.run(
            folder,
            request(file) + [
                "-subj", "/O=Example/CN=\(file)", "-extensions", use.rawValue, "-CA", ca, "-CAkey",
                "\(folder)/\(name).key",
            ])
        return Identity(certificate: "\(folder)/\(file).pem", key: "\(folder)/\(file).key")
    }

    private func request(_ file: String) -> [String] {
        [
            "req", "-x509", "-config", folder + "/openssl.cnf", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", "\(folder)/\(file).key", "-out",
            "\(folder)/\(file).pem",
        ]
    }

    /// Runs the openssl program.
    ///
    /// - Throws: what it said, unless it ended well.
    package static func run(_ folder: String, _ arguments: [String]) async throws {
        let output = folder + "/openssl.log"
        let child = try Processes.Child("/usr/bin/openssl", arguments, environment: [:], output: output)
        let end = try await child.end(within: 30)
        guard end == .exited(0) else {
            child.signal(SIGKILL)
            throw Failure(output: (try? String(contentsOfFile: output, encoding: .utf8)) ?? "")
        }
    }
}
