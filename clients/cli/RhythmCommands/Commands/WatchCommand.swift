import ArgumentParser
import RhythmClient
import RhythmCore

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Watch workflows as they go on.",
        discussion: """
            EXAMPLE:
              rhythm watch 36b598c1 --until-done
              rhythm watch --app-id archive

            Without ids, those that the options mean are watched, the ones that start
            later included; without options, all that are active. On a terminal each
            workflow is one line that changes; else every change is a line.
            Exit status 1 if one of them ended in FAILURE or REVOKED.
            """)

    @Argument(help: "Workflows, or the beginnings of their ids.")
    var ids: [String] = []

    @OptionGroup var filters: FilterOptions

    @Flag(help: "End when all of them are done.")
    var untilDone = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        if !ids.isEmpty, !filters.isEmpty { throw ValidationError("Give ids or a filter, not both.") }
    }

    func run() async throws {
        let client = try server.client()
        let options = RhythmClient.WatchOptions(untilDone: untilDone)
        var targets: [WorkflowID] = []
        for id in ids { targets.append(try await client.workflow(id)) }
        var filter = try filters.filter()
        if filters.isEmpty { filter.statuses = StatusGroup.active.members }
        let updates = targets.isEmpty ? client.watch(filter, options: options) : client.watch(targets, options: options)
        let again = targets.map { Phrases.short($0) }.joined(separator: " ")
        let watcher = Watcher(
            client: client, json: server.json, hint: again.isEmpty ? "rhythm watch" : "rhythm watch \(again)")
        try await watcher.run(updates)
    }
}
