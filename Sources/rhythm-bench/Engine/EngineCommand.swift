import ArgumentParser
import Foundation

/// Measures the engine with its real store, without a network: starts, steps, memory, recovery.
struct EngineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Measures the engine with SQLite, in process and with local processes.",
        discussion: """
            Every transition is durable before its effect. Each case runs in a process of its own, --runs times in turn \
            with the others (and with DBOS, if it is given); the table shows the medians. Exits with 1 if a bar does \
            not hold.
            """)

    @Flag(help: "Print the figures as JSON.")
    var json = false

    @Flag(help: "A few of everything, once: shows that it works, measures nothing.")
    var quick = false

    @Option(help: "How often each case runs.")
    var runs = 3

    @Option(help: "Only these cases: starts, steps, local, memory, recovery, dbos.")
    var only: [String] = []

    @Option(help: "A directory on the disk to be measured.")
    var scratch = FileManager.default.temporaryDirectory.path

    @Option(help: "The rhythm-supervisor program; by default the one beside this program.")
    var supervisor: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            """
            Measure DBOS beside it: a Python that has it, and a script that, called with 'child URL', prints a line of \
            JSON with workflows_per_s (5 steps) and single_ms (20 steps).
            """, valueName: "python script"))
    var dbos: [String] = []

    func validate() throws {
        guard dbos.isEmpty || dbos.count == 2 else { throw ValidationError("--dbos takes a Python and a script") }
        guard runs > 0 else { throw ValidationError("--runs is at least 1") }
    }

    func run() async throws {
        var measured: [Measurements] = []
        for round in 1...(quick ? 1 : runs) {
            for name in ["starts", "steps", "local", "memory", "recovery", "dbos"] where isWanted(name) {
                note("\(name), run \(round) (load \(String(format: "%.1f", SystemFigures.loadAverage)))")
                let folder = try ScratchFolder(in: scratch)
                defer { folder.remove() }
                measured.append(name == "dbos" ? try measureDBOS(in: folder.path) : try measure(name, in: folder.path))
            }
        }
        var medians = Measurements.medians(of: measured)
        if let ours = medians["flows5_per_s"], let theirs = medians["dbos_flows5_per_s"] {
            medians["dbos_flows5_ratio"] = ours / theirs
        }
        if let ours = medians["alone20_ms"], let theirs = medians["dbos_alone20_ms"] {
            medians["dbos_alone20_ratio"] = theirs / ours
        }
        let table = FigureTable(figures: EngineFigures.all, measured: medians)
        print(json ? try table.json : table.text)
        if !quick, !table.passes { throw ExitCode(1) }
    }

    private func isWanted(_ name: String) -> Bool {
        if !only.isEmpty, !only.contains(name) { return false }
        switch name {
        case "dbos": return !dbos.isEmpty
        case "local":
            if FileManager.default.isExecutableFile(atPath: supervisorPath) { return true }
            note("no local processes: there is no \(supervisorPath); build rhythm-supervisor or give --supervisor")
            return false
        default: return true
        }
    }

    private func measure(_ name: String, in folder: String) throws -> Measurements {
        var arguments = ["--folder", folder, "--supervisor", supervisorPath]
        if quick { arguments += ["--quick", "--stored", "1000", "--active", "100"] }
        if name == "recovery" {
            _ = try ChildProcess.output(of: ChildProcess.ownPath, ["case", "build"] + arguments)
        }
        return try Measurements(
            fromOutput: try ChildProcess.output(of: ChildProcess.ownPath, ["case", name] + arguments))
    }

    private func measureDBOS(in folder: String) throws -> Measurements {
        let output = try ChildProcess.output(
            of: dbos[0], [dbos[1], "child", "sqlite:///\(folder)/dbos.sqlite"],
            environment: quick ? ["WORK": folder, "WORKFLOWS": "5"] : ["WORK": folder])
        let theirs = try Measurements(fromOutput: output)
        var result = Measurements()
        result["dbos_flows5_per_s"] = theirs["workflows_per_s"]
        result["dbos_alone20_ms"] = theirs["single_ms"]
        return result
    }

    private var supervisorPath: String {
        supervisor ?? URL(fileURLWithPath: ChildProcess.ownPath).deletingLastPathComponent().path + "/rhythm-supervisor"
    }

    private func note(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
