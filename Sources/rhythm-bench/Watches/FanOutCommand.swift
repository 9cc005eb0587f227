import ArgumentParser
import Foundation
import RhythmCore
import RhythmWire

/// Measures workflows that many watch.
struct FanOutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "Measures workflows that many watch, without and with some that read nothing.",
        discussion: """
            Every watch must be told every transition once, and those that are looked at whole the last progress; the \
            run fails otherwise. Those that read nothing do so until all workflows are over, and then get all of it.

            Examples:
              rhythm-bench fanout --steps 20 --reports 5 --pause 100000 --checked 100
                  one update in 100 ms: how long until the last watch of each connection has it; to look at all \
            1,000 whole would take this program longer than the server takes to send them
              rhythm-bench fanout --watches 10000 --connections 100 --steps 1000 --reports 36 --checked 100
                  an hour's worth (36,000 reports at 10 a second, 3,000 transitions) at full speed
              rhythm-bench fanout --workflows 100 --watches 10000 --connections 100 --steps 10 --reports 10 \
            --pause 100000 --checked 100
                  100 workflows that report 10 times a second each, with 100 watches each
            """)

    @Flag(help: "Print the figures as JSON.")
    var json = false

    @Option(help: "How many workflows; the watches are dealt out among them.")
    var workflows = 1

    @Option(help: "How many watches.")
    var watches = 1000

    @Option(help: "On how many connections.")
    var connections = 10

    @Option(help: "The share of connections that read nothing in the second run.")
    var stalled = 0.1

    @Option(help: "Steps of the workflow; each makes three transitions.")
    var steps = 100

    @Option(help: "Progress reports of each step.")
    var reports = 10

    @Option(help: "Microseconds after each report; 0 for as fast as possible.")
    var pause = 0

    @Option(help: "Look at one watch in so many whole, and of the others only count what comes.")
    var checked = 1

    func validate() throws {
        guard (1...1000).contains(steps), connections >= 2, watches >= connections,
            (1...1000).contains(workflows), watches >= workflows, checked >= 1, reports >= 0,
            pause >= 0, (0...0.9).contains(stalled)
        else { throw ValidationError("that makes no sense; see --help") }
    }

    func run() async throws {
        SystemFigures.raiseDescriptorLimit()
        var measured = Measurements()
        var fanOut = FanOut(
            workflows: workflows, watches: watches, connections: connections, stalled: 0, steps: steps,
            reports: reports, pause: pause,
            checkedShare: checked)
        let number = stalled > 0 ? max(1, Int(Double(connections) * stalled)) : 0
        for (prefix, stalled) in [("all_read_", 0), ("some_stalled_", number)]
        where prefix == "all_read_" || stalled > 0 {
            let folder = try ScratchFolder(in: FileManager.default.temporaryDirectory.path)
            defer { folder.remove() }
            let server = try ServerProcess(folder: folder.path)
            defer { server.stop() }
            fanOut.stalled = stalled
            measured.merge(try fanOut.run(on: server, prefix: prefix))
        }
        let figures = Self.figures("all_read_", "all read") + Self.figures("some_stalled_", "\(number) stalled")
        let table = FigureTable(figures: figures, measured: measured)
        print(json ? try table.json : table.text)
    }

    private static func figures(_ prefix: String, _ name: String) -> [Figure] {
        [
            Figure(prefix + "transitions", "\(name): transitions that each watch was told", ""),
            Figure(prefix + "seconds", "  from the start to the last frame", "s"),
            Figure(prefix + "frames_per_s", "  frames read", "1/s"),
            Figure(prefix + "cpu_us", "  server's processor time a frame", "us"),
            Figure(prefix + "each_p50_us", "  until an update is read, p50", "us"),
            Figure(prefix + "each_p99_us", "  until an update is read, p99", "us"),
            Figure(prefix + "last_progress_p50_us", "  until the last watch has read a progress, p50", "us"),
            Figure(prefix + "last_progress_p99_us", "  the same, p99", "us"),
            Figure(prefix + "last_transition_p50_us", "  until the last watch has read a transition, p50", "us"),
            Figure(prefix + "last_transition_p99_us", "  the same, p99", "us"),
            Figure(prefix + "mib_before", "  server's memory before", "MiB"),
            Figure(prefix + "mib_watched", "  with the watches", "MiB"),
            Figure(prefix + "mib_peak", "  the most while it ran", "MiB"),
            Figure(prefix + "mib_after", "  after the last frame", "MiB"),
        ]
    }
}
