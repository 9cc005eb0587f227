import ArgumentParser
import RhythmClient
import RhythmCore

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how a workflow is.",
        discussion: """
            EXAMPLE:
              rhythm status 36b598c1

            Exit status 1 if it failed, was paused or cancelled.
            """)

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @Flag(help: "With --json: also the attempts before the last one of each step.")
    var allAttempts = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try await client.workflow(id)
        let (workflow, follower, staleness) = try await client.statusWithFollower(
            id, previousAttempts: allAttempts, omitResults: !server.json)
        let terminal = Terminal.standard
        if server.json {
            let json = workflow.embellished(previousTaskRuns: allAttempts)
            terminal.line(json.adding(follower).adding(staleness: staleness).prettyText)
        } else {
            let view = StatusView(
                workflow, follower: follower, staleness: staleness, now: Terminal.now(), style: terminal.style)
            terminal.out(view.render())
        }
        let status = ExitStatus(workflow.status)
        if status != .done { throw CommandFailure(status) }
    }
}

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List workflows, the newest first.",
        discussion: """
            EXAMPLE:
              rhythm list --status EXCEPTION --since 2h --label year=2026
            """)

    @OptionGroup var filters: FilterOptions

    @Option(help: ArgumentHelp("Only this id; may be given several times.", valueName: "id"))
    var id: [String] = []

    @Option(help: ArgumentHelp("Created since: 2h (ago), 2026-01-02 or 2026-01-02T03:04:05Z.", valueName: "time"))
    var since: TimeArgument?

    @Option(help: ArgumentHelp("Created before that time.", valueName: "time"))
    var until: TimeArgument?

    @Option(help: ArgumentHelp("How many at most (1 to 1000).", valueName: "n"))
    var limit = 50

    @Option(help: "Sort by created_at or updated_at.")
    var sort: SortArgument = .created_at

    @Flag(help: "The oldest first.")
    var asc = false

    @Flag(help: "All pages.")
    var all = false

    @Option(help: ArgumentHelp("Go on where a page ended.", valueName: "token"))
    var cursor: String?

    @Flag(help: "Only how many there are of each status.")
    var counts = false

    @OptionGroup var server: ServerOptions

    /// What a list can be sorted by.
    enum SortArgument: String, ExpressibleByArgument, CaseIterable {
        case created_at, updated_at
    }

    func validate() throws {
        guard (1...ListQuery.maximumLimit).contains(limit) else {
            throw ValidationError("--limit is between 1 and \(ListQuery.maximumLimit).")
        }
        if let cursor, ListCursor(token: cursor) == nil { throw ValidationError("--cursor is what a list printed.") }
    }

    func run() async throws {
        let client = try server.client()
        let now = Terminal.now()
        var query = ListQuery(
            filter: try filters.filter(), sort: sort == .created_at ? .createdAt : .updatedAt, ascending: asc,
            limit: all ? ListQuery.maximumLimit : limit, cursor: cursor.flatMap { ListCursor(token: $0) })
        query.filter.createdFrom = since?.time(now: now)
        query.filter.createdBefore = until?.time(now: now)
        if !id.isEmpty { query.filter.ids = id.map { WorkflowID($0) } }
        if counts { return printCounts(try await client.counts(query.filter)) }
        var page = try await client.list(query)
        while all, let next = page.next {
            query.cursor = next
            let more = try await client.list(query)
            page = ListPage(rows: page.rows + more.rows, next: more.next)
        }
        printPage(page, now: now)
    }

    private func printPage(_ page: ListPage, now: Timestamp) {
        let terminal = Terminal.standard
        if server.json {
            return terminal.line(
                JSONValue.object([
                    .init("workflows", .array(page.rows.map(\.json))),
                    .init("next_cursor", .optional(page.next?.token)),
                ]).prettyText)
        }
        terminal.out(ListView.table(page.rows, now: now, style: terminal.style))
        if let next = page.next {
            terminal.err("There are more: --all, or go on with --cursor '\(next.token)'\n")
        }
    }

    private func printCounts(_ counts: [WorkflowStatus: Int]) {
        let terminal = Terminal.standard
        guard server.json else { return terminal.out(ListView.counts(counts, style: terminal.style)) }
        let members = WorkflowStatus.allCases.map { JSONValue.Member($0.rawValue, .integer(counts[$0] ?? 0)) }
        terminal.line(
            JSONValue.object([
                .init("counts", .object(members)), .init("total", .integer(counts.values.reduce(0, +))),
            ]).prettyText)
    }
}

/// A point in time on the command line: how long ago, or a date.
struct TimeArgument: ExpressibleByArgument {
    private enum Form {
        case ago(Duration)
        case at(Timestamp)
    }

    private let form: Form

    init?(argument: String) {
        if let time = Timestamp(iso8601: argument) {
            form = .at(time)
        } else if let ago = Duration(parsing: argument) {
            form = .ago(ago)
        } else {
            return nil
        }
    }

    func time(now: Timestamp) -> Timestamp {
        switch form {
        case .ago(let duration): Timestamp(microseconds: now.microseconds - duration.wholeMicroseconds)
        case .at(let time): time
        }
    }
}
