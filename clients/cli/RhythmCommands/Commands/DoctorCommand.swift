import ArgumentParser
import RhythmClient
import RhythmCore

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what is wrong with the server, its workers and their settings.",
        discussion: """
            EXAMPLE:
              rhythm doctor

            Asks the server, which asks its store and whatever runs its steps: the tasks directory and the disk, or \
            broker, result backend, queues and every worker. Each finding says what was seen, what happens because of \
            it, and what to change. The worst comes first: error, warning, notice, ok.

            With --json the 'code' of a finding is a stable word. Exit status 1 if there is an error among them.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let findings = try await client.diagnose()
        let terminal = Terminal.standard
        if server.json {
            terminal.line(DoctorView.json(findings).prettyText)
        } else {
            let columns = terminal.isInteractive ? terminal.size.columns : 100
            terminal.out(DoctorView.text(findings, columns: columns, style: terminal.style))
        }
        if findings.contains(where: { $0.severity == .error }) { throw CommandFailure(.workflowFailed) }
    }
}
