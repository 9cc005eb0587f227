import ArgumentParser
import Foundation
import Glibc
import RhythmCore
import RhythmWire

/// Measures what connections and watches cost while nothing happens.
struct IdleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "Measures the server's memory for each idle connection and each idle watch.",
        discussion: """
            Each number is measured on a server of its own: resident memory with so many connections, or with so many \
            watches of one active workflow on ten connections, less what it was before. Exits with 1 if a bar does not \
            hold.
            """)

    @Flag(help: "Print the figures as JSON.")
    var json = false

    @Option(parsing: .upToNextOption, help: "How many connections, and how many watches.")
    var counts = [1000, 10_000]

    func validate() throws {
        guard counts.allSatisfy({ $0 >= 10 }) else { throw ValidationError("--counts are at least 10") }
    }

    func run() async throws {
        SystemFigures.raiseDescriptorLimit()
        var measured = Measurements()
        for count in counts {
            measured["connections_\(count)"] =
                try await measure { server in
                    try (0..<count).map { _ in try WatchConnection(server.endpoint) }
                } / Double(count)
            measured["watches_\(count)"] =
                try await measure { server in
                    let watch = WatchProgress(targets: [WatchTarget(workflowID: server.workflow)])
                    return try (0..<10).map { _ in
                        let connection = try WatchConnection(server.endpoint)
                        for _ in 0..<count / 10 { try connection.open(watch) }
                        while !connection.tallies.values.allSatisfy(\.hasBegun) {
                            if try !connection.receive({ _ in }) { usleep(1000) }
                        }
                        return connection
                    }
                } / Double(count / 10 * 10)
        }
        let figures = counts.flatMap { count in
            [
                Figure("connections_\(count)", "an idle connection, of \(count)", "KiB", .atMost(8)),
                Figure("watches_\(count)", "an idle watch, of \(count)", "KiB", .atMost(2)),
            ]
        }
        let table = FigureTable(figures: figures, measured: measured)
        print(json ? try table.json : table.text)
        if !table.passes { throw ExitCode(1) }
    }

    /// - Returns: by how many KiB the server grew.
    private func measure(_ open: (ServerProcess) throws -> [WatchConnection]) async throws -> Double {
        let folder = try ScratchFolder(in: FileManager.default.temporaryDirectory.path)
        defer { folder.remove() }
        let server = try ServerProcess(folder: folder.path)
        defer { server.stop() }
        // The first connection brings along what all of them share.
        let first = try WatchConnection(server.endpoint)
        _ = try first.call(.getServerInfo)
        let before = try resident(server)
        let connections = try open(server)
        try await Task.sleep(for: .milliseconds(500))
        let growth = try resident(server) - before
        withExtendedLifetime((first, connections)) {}
        return growth / 1024
    }

    private func resident(_ server: ServerProcess) throws -> Double {
        guard let bytes = SystemFigures.residentBytes(of: server.processID) else { throw BenchError("no server") }
        return bytes
    }
}
