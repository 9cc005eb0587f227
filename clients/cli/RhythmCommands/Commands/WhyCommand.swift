import ArgumentParser
import RhythmClient
import RhythmCore

struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say in a sentence why a workflow does not move.",
        discussion: """
            EXAMPLE:
              rhythm why 36b598c1

            With --json the 'reason' is one of a few stable words: succeeded, failed, revoked, paused, cancelled, \
            stopping, delayed, waiting, queued, dispatching, running, retrying.
            """)

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let (workflow, follower, staleness) = try await client.statusWithFollower(
            try await client.workflow(id), omitResults: true)
        let explanation = Explanation(workflow, now: Terminal.now())
        let terminal = Terminal.standard
        if server.json {
            terminal.line(
                explanation.json(of: workflow).adding(follower).adding(staleness: staleness).prettyText)
        } else {
            terminal.line(explanation.text)
            if let trouble = follower.flatMap({ FollowerView.trouble($0) }) { terminal.line(trouble) }
            if let staleness { terminal.line("But " + FollowerView.stale(staleness) + ".") }
            if let next = explanation.next { terminal.line("Next: \(next)") }
        }
    }
}
