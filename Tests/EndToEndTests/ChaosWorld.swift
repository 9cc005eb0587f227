import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Synchronization
import Testing

/// One run of the chaos: who starts, who watches, who kills, and what must be true in the end.
final class ChaosWorld: Sendable {
    /// The versions that a watch saw of one workflow, in the order in which they came.
    struct Sighting: Sendable {
        var versions: [Int64] = []
        var snapshots = 0
        var status: WorkflowStatus?
    }

    private struct State {
        var kills = 0
        var repeatedStarts = 0
        /// Starts that had been accepted when the server was killed before it could say so.
        var lostAnswers = 0
        var acknowledged: [Int: WorkflowID] = [:]
        var watches: [WorkflowID: Task<Sighting, any Error>] = [:]
        var dashboard: [WorkflowID: Sighting] = [:]
    }

    let plan: ChaosPlan
    /// What clients ask and are told, in one file with what tasks write.
    private let clerk: Clerk
    private let state = Mutex(State())

    init(plan: ChaosPlan, _ book: RecordBook) {
        self.plan = plan
        clerk = Clerk(book)
    }

    // MARK: Killing

    /// Kills the server at moments of which one in four is during its start, and leaves it running in the end.
    func kill(_ server: ServerProcess) async throws {
        var chance = plan.chance(1)
        for _ in 0..<plan.kills {
            if chance.once(in: 4) {
                try await Task.sleep(for: .milliseconds(Int.random(in: 1...80, using: &chance)))
            } else {
                try await server.waitUntilReady()
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...700, using: &chance)))
            }
            clerk.book.note(.serverKilled, "")
            try await server.killNow()
            state.withLock { $0.kills += 1 }
            try server.spawn()
        }
        try await server.waitUntilReady()
    }

    // MARK: Starting

    /// Starts every fourth workflow. The starts are spread over the first three quarters of the kills; each is repeated
    /// until it is acknowledged, and from then on the workflow is watched.
    func start(_ number: Int, _ client: RhythmClient) async throws {
        for workflow in stride(from: number, to: plan.workflows, by: ChaosPlan.starters) {
            let due = plan.kills * 3 / 4 * workflow / plan.workflows
            while state.withLock({ $0.kills }) < due { try await Task.sleep(for: .milliseconds(5)) }
            let id = try await start(workflow, by: client)
            let sighting = Task { try await Self.watch(id, client) }
            state.withLock {
                $0.acknowledged[workflow] = id
                $0.watches[id] = sighting
            }
        }
    }

    private func start(_ workflow: Int, by client: RhythmClient) async throws -> WorkflowID {
        let (spec, requestID) = (plan.spec(workflow), "start-\(workflow)")
        clerk.askStart(spec.name, spec)
        while true {
            do {
                let started = try await client.start(spec, requestID: requestID, timeout: .milliseconds(300))
                clerk.tell(spec.name, "start", started.workflow)
                if started.replayed { state.withLock { $0.lostAnswers += 1 } }
                guard workflow.isMultiple(of: 4) else { return started.workflow.id }
                // Once more, as a client does that has forgotten the answer.
                let again = try await client.start(spec, requestID: requestID)
                #expect(again.replayed && again.workflow.id == started.workflow.id)
                return started.workflow.id
            } catch {
                #expect(error.code == .deadlineExceeded || error.code == .unavailable, "\(error)")
                state.withLock { $0.repeatedStarts += 1 }
            }
        }
    }

    // MARK: Watching

    /// Watches one workflow from its first version to its end.
    private static func watch(_ id: WorkflowID, _ client: RhythmClient) async throws -> Sighting {
        var sighting = Sighting()
        for try await update in client.watch([id], after: [id: 0], options: .init(untilDone: true)) {
            switch update {
            case .transition(let event):
                #expect(event.workflowID == id)
                sighting.versions.append(event.version)
                sighting.status = event.status
            case .snapshot: sighting.snapshots += 1
            case .gap(_, let oldest): Issue.record("a gap before version \(oldest) of \(id)")
            case .deleted: Issue.record("\(id) was never deleted")
            case .progress, .interrupted, .limited: break
            }
        }
        return sighting
    }

    /// Watches by a filter, from before the first start, until it is cancelled: a dashboard.
    func watchEverything(_ client: RhythmClient) async throws {
        for try await update in client.watch(WorkflowFilter(appID: ChaosPlan.appID)) {
            switch update {
            case .transition(let event): note(event.workflowID, event.version, event.status, snapshots: 0)
            case .snapshot(let snapshot):
                note(snapshot.summary.id, snapshot.summary.version, snapshot.summary.status, snapshots: 1)
            case .gap(let id, _): Issue.record("the dashboard has a gap in \(id)")
            case .deleted(let id): Issue.record("\(id) was never deleted")
            case .progress, .interrupted, .limited: break
            }
        }
    }

    private func note(_ id: WorkflowID, _ version: Int64, _ status: WorkflowStatus, snapshots: Int) {
        state.withLock { state in
            var sighting = state.dashboard[id] ?? Sighting()
            sighting.versions.append(version)
            sighting.snapshots += snapshots
            sighting.status = status
            state.dashboard[id] = sighting
        }
    }

    /// All workflows are done, as far as their own watches tell.
    func waitForWatches() async throws {
        for watch in state.withLock({ Array($0.watches.values) }) { _ = try await watch.value }
    }

    // MARK: Checking

    func check(_ client: RhythmClient) async throws {
        try await waitUntil("the dashboard shows what ended as active", seconds: 15) {
            state.withLock { $0.dashboard.values.allSatisfy { $0.status?.isDone == true } }
        }
        let (acknowledged, watches, dashboard, kills) = state.withLock {
            ($0.acknowledged, $0.watches, $0.dashboard, $0.kills)
        }
        let (repeated, lost) = state.withLock { ($0.repeatedStarts, $0.lostAnswers) }
        print("chaos: \(kills) kills, \(repeated) starts repeated, \(lost) answers lost, \(dashboard.count) by filter")
        #expect(kills == plan.kills)
        #expect(acknowledged.count == plan.workflows)
        #expect(Set(acknowledged.values).count == plan.workflows, "two starts were given one workflow")
        #expect(try await client.allIDs() == Set(acknowledged.values), "exactly the acknowledged workflows exist")

        var taskIDs: Set<String> = []
        for (number, id) in acknowledged.sorted(by: { $0.key < $1.key }) {
            let workflow = try await client.status(id, previousAttempts: true)
            clerk.tellStatus(plan.name(number), workflow)
            taskIDs.formUnion(check(workflow, number))
            let own = try #require(try await watches[id]?.value)
            #expect(own.versions == Array(1...workflow.version), "watch of workflow \(number)")
            #expect(own.snapshots == 0)
            // One that began and ended while the dashboard was cut off is not on it.
            guard let seen = dashboard[id], let first = seen.versions.first else { continue }
            #expect(seen.versions == Array(first...workflow.version), "workflow \(number) on the dashboard")
            #expect(seen.snapshots == 1 && seen.status == .success)
        }
        #expect(dashboard.count > plan.workflows / 2 && Set(dashboard.keys).isSubset(of: acknowledged.values))
        let record = RunRecord(clerk.book.text)
        let verdict = Judge().verdict(on: record)
        print("chaos: seed \(plan.seed): the record: \(verdict.summary)")
        for violation in verdict.violations { Issue.record("seed \(plan.seed): \(violation)") }
        #expect(verdict.explained == [], "nothing is repeated by anybody")
        #expect(Set(record.runs.map(\.id)) == taskIDs, "the attempts that ran are those on record")
    }

    /// - Returns: its attempts.
    private func check(_ workflow: Workflow, _ number: Int) -> [String] {
        #expect(workflow.status == .success, "workflow \(number) is \(workflow.status)")
        #expect(workflow.name == "chaos-\(number)")
        for (index, step) in workflow.steps.enumerated() {
            let attempts = plan.isFlaky(number) && index == 1 ? 2 : 1
            #expect(step.attempts.count == attempts, "workflow \(number), step \(index + 1): \(step.attempts)")
            let accepted = step.attempts.filter { $0.status == .success }
            #expect(accepted.count == 1)
            #expect(accepted.first?.result?.text == plan.result(number, upTo: index + 1))
            #expect(step.attempts.allSatisfy { $0.args.text == plan.result(number, upTo: index) })
            #expect(step.attempts.allSatisfy { $0.lateReport == nil && !$0.superseded || $0.status == .failure })
        }
        return workflow.steps.flatMap { $0.attempts.map(\.id.rawValue) }
    }
}
