import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// Three servers that are killed, stopped and started again at random while they run many workflows on real workers.
/// `RHYTHM_CHAOS_SEED` brings the choices back.
@Suite(.showsServerLog, .timeLimit(.minutes(5))) struct FleetChaosTests {
    @Test("workflows end as if nothing had happened, however the servers that share them fare")
    func serversComeAndGo() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["RHYTHM_CHAOS_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64(UInt32.max))
        let count = environment["RHYTHM_CHAOS_FLEET"].flatMap { Int($0) } ?? 15
        print("fleet chaos: seed \(seed), \(count) workflows")
        var random = SeededGenerator(seed: seed)
        let world = try await FleetWorld.shared
        try await world.with(servers: 3) { servers in
            let endpoints = servers.compactMap(\.endpoint)
            let starting = Task {
                var ids: [WorkflowID] = []
                for number in 0..<count { ids.append(try await Self.start(number, endpoints)) }
                return ids
            }
            for _ in 0..<5 { try await Self.disturb(servers, &random) }
            let ids = try await starting.value
            let client = try servers[0].client()
            for id in ids {
                let workflow = try await client.wait(for: id, seconds: 120) { $0.status.isDone }
                #expect(workflow.status == .success, "seed \(seed)")
                let runs = world.runs(of: workflow)
                #expect(runs.values.allSatisfy { $0 == 1 }, "seed \(seed): \(id) \(runs)")
            }
        }
    }

    /// Asks one server after the other until one answers; the request id makes it one workflow.
    private static func start(_ number: Int, _ endpoints: [String]) async throws -> WorkflowID {
        let spec = try FleetWorld.spec(steps: 3, task: "sleep", kwargs: #"{"seconds":0.3}"#)
        let requestID = "chaos-\(number)-\(UUID())"
        let deadline = ContinuousClock.now + .seconds(60)
        var turn = number
        while ContinuousClock.now < deadline {
            let client = try RhythmClient(endpoint: endpoints[turn % endpoints.count], options: .init())
            let started = try? await client.start(spec, requestID: requestID, timeout: .seconds(2))
            if let started { return started.workflow.id }
            turn += 1
        }
        throw NotAsWanted()
    }

    private static func disturb(_ servers: [ServerProcess], _ random: inout SeededGenerator) async throws {
        let server = random.pick(servers)
        if random.once(in: 2) {
            try await server.killNow()
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...3000, using: &random)))
            try await server.start()
        } else {
            let child = try #require(server.child)
            child.signal(SIGSTOP)
            try await Task.sleep(for: .milliseconds(Int.random(in: 500...5000, using: &random)))
            child.signal(SIGCONT)
        }
    }
}
