import ArgumentParser
import RhythmClient
import RhythmCore

struct PingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping",
        abstract: "Measure how fast the server answers.",
        discussion: """
            EXAMPLE:
              rhythm ping -n 10
              rhythm ping -n 100 --interval 10ms --stats

            With --stats it also shows what the server has counted since its start: how its
            calls ended and how long they took, and what is said with rhythmd --metrics.
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("How many pings.", valueName: "n"))
    var number = 4

    @Option(help: ArgumentHelp("The time between two.", valueName: "duration"))
    var interval: DurationArgument = DurationArgument(.milliseconds(200))

    @Flag(help: "Show percentiles in place of each time, and what the server has counted.")
    var stats = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard (1...100_000).contains(number) else { throw ValidationError("-n is between 1 and 100000.") }
    }

    func run() async throws {
        let client = try server.client()
        let terminal = Terminal.standard
        // The first one makes the connection and is not counted.
        _ = try await client.ping()
        var times: [Double] = []
        for index in 0..<number {
            if index > 0 { try await Task.sleep(for: interval.duration) }
            let time = try await client.ping().inSeconds * 1000
            times.append(time)
            if !server.json, !stats { terminal.line("\(client.endpoint): \(ServerViews.milliseconds(time)) ms") }
        }
        let statistics = stats ? try await client.serverStatistics() : nil
        if server.json {
            return terminal.line(PingTimes(times).json(of: client.endpoint, statistics).prettyText)
        }
        terminal.line(PingTimes(times).text(withPercentiles: stats))
        if let statistics {
            terminal.line("")
            terminal.out(ServerViews.text(statistics, style: terminal.style))
        }
    }
}

/// How long pings took, in milliseconds.
private struct PingTimes {
    private let times: [Double]
    private let sorted: [Double]

    init(_ times: [Double]) {
        self.times = times
        sorted = times.sorted()
    }

    private var mean: Double { times.reduce(0, +) / Double(max(1, times.count)) }

    /// The time that this share of the pings did not exceed.
    private func percentile(_ share: Double) -> Double {
        guard !sorted.isEmpty else { return 0 }
        let rank = Int((share * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }

    func text(withPercentiles: Bool) -> String {
        func ms(_ value: Double) -> String { ServerViews.milliseconds(value) + " ms" }
        let count = "\(times.count) pings: "
        guard withPercentiles else {
            return count + "least \(ms(percentile(0))), mean \(ms(mean)), most \(ms(percentile(1)))"
        }
        return count + "p50 \(ms(percentile(0.5))), p99 \(ms(percentile(0.99))), max \(ms(percentile(1)))"
    }

    func json(of endpoint: String, _ statistics: ServerStatistics?) -> JSONValue {
        .object(
            [
                .init("server", .string(endpoint)), .init("pings", .integer(times.count)),
                .init("min_ms", .float(percentile(0))), .init("mean_ms", .float(mean)),
                .init("p50_ms", .float(percentile(0.5))), .init("p99_ms", .float(percentile(0.99))),
                .init("max_ms", .float(percentile(1))), .init("times_ms", .array(times.map { .float($0) })),
            ] + (statistics.map { [.init("stats", $0.json)] } ?? []))
    }
}
