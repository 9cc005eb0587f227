import ArgumentParser
import RhythmClient
import RhythmCore

struct AdoptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt",
        abstract: "Mend workflows of the Python library that got stuck.",
        discussion: """
            EXAMPLE:
              rhythm adopt --all --dry-run
              rhythm adopt 36b598c1 --args '["batch-8"]'

            A workflow that the library 'sca-rhythm' started is driven by its workers. When
            one of them dies at the wrong moment it stays where it is for ever. Adopting
            it finds out what went wrong, makes it a workflow of this server and lets it
            go on. What still moves is left alone, and the answer says why.

            Exit status 5 if a workflow that was named was refused.
            """)

    @Argument(help: ArgumentHelp("The workflows, or the beginnings of their ids.", valueName: "id"))
    var ids: [String] = []

    @Flag(help: "All that have not succeeded.")
    var all = false

    @Flag(help: "Only say what would be done.")
    var dryRun = false

    @Flag(help: "Also if it may still move. A running step is stopped first, and run again.")
    var force = false

    @Option(help: ArgumentHelp("The arguments of a step that was never sent, a JSON array.", valueName: "json"))
    var args: JSONArgument?

    @Option(help: ArgumentHelp("What changed less than this ago still moves.", valueName: "duration"))
    var quietFor: QuietArgument = QuietArgument(duration: AdoptionRequest.defaultQuietFor)

    @OptionGroup var server: ServerOptions

    /// A duration that may be zero.
    struct QuietArgument: ExpressibleByArgument {
        let duration: Duration

        init(duration: Duration) { self.duration = duration }

        init?(argument: String) {
            guard let duration = Duration(parsing: argument), duration >= .zero else { return nil }
            self.duration = duration
        }

        var defaultValueDescription: String { Phrases.duration(duration) }
    }

    func validate() throws {
        guard all != ids.isEmpty else { return }
        throw ValidationError(all ? "give ids or --all, not both" : "name workflows, or give --all")
    }

    func run() async throws {
        let client = try server.client()
        var request = AdoptionRequest(
            filter: all ? WorkflowFilter() : nil, dryRun: dryRun, force: force, args: args?.json,
            quietFor: quietFor.duration)
        for id in ids { request.ids.append(try await client.workflow(id)) }
        let reply = try await client.adopt(request)
        let terminal = Terminal.standard
        if server.json {
            terminal.line(AdoptionView(reply).json.prettyText)
        } else {
            terminal.out(AdoptionView(reply).text)
        }
        if !all, reply.outcomes.contains(where: { $0.kind == .refused }) { throw CommandFailure(.refused) }
    }
}

/// What became of workflows that were to be adopted, for people or programs.
struct AdoptionView {
    private let reply: AdoptionReply

    init(_ reply: AdoptionReply) { self.reply = reply }

    var text: String {
        guard !reply.outcomes.isEmpty else { return "There is nothing to adopt.\n" }
        var text = ""
        for outcome in reply.outcomes {
            text += "\(Phrases.short(outcome.workflowID))  \(Self.word(outcome.kind))"
            if !outcome.defect.isEmpty { text += ": \(outcome.defect.printable)" }
            text += "\n          \(outcome.detail.printable)\n"
        }
        if reply.hasMore { text += "There are more; run it again\n" }
        return text
    }

    private static func word(_ kind: AdoptionOutcome.Kind) -> String {
        switch kind {
        case .adopted: "adopted"
        case .wouldAdopt: "would be adopted"
        case .notStuck: "not stuck"
        case .refused: "refused"
        }
    }

    var json: JSONValue {
        .object([
            .init(
                "workflows",
                .array(
                    reply.outcomes.map { outcome in
                        .object([
                            .init("id", .string(outcome.workflowID.rawValue)),
                            .init("outcome", .string(outcome.kind.rawValue)),
                            .init("reason", .string(outcome.reason)), .init("defect", .string(outcome.defect)),
                            .init("detail", .string(outcome.detail)),
                        ])
                    })), .init("more", .bool(reply.hasMore)),
        ])
    }
}
