import Foundation
import RhythmTesting
import Testing

/// One broker and one database for all combinations; each has a virtual host and databases of its own there.
final class MatrixWorld: Sendable {
    let broker: RabbitMQServer
    let mongo: MongoServer

    private static let made = Task { try await MatrixWorld() }

    static var shared: MatrixWorld {
        get async throws { try await made.value }
    }

    private init() async throws {
        async let broker = RabbitMQServer()
        mongo = try MongoServer(.standalone)
        self.broker = try await broker
    }

    /// Makes virtual hosts, at once: each call of the broker's tool starts a virtual machine.
    func makeHosts(_ names: [String]) async throws {
        let commands = names.map { name in
            """
            rabbit_vhost:add(<<"\(name)">>, <<"guest">>),
            rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"\(name)">>, <<".*">>, <<".*">>, <<".*">>,
                <<"guest">>)
            """
        }
        try await broker.control(["eval", commands.joined(separator: ",\n") + "."])
    }

    func brokerAddress(_ host: String) -> String { "amqp://guest:guest@127.0.0.1:\(broker.port)/\(host)" }
}

/// What was right in a combination, and what was not.
struct MatrixOutcome: Sendable {
    let combination: Combination
    /// The parts of the story that went as they should.
    var right: [String] = []
    /// What went wrong, in sentences.
    var wrong: [String] = []
    /// What Celery repeated, with the reasons.
    var explained: [String] = []
    var seconds = 0.0

    var isRight: Bool { wrong.isEmpty }

    var text: String {
        let head = "#\(combination.number) \(isRight ? "right" : "WRONG") \(Int(seconds)) s  \(combination)"
        let lines = ["right: " + right.joined(separator: ", ")] + wrong.map { "WRONG: \($0)" }
        return ([head] + (lines + explained.map { "Celery's: \($0)" }).map { "      \($0)" }).joined(separator: "\n")
    }
}
