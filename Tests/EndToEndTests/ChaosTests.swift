import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// Many workflows, several clients, and a server that is killed again and again. `RHYTHM_CHAOS_SEED` brings a run's
/// choices back (not the machine's timing); `RHYTHM_CHAOS_WORKFLOWS` and `RHYTHM_CHAOS_KILLS` change its size.
@Suite(.showsServerLog, .timeLimit(.minutes(5))) struct ChaosTests {
    @Test("workflows end as if nothing had happened, however often the server is killed")
    func killedAgainAndAgain() async throws {
        let plan = ChaosPlan()
        print("chaos: seed \(plan.seed), \(plan.workflows) workflows, \(plan.kills) kills")
        let began = ContinuousClock.now
        try await ServerProcess.with(options: ["--default-concurrency", "8", "--task-grace", "1"]) { server in
            try plan.writeTasks(server.place)
            let world = ChaosWorld(plan: plan, server.place.record)
            let watching = try server.client()
            let dashboard = Task { try await world.watchEverything(watching) }
            defer { dashboard.cancel() }
            let starters = try (0..<ChaosPlan.starters).map { number in
                let client = try server.client()
                return Task { try await world.start(number, client) }
            }
            try await world.kill(server)
            for starter in starters { try await starter.value }
            try await world.waitForWatches()
            try await world.check(try server.client())
        }
        print("chaos: seed \(plan.seed) took \(began.duration(to: .now))")
    }
}

/// The size of a run and everything in it that is left to chance.
struct ChaosPlan: Sendable {
    static let starters = 4
    static let steps = 4
    static let appID = "chaos"
    let seed: UInt64
    let workflows: Int
    let kills: Int

    init() {
        let environment = ProcessInfo.processInfo.environment
        seed = environment["RHYTHM_CHAOS_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64(UInt32.max))
        workflows = environment["RHYTHM_CHAOS_WORKFLOWS"].flatMap { Int($0) } ?? 100
        kills = environment["RHYTHM_CHAOS_KILLS"].flatMap { Int($0) } ?? 20
    }

    /// Chance for one purpose, independent of the order in which purposes come.
    func chance(_ purpose: UInt64) -> SeededGenerator { SeededGenerator(seed: seed &+ purpose &* 0x9E37_79B9) }

    /// Each step appends its digit to the number that it is given, so the last result tells the whole path.
    func writeTasks(_ place: TestPlace) throws {
        let functions = RecordBook(path: place.record.path).shellFunctions
        let body =
            functions + """
                read -r line
                number=${line#*'"args":['}
                number=${number%%]*}
                nap=${line#*'"nap":"'}
                nap=${nap%%'"'*}
                workflow=${line#*'"workflow":"'}
                workflow=${workflow%%'"'*}
                given=$number
                begun
                echo '{"progress":{"name":"napping","done":1,"total":2}}' >&3
                sleep "$nap"

                """
        let result = #"echo "{\"result\":[$number${RHYTHM_STEP#s}]}" >&3"# + "\nended success $number${RHYTHM_STEP#s}"
        try place.task("step", body + result)
        try place.task(
            "flaky",
            body + "if [ \"$RHYTHM_ATTEMPT\" = 1 ]; then ended exit7; exit 7; fi\n" + result)
    }

    /// In every fifth workflow the first attempt at the second step fails.
    func isFlaky(_ workflow: Int) -> Bool { workflow % 5 == 3 }

    func spec(_ workflow: Int) -> WorkflowSpec {
        var chance = chance(UInt64(1000 + workflow))
        let steps = (1...Self.steps).map { step in
            let nap = Double(Int.random(in: 2...45, using: &chance)) / 100
            return StepSpec(
                name: "s\(step)", task: isFlaky(workflow) && step == 2 ? "flaky" : "step",
                kwargs: JSON(.object([.init("nap", .string("\(nap)"))])),
                retry: RetryPolicy(maxAttempts: 3, backoff: .milliseconds(100)))
        }
        let spec = WorkflowSpec(
            name: name(workflow), appID: Self.appID, args: JSON(.array([.integer(1000 + workflow)])), steps: steps)
        return spec.recorded(as: spec.name)
    }

    /// As the record calls it, too.
    func name(_ workflow: Int) -> String { "chaos-\(workflow)" }

    /// What a step of a workflow has to return.
    func result(_ workflow: Int, upTo step: Int) -> String {
        "[\(1000 + workflow)\((1..<(step + 1)).map(String.init).joined())]"
    }
}
