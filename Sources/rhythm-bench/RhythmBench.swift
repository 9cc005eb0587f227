import ArgumentParser

/// Measures Rhythm against the figures that it promises, and beside its peers.
@main
struct RhythmBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rhythm-bench",
        abstract: "Measures Rhythm on this machine and compares the figures with its bars.",
        discussion: """
            Build it with optimisation (swift build -c release). Timings differ by tens of percent from run to run: \
            compare figures of one call only, and leave the machine alone meanwhile.
            """,
        subcommands: [
            EngineCommand.self, RPCCommand.self, IdleCommand.self, FanOutCommand.self, CaseCommand.self,
            LoadCommand.self,
        ])
}
