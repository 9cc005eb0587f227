import ArgumentParser
import Glibc

/// One case, once, in this process; prints its values as a line of JSON. Cases run in processes of their own, so that
/// no case inherits the memory, the caches or the threads of another.
struct CaseCommand: AsyncParsableCommand {
    enum Name: String, ExpressibleByArgument, CaseIterable {
        case starts, steps, local, memory, build, recovery, serve
    }

    static let configuration = CommandConfiguration(
        commandName: "case", abstract: "Runs one case once; used by the other commands.", shouldDisplay: false)

    @Argument var name: Name
    @Option var folder: String
    @Option var supervisor = ""
    @Option var stored = 100_000
    @Option var active = 10_000
    @Flag var quick = false

    func run() async throws {
        let result: Measurements
        switch name {
        case .starts: result = try await StartsCase.run(in: folder, quick: quick)
        case .steps: result = try await StepsCase.run(in: folder, quick: quick)
        case .local: result = try await LocalCase.run(in: folder, supervisor: supervisor, quick: quick)
        case .memory: result = try await MemoryCase.run(in: folder, quick: quick)
        case .recovery: result = try await RecoveryCase.run(in: folder, active: active)
        case .serve: return try await ServeCase.run(in: folder)
        case .build:
            try StoredWorkflows.build(in: folder, count: stored, active: active)
            print("{}")
            // As a killed server would: without closing anything.
            fflush(nil)
            _exit(0)
        }
        print(try result.line())
    }
}
