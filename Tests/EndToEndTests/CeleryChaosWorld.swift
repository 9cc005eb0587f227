import Foundation
import Glibc
import RhythmClient
import RhythmCore
import RhythmTesting
import Synchronization
import Testing

/// One run of the chaos on Celery: who disturbs what, who starts, pauses, resumes and watches, and what must be true in
/// the end.
final class CeleryChaosWorld: Sendable {
    /// What a watch saw of one workflow.
    struct Sighting: Sendable {
        var events: [Event] = []
        var gaps = 0
        var interruptions = 0
    }

    struct State {
        var beganAt = ContinuousClock.now
        var workers: [CeleryWorker] = []
        /// How often each trouble was made.
        var troubles: [String: Int] = [:]
        var workflows: [Int: WorkflowID] = [:]
        var watches: [Task<Void, any Error>] = []
        var sightings: [WorkflowID: Sighting] = [:]
        /// Pauses, resumes and cancels by the words of their receipts.
        var receipts: [String: Int] = [:]
        var cancelled: Set<Int> = []
        var startedOver: Set<Int> = []
        var repeatedCalls = 0
        var workerStarts = 0
        var serverStarts = 0
    }

    let plan: CeleryChaosPlan
    let celery: CeleryWorld
    /// One of each server.
    let clients: [RhythmClient]
    /// What people ask and are told, and what is done to whom, in one file with what tasks write.
    let clerk: Clerk
    let state = Mutex(State())

    var book: RecordBook { clerk.book }

    init(_ plan: CeleryChaosPlan, _ celery: CeleryWorld, _ clients: [RhythmClient]) throws {
        self.plan = plan
        self.celery = celery
        self.clients = clients
        clerk = Clerk(celery.marks.record)
    }

    func begin() { state.withLock { $0.beganAt = .now } }

    /// Seconds since it began.
    var age: Double { (state.withLock { $0.beganAt }.duration(to: .now) / .milliseconds(1)).rounded() / 1000 }

    private func sleep(_ seconds: Double) async throws {
        try await Task.sleep(for: .milliseconds(Int64(seconds * 1000)))
    }

    private func count(_ trouble: CeleryChaosPlan.Trouble) {
        state.withLock { $0.troubles[trouble.rawValue, default: 0] += 1 }
    }

    // MARK: Disturbing

    /// Does one trouble after the other, until the time is over and each has been done.
    private func disturb(
        _ victim: CeleryChaosPlan.Victim,
        _ body: (CeleryChaosPlan.Trouble, inout SeededGenerator) async throws -> Void
    ) async throws {
        guard !plan.spared.contains(victim) else { return try await sleep(plan.seconds) }
        var chance = plan.chance(of: victim)
        var left: [CeleryChaosPlan.Trouble] = []
        var rounds = 0
        while age < plan.seconds || rounds == 0 || (rounds == 1 && !left.isEmpty) {
            if left.isEmpty {
                left = victim.troubles.shuffled(using: &chance)
                rounds += 1
            }
            // A short run has no time for long pauses.
            let pause = Double.random(in: victim.pause, using: &chance) * min(1, plan.seconds / 60)
            try await sleep(pause)
            try await body(left.removeFirst(), &chance)
        }
    }

    /// Everything but the servers, which only one task may use.
    func disturb(_ victim: CeleryChaosPlan.Victim) async throws {
        try await disturb(victim) { trouble, chance in
            switch trouble {
            case .serverKilled, .serverStopped: break
            case .workerKilled, .workerReplaced, .poolProcessKilled, .workerQuit:
                try await disturbWorker(trouble, &chance)
            case .brokerKilled:
                count(trouble)
                book.note(.brokerAway, "")
                try await celery.broker.kill()
                try await sleep(.random(in: 0...1.5, using: &chance))
                try await celery.broker.start()
                book.healed(.brokerAway, "")
            case .databaseKilled:
                count(trouble)
                book.note(.databaseAway, "")
                let pause = Double.random(in: 0...2, using: &chance)
                let mongo = celery.mongo
                mongo.kill()
                try await sleep(pause)
                try await Self.blocking { try mongo.start() }
                book.healed(.databaseAway, "")
            case .databaseFrozen:
                count(trouble)
                book.note(.databaseAway, "")
                celery.mongo.freeze()
                try await sleep(.random(in: 0.3...4, using: &chance))
                celery.mongo.thaw()
                book.healed(.databaseAway, "")
            }
        }
    }

