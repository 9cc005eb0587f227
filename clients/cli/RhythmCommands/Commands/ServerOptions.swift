import ArgumentParser
import Foundation
import RhythmClient
import RhythmCore

/// Where the server is and how to talk to it; part of every command that asks one.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Where the server is: HOST:PORT, tls://HOST:PORT or unix:PATH. Several, with commas or by repeating the \
            option, are servers of one store: where one is away the next is asked. (default: RHYTHM_SERVER, else \
            \(RhythmClient.standardEndpoint))
            """,
            valueName: "address"))
    var server: [String] = []

    @Flag(help: "HOST:PORT means tls://HOST:PORT; so do the next three options.")
    var tls = false

    @Option(
        help: ArgumentHelp(
            "Trust the servers of this CA, a PEM file. (default: RHYTHM_CA, else the system's)", valueName: "file"))
    var ca: String?

    @Option(
        help: ArgumentHelp("Show this certificate, a PEM file. (default: RHYTHM_CERT)", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The key of the certificate, a PEM file. (default: RHYTHM_KEY)", valueName: "file"))
    var key: String?

    @Option(
        help: ArgumentHelp(
            "Show the token in this file. (default: RHYTHM_TOKEN, else RHYTHM_TOKEN_FILE)", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("How long to wait for an answer, such as 5s or 2m.", valueName: "duration"))
    var timeout: DurationArgument = DurationArgument(.seconds(30))

    @Flag(help: "Print JSON for programs.")
    var json = false

    /// A client. It does not wait for a server that is not there: whoever types wants to know at once.
    func client() throws -> RhythmClient {
        var options = RhythmClient.Options()
        options.clientName = "rhythm"
        options.token = try token()
        options.tls = tlsOptions()
        options.timeout = timeout.duration
        options.connectTimeout = min(.seconds(5), timeout.duration)
        options.patience = .zero
        let given = server.isEmpty ? nil : server.joined(separator: ",")
        let endpoint = given ?? Terminal.environment("RHYTHM_SERVER") ?? RhythmClient.standardEndpoint
        return try RhythmClient(endpoint: endpoint, options: options)
    }

    private func token() throws(CommandFailure) -> String {
        if tokenFile == nil, let token = Terminal.environment("RHYTHM_TOKEN") { return token }
        guard let path = tokenFile ?? Terminal.environment("RHYTHM_TOKEN_FILE") else { return "" }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure(.usage, "cannot read the token file \(path)", advice: "It holds one line, the token.")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func tlsOptions() -> TLSOptions? {
        let options = TLSOptions(
            caFile: ca ?? Terminal.environment("RHYTHM_CA"),
            certificateFile: cert ?? Terminal.environment("RHYTHM_CERT"),
            keyFile: key ?? Terminal.environment("RHYTHM_KEY"))
        return tls || options != TLSOptions() ? options : nil
    }
}

/// A duration on the command line.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let duration = Duration(parsing: argument), duration > .zero else { return nil }
        self.duration = duration
    }

    var defaultValueDescription: String { Phrases.duration(duration) }
}

extension RhythmClient {
    /// The workflow that an argument means: its id, or an unambiguous beginning of it.
    func workflow(_ argument: String) async throws -> WorkflowID {
        let shown = 10
        // A whole UUID needs no question; whether it exists shows soon enough.
        if Phrases.short(WorkflowID(argument)) != argument { return WorkflowID(argument) }
        guard !argument.isEmpty else { throw CommandFailure(.usage, "an empty id", advice: "See 'rhythm list'.") }
        let found = try await resolve(prefix: argument, limit: shown + 1)
        if found.contains(WorkflowID(argument)) { return WorkflowID(argument) }
        if let only = found.first, found.count == 1 { return only }
        guard !found.isEmpty else {
            throw CommandFailure(
                .notFound, "no workflow has an id that begins with '\(argument)'",
                advice: "'rhythm list' shows the workflows that exist.")
        }
        let candidates = found.prefix(shown).map { "\n          \($0)" }.joined()
        let rest = found.count > shown ? "\n          ..." : ""
        throw CommandFailure(
            .usage, "'\(argument)' is the beginning of several ids:\(candidates)\(rest)",
            advice: "Give more of the id.")
    }
}

/// `KEY=VALUE` on the command line.
struct LabelArgument: ExpressibleByArgument {
    let key: String
    let value: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else { return nil }
        key = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }
}

/// JSON on the command line.
struct JSONArgument: ExpressibleByArgument {
    let json: JSON

    init?(argument: String) {
        guard let json = try? JSON(parsing: argument) else { return nil }
        self.json = json
    }
}

/// Which workflows are meant; part of the commands that take a filter.
struct FilterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Only these: PENDING, STARTED, SUCCESS, FAILURE, REVOKED, or the groups ACTIVE, DONE, EXCEPTION; \
            several with commas.
            """,
            valueName: "status"))
    var status: [String] = []

    @Option(help: ArgumentHelp("Only of this application.", valueName: "app"))
    var appID: String?

    @Option(help: ArgumentHelp("Only of this name.", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("Only with this label; may be given several times.", valueName: "key=value"))
    var label: [LabelArgument] = []

    var isEmpty: Bool { status.isEmpty && appID == nil && name == nil && label.isEmpty }

    func filter() throws -> WorkflowFilter {
        var statuses: Set<WorkflowStatus> = []
        for word in status.flatMap({ $0.split(separator: ",") }) {
            guard let found = StatusGroup.statuses(named: String(word)) else {
                throw CommandFailure(
                    .usage, "'\(word)' is no status",
                    advice: "Use PENDING, STARTED, SUCCESS, FAILURE, REVOKED, or ACTIVE, DONE, EXCEPTION.")
            }
            statuses.formUnion(found)
        }
        let labels = Dictionary(label.map { ($0.key, $0.value) }) { $1 }
        return WorkflowFilter(statuses: statuses, appID: appID, name: name, labels: labels)
    }
}
