import Foundation
import RhythmTesting
import Testing

/// Addresses of broker and database, seen from outside: what cannot be used ends the program with a sentence, never with a
/// crash, and nothing of a secret is ever written anywhere.
@Suite(.timeLimit(.minutes(3))) struct AddressSecretTests {
    private struct End {
        var status: Processes.Child.End?
        var text: String
    }

    /// Runs rhythmd until it ends, or for half a second after it has said that it works or waits.
    private func run(_ place: TestPlace, _ arguments: [String], environment: [String: String] = [:]) async throws -> End
    {
        let output = "\(place.path)/\(UUID()).log"
        let child = try ServerProcess.run(
            place, ["--data", place.data, "--listen", "unix:\(place.path)/s", "--log-level", "debug"] + arguments,
            environment: environment, output: output)
        let begun = ContinuousClock.now
        var status: Processes.Child.End?
        while status == nil, begun.duration(to: .now) < .seconds(8) {
            let text = place.text(output) ?? ""
            let works = text.contains("is ready") || text.contains("the store is away")
            status = try await child.end(within: works ? 0.5 : 0.1)
            if works { break }
        }
        if status == nil {
            child.signal(SIGTERM)
            status = try await child.end(within: 20)
        }
        return End(status: status, text: place.text(output) ?? "")
    }

    /// Each as flag, variable or key of the file. The seed is in the message of a failure; `RHYTHM_ADDRESS_SEED` brings it back.
    @Test(.showsServerLog) func brokenAddressesGiveNothingAway() async throws {
        try await TestPlace.with { place in
            let wanted = ProcessInfo.processInfo.environment["RHYTHM_ADDRESS_SEED"].flatMap { UInt64($0) }
            let seed = wanted ?? .random(in: 0 ... .max)
            print("broken addresses of RHYTHM_ADDRESS_SEED=\(seed)")
            var broken = BrokenAddresses(seed: seed)
            var endedByThemselves = 0
            for round in 0..<12 {
                let broker = broken.next(
                    schemes: ["amqp", "amqps"], options: ["heartbeat", "verify", "cacertfile", "unheardOf"])
                let database = broken.next(
                    schemes: ["mongodb"], options: ["tls", "authMechanism", "authMechanismProperties", "tlsCAFile"])
                let end: End
                switch round % 3 {
                case 0: end = try await run(place, ["--broker", broker, "--results", "mongodb://127.0.0.1:1/db"])
                case 1:
                    end = try await run(
                        place, [],
                        environment: ["RHYTHM_BROKER": "amqp://127.0.0.1:1", "RHYTHM_RESULTS": database])
                default:
                    try place.write("settings.yaml", "broker: \(broker)\nstore: \(database)\n")
                    end = try await run(place, ["--config", "\(place.path)/settings.yaml"])
                }
                #expect(!end.text.contains(BrokenAddresses.secret), "seed \(seed), round \(round): \(end.text)")
                // It was told to end before it could listen to that.
                if end.status == .signaled(SIGTERM) { continue }
                guard case .exited(let code)? = end.status else {
                    Issue.record("seed \(seed), round \(round): \(String(describing: end.status))")
                    continue
                }
                #expect((0...2).contains(code), "seed \(seed), round \(round)")
                if code > 0 { endedByThemselves += 1 }
            }
            // Else nothing was tested: no address was looked at before the time was over.
            #expect(endedByThemselves >= 3, "seed \(seed)")
        }
    }

    /// The driver would crash with each of them as soon as it connects.
    @Test(
        .showsServerLog,
        arguments: [
            "mongodb://user@127.0.0.1:1/db", "mongodb://127.0.0.1:1/db?authMechanism=MONGODB-X509",
            "mongodb://127.0.0.1:1/db?authMechanism=MONGODB-X509&tls=true",
            "mongodb://127.0.0.1:1/db?authMechanism=PLAIN",
            "mongodb://127.0.0.1:1/db?authMechanism=MONGODB-X509&tls=true&tlsCertificateKeyFile=/nonexistent.pem",
            "mongodb://127.0.0.1:1/db?authMechanism=SCRAM-SHA-256",
        ])
    func whatTheDriverDoesNotSurviveIsRefused(_ address: String) async throws {
        try await TestPlace.with { place in
            for options in [["--store", address], ["--broker", "amqp://127.0.0.1:1/", "--results", address]] {
                let end = try await run(place, options)
                #expect(end.status == .exited(2) || end.status == .exited(1), "\(options): \(end.text)")
                let lines = end.text.split(separator: "\n").filter { $0.hasPrefix("rhythmd: ") }
                #expect(lines.count == 1, "\(end.text)")
            }
        }
    }
}