    func disturb(_ servers: [ServerProcess]) async throws {
        try await disturb(.servers) { trouble, chance in
            let server = chance.pick(servers)
            count(trouble)
            if trouble == .serverKilled {
                book.note(.serverKilled, server.place.path)
                try await server.killNow()
                try await sleep(.random(in: 0...3, using: &chance))
                try await start(server)
            } else {
                let child = try #require(server.child)
                book.note(.serverStopped, server.place.path)
                child.signal(SIGSTOP)
                try await sleep(.random(in: 0.3...6, using: &chance))
                child.signal(SIGCONT)
                book.healed(.serverStopped, server.place.path)
            }
        }
    }

    /// Starts it until it stays, as its operator's supervisor would: it ends when its database is away at that moment.
    private func start(_ server: ServerProcess) async throws {
        try await waitUntil("rhythmd does not start", seconds: 60) {
            if server.child?.poll() != nil {
                try server.spawn()
                state.withLock { $0.serverStarts += 1 }
            }
            return server.isReady
        }
    }

    // MARK: Workers

    func startWorkers() async throws {
        for (index, version) in CeleryWorker.Version.allCases.enumerated() {
            let worker = try await startWorker(version, "w\(index)")
            state.withLock { $0.workers.append(worker) }
        }
    }

    /// Starts one until it stays: some versions end if the broker goes while they come up.
    private func startWorker(_ version: CeleryWorker.Version, _ name: String) async throws -> CeleryWorker {
        for _ in 0..<5 {
            state.withLock { $0.workerStarts += 1 }
            do {
                return try await celery.startWorker(
                    version, name: name, queues: [CeleryChaosPlan.queue], concurrency: 3)
            } catch let trouble as Processes.CannotStart {
                print("celery chaos: \(trouble)")
            }
        }
        throw Processes.CannotStart(description: "worker \(name) ended again and again")
    }

    private func disturbWorker(
        _ trouble: CeleryChaosPlan.Trouble, _ chance: inout SeededGenerator
    ) async throws {
        let workers = state.withLock { $0.workers }
        let index = Int.random(in: workers.indices, using: &chance)
        let worker = workers[index]
        var name = String(worker.nodeName.prefix { $0 != "@" })
        count(trouble)
        if trouble == .poolProcessKilled {
            guard let process = worker.poolProcesses.randomElement(using: &chance) else { return }
            book.noteKill(of: process)
            Glibc.kill(process, SIGKILL)
            return
        }
        book.note(.workerKilled, worker.nodeName)
        switch trouble {
        case .workerQuit: try await worker.stopCold()
        case .workerReplaced:
            try await worker.kill()
            name = String(name.prefix { $0 != "-" }) + "-\(Int(age * 1000))"
        default: try await worker.kill()
        }
        try await sleep(.random(in: 0...2, using: &chance))
        let next = try await startWorker(CeleryWorker.Version.allCases[index], name)
        state.withLock { $0.workers[index] = next }
    }

    /// Sees to it that everything runs that was disturbed.
    func bringBack(_ servers: [ServerProcess]) async throws {
        for server in servers { try await start(server) }
        for (index, worker) in state.withLock({ $0.workers }).enumerated() where worker.hasEnded {
            print("celery chaos: worker \(worker.nodeName) ended by itself: \(worker.log)")
            let name = String(worker.nodeName.prefix { $0 != "@" })
            let next = try await startWorker(CeleryWorker.Version.allCases[index], name)
            state.withLock { $0.workers[index] = next }
        }
    }

    /// Starts a worker that was replaced, under its name, unless that has been done.
    func bringBack(worker node: String) async throws {
        guard !state.withLock({ $0.workers }).contains(where: { $0.nodeName == node }) else { return }
        print("celery chaos: worker \(node) is brought back after \(age) s")
        let worker = try await startWorker(.celery57, String(node.prefix { $0 != "@" }))
        state.withLock { $0.workers.append(worker) }
    }

    /// Runs what blocks on a thread that may be blocked.
    private static func blocking(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            DispatchQueue.global().async { done.resume(with: Result { try body() }) }
        }
    }
}
