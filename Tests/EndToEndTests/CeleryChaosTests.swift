import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// Servers that share a database, Celery workers of every version, the broker and the database itself, all of them
/// killed at random while workflows run.
///
/// `RHYTHM_CHAOS_SEED` brings a run's choices back (not the machine's timing); `RHYTHM_CHAOS_CELERY` and
/// `RHYTHM_CHAOS_SECONDS` change its size, `RHYTHM_CHAOS_SPARE` names what is left alone, with
/// `RHYTHM_CHAOS_STREAMS` the database is a replica set (see ``CeleryChaosPlan``).
@Suite(.showsServerLog, .timeLimit(.minutes(15))) struct CeleryChaosTests {
    @Test("workflows end as if nothing had happened, whatever of servers, workers, broker and database is killed")
    func everythingFails() async throws {
        let plan = CeleryChaosPlan()
        print("celery chaos: seed \(plan.seed), \(plan.workflows) workflows, \(plan.seconds) s of disturbances")
        let fleet = FleetWorld(try await CeleryWorld(plan.hasChangeStreams ? .replicaSet : .standalone))
        try await fleet.with(servers: 2, lease: 3, settings: ["RHYTHM_WORKER_LOST_AFTER": "6"]) { servers in
            let world = try CeleryChaosWorld(plan, fleet.celery, servers.map { try $0.client() })
            try await world.startWorkers()
            do {
                try await run(world, servers)
            } catch {
                world.showWhatHappened(servers)
                throw error
            }
        }
    }

    private func run(_ world: CeleryChaosWorld, _ servers: [ServerProcess]) async throws {
        world.begin()
        let others = CeleryChaosPlan.Victim.allCases.filter { $0 != .servers }.map { victim in
            Task { try await world.disturb(victim) }
        }
        let people = Task { try await world.letPeopleAct() }
        try await world.disturb(servers)
        for other in others { try await other.value }
        try await people.value
        try await world.bringBack(servers)
        print("celery chaos: seed \(world.plan.seed): the disturbances are over after \(world.age) s")
        let workflows = try await world.waitForTheEnd()
        try await world.check(workflows)
    }
}
