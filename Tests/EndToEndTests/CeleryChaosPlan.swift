import Foundation
import RhythmCore
import RhythmTesting

/// The size of a run and everything in it that is left to chance.
struct CeleryChaosPlan: Sendable {
    /// What is disturbed, each independently of the others.
    enum Victim: String, CaseIterable, Sendable {
        case servers, workers, broker, database

        /// What may happen to it. Each happens once before one happens again.
        var troubles: [Trouble] {
            switch self {
            case .servers: [.serverKilled, .serverStopped]
            case .workers: [.workerKilled, .workerReplaced, .poolProcessKilled, .workerQuit]
            case .broker: [.brokerKilled]
            case .database: [.databaseKilled, .databaseFrozen]
            }
        }

        /// The pause before each disturbance, in seconds.
        var pause: ClosedRange<Double> {
            switch self {
            case .servers: 1...6
            case .workers: 1...6
            // What they do to workers takes some seconds to heal.
            case .broker: 6...20
            case .database: 4...12
            }
        }
    }

    enum Trouble: String, Sendable {
        case serverKilled, serverStopped
        /// The main process is killed; a worker of the same name follows.
        case workerKilled
        /// The same, but the one that follows has another name.
        case workerReplaced
        case poolProcessKilled
        /// SIGQUIT; a worker of the same name follows.
        case workerQuit
        case brokerKilled, databaseKilled, databaseFrozen
    }

    /// What people do to a workflow beside starting it.
    enum Act: Sendable, Hashable {
        case nothing
        /// A pause, and a resume after a while.
        case pause(PauseMode)
        case cancel
        /// A forced resume from the first step while it runs.
        case startOver
    }

    static let appID = "chaos"
    static let queue = "chaos"
    let seed: UInt64
    let workflows: Int
    /// How long the disturbances go on.
    let seconds: Double
    /// What is left alone.
    let spared: Set<Victim>
    /// Whether the database offers change streams. Its writes become slower the longer it runs then.
    let hasChangeStreams: Bool

    init() {
        let environment = ProcessInfo.processInfo.environment
        seed = environment["RHYTHM_CHAOS_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64(UInt32.max))
        workflows = environment["RHYTHM_CHAOS_CELERY"].flatMap { Int($0) } ?? 15
        seconds = environment["RHYTHM_CHAOS_SECONDS"].flatMap { Double($0) } ?? 25
        hasChangeStreams = environment["RHYTHM_CHAOS_STREAMS"] != nil
        let spared = environment["RHYTHM_CHAOS_SPARE"]?.split(separator: ",") ?? []
        self.spared = Set(spared.compactMap { Victim(rawValue: String($0)) })
    }

    /// Chance for one purpose, independent of the order in which purposes come.
    func chance(_ purpose: UInt64) -> SeededGenerator { SeededGenerator(seed: seed &+ purpose &* 0x9E37_79B9) }

    func chance(of victim: Victim) -> SeededGenerator {
        chance(UInt64(1 + (Victim.allCases.firstIndex(of: victim) ?? 0)))
    }

    /// When a workflow is started, in seconds from the first one: over most of the time, so that some end undisturbed.
    func due(_ workflow: Int) -> Double { seconds * 0.85 * Double(workflow) / Double(workflows) }

    func act(_ workflow: Int) -> Act {
        switch workflow % 15 {
        case 2, 11: .pause(.now)
        case 6: .pause(.afterStep)
        case 9: .cancel
        case 13: .startOver
        default: .nothing
        }
    }

    /// Each step that counts adds its own digit to the number that it is given: the last result tells that each counted
    /// once. Some tasks are based on the original library's class, some only report how far they are.
    func spec(_ workflow: Int) -> WorkflowSpec {
        var chance = chance(UInt64(1000 + workflow))
        let count = Int.random(in: 3...5, using: &chance)
        // What people stop is at work when they do.
        let long = act(workflow) != .nothing ? 0 : chance.once(in: 4) ? Int.random(in: 0..<count, using: &chance) : nil
        let steps = (0..<count).map { step in
            let seconds = step == long ? Double.random(in: 3...7, using: &chance) : .random(in: 0...0.6, using: &chance)
            let reports = step == long && chance.once(in: 2)
            let prefix = chance.once(in: 3) ? "workflow." : ""
            return StepSpec(
                name: "s\(step)", task: prefix + (reports ? "slow" : "add"), queue: Self.queue,
                kwargs: JSON(
                    .object([
                        .init("seconds", .float((seconds * 100).rounded() / 100)),
                        .init("amount", .integer(reports ? 0 : Self.amount(of: step))),
                    ])),
                retry: RetryPolicy(
                    maxAttempts: 50, backoff: .milliseconds(100), factor: 1.5, maxBackoff: .seconds(2)))
        }
        let spec = WorkflowSpec(
            name: name(workflow), appID: Self.appID, args: JSON(.array([.integer(Self.first(of: workflow))])),
            steps: steps)
        return spec.recorded(as: spec.name)
    }

    /// As the record calls it, too.
    func name(_ workflow: Int) -> String { "chaos-\(workflow)" }

    private static func first(of workflow: Int) -> Int64 { 1_000_000 * Int64(workflow + 1) }

    private static func amount(of step: Int) -> Int64 { (0..<step).reduce(1) { product, _ in product * 10 } }

    /// What a step of a workflow has to return; for -1 what the first step is given.
    func result(_ workflow: Int, _ spec: WorkflowSpec, upTo step: Int) -> String {
        var sum = Self.first(of: workflow)
        for index in 0..<(step + 1) where spec.steps[index].task.hasSuffix("add") { sum += Self.amount(of: index) }
        return "[\(sum)]"
    }
}
