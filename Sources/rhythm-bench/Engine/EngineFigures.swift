/// What the engine's report shows, and the bars.
enum EngineFigures {
    static let all: [Figure] = starts + loads + alone + local + memory + peers

    private static let starts = [
        Figure("starts_per_s", "durable starts, 64 clients", "1/s", .atLeast(10_000)),
        Figure("start_p50_us", "  answer p50", "us"),
        Figure("start_p99_us", "  answer p99", "us"),
        Figure("start_cpu_us", "  processor time a start", "us"),
    ]

    private static let loads = [1, 5, 20].flatMap { steps in
        let bar: Figure.Bar? = steps == 5 ? .atLeast(2000) : nil
        let key = "flows\(steps)"
        return [
            Figure(key + "_per_s", "\(steps)-step workflows, 200 in flight", "1/s", bar),
            Figure(key + "_cpu_us", "  processor time a workflow", "us"),
            Figure(key + "_gap_p50_us", "  step to step p50", "us"),
            Figure(key + "_gap_p99_us", "  step to step p99", "us"),
        ]
    }

    private static let alone = [1, 5, 20].flatMap { steps in
        let bar: Figure.Bar? = steps == 20 ? .atMost(15) : nil
        let key = "alone\(steps)"
        return [
            Figure(key + "_ms", "\(steps)-step workflow alone, p50", "ms", bar),
            Figure(key + "_gap_p50_us", "  step to step p50", "us"),
            Figure(key + "_gap_p99_us", "  step to step p99", "us"),
        ]
    }

    private static let local = [
        Figure("local5_per_s", "5-step workflows of processes, 32 in flight", "1/s"),
        Figure("local5_gap_p50_us", "  step to step p50", "us"),
        Figure("local5_gap_p99_us", "  step to step p99", "us"),
        Figure("local_alone20_ms", "20-step workflow of processes alone, p50", "ms"),
        Figure("local_alone20_gap_p50_us", "  step to step p50", "us"),
        Figure("local_alone20_gap_p99_us", "  step to step p99", "us"),
    ]

    private static let memory = [
        Figure("memory_active_bytes", "memory an active workflow", "B"),
        Figure("memory_finished_bytes", "memory a finished workflow", "B"),
        Figure("memory_mib", "  process with 10,000 active", "MiB"),
        Figure("recovery_s", "recovery of 10,000 among 100,000", "s", .atMost(2)),
        Figure("recovery_mib", "  process after it", "MiB"),
    ]

    private static let peers = [
        Figure("dbos_flows5_per_s", "DBOS: 5-step workflows", "1/s"),
        Figure("dbos_flows5_ratio", "  times as many here", ""),
        Figure("dbos_alone20_ms", "DBOS: 20-step workflow alone", "ms"),
        Figure("dbos_alone20_ratio", "  times as fast here", ""),
    ]
}
