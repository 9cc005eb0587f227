import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Synchronization
import Testing

// MARK: What people do

extension CeleryChaosWorld {
    private static let starters = 4

    /// Starts all workflows when they are due, watches each, and does to some what the plan says; returns when all of
    /// it is acknowledged.
    func letPeopleAct() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for starter in 0..<Self.starters {
                group.addTask {
                    for workflow in stride(from: starter, to: self.plan.workflows, by: Self.starters) {
                        try await self.wait(untilAge: self.plan.due(workflow))
                        try await self.start(workflow)
                    }
                }
            }
            for workflow in 0..<plan.workflows where plan.act(workflow) != .nothing {
                group.addTask { try await self.act(on: workflow) }
            }
            try await group.waitForAll()
        }
    }

    private func wait(untilAge due: Double) async throws {
        try await Task.sleep(for: .milliseconds(Int64(max(0, due - age) * 1000)))
    }

    private func start(_ workflow: Int) async throws {
        let spec = plan.spec(workflow)
        clerk.askStart(plan.name(workflow), spec)
        let started = try await insist(workflow) { client throws(RhythmError) in
            try await client.start(spec, requestID: "chaos-\(self.plan.seed)-\(workflow)", timeout: .seconds(3))
        }
        clerk.tell(plan.name(workflow), "start", started.workflow)
        let id = started.workflow.id
        // On either server, whoever follows the workflow.
        let client = clients[(workflow / 2) % clients.count]
        let watch = Task { try await self.watch(id, client) }
        state.withLock {
            $0.workflows[workflow] = id
            $0.watches.append(watch)
        }
    }

    /// Asks one server after the other until one answers; a request id makes it one request.
    func insist<Answer: Sendable>(
        _ turn: Int, _ call: (RhythmClient) async throws(RhythmError) -> Answer
    ) async throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(90)
        var turn = turn
        while true {
            do throws(RhythmError) {
                return try await call(clients[turn % clients.count])
            } catch {
                let isPassing = [.unavailable, .deadlineExceeded, .aborted].contains(error.code)
                guard isPassing, ContinuousClock.now < deadline else {
                    Issue.record("seed \(plan.seed): \(error)")
                    throw error
                }
            }
            turn += 1
            state.withLock { $0.repeatedCalls += 1 }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    // MARK: Pause, resume, cancel

    private func act(on workflow: Int) async throws {
        var chance = plan.chance(UInt64(1_000_000 + workflow))
        try await waitUntil("workflow \(workflow) is not started", seconds: plan.seconds + 120) {
            state.withLock { $0.workflows[workflow] != nil }
        }
        guard let id = state.withLock({ $0.workflows[workflow] }) else { return }
        try await Task.sleep(for: .milliseconds(Int.random(in: 100...2500, using: &chance)))
        switch plan.act(workflow) {
        case .nothing: break
        case .cancel:
            let receipt = try await command(workflow, "cancel") { client, requestID throws(RhythmError) in
                try await client.cancel(id, requestID: requestID, timeout: .seconds(3))
            }
            if receipt.accepted { state.withLock { _ = $0.cancelled.insert(workflow) } }
        case .startOver:
            let receipt = try await command(workflow, "start-over") { client, requestID throws(RhythmError) in
                try await client.resume(
                    id, fromStep: "s0", force: true, requestID: requestID, timeout: .seconds(3))
            }
            #expect(receipt.accepted, "\(receipt)")
            state.withLock { _ = $0.startedOver.insert(workflow) }
        case .pause(let mode):
            let receipt = try await command(workflow, "pause") { client, requestID throws(RhythmError) in
                try await client.pause(id, mode: mode, requestID: requestID, timeout: .seconds(3))
            }
            #expect(receipt.accepted || receipt.reason == "SUCCEEDED", "\(receipt)")
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...4000, using: &chance)))
            let resumed = try await command(workflow, "resume") { client, requestID throws(RhythmError) in
                try await client.resume(id, requestID: requestID, timeout: .seconds(3))
            }
            #expect(resumed.accepted || ["SUCCEEDED", "ACTIVE"].contains(resumed.reason), "\(resumed)")
        }
    }

    private func command(
        _ workflow: Int, _ name: String, _ call: (RhythmClient, String) async throws(RhythmError) -> CommandResult
    ) async throws -> Receipt {
        clerk.ask(plan.name(workflow), name)
        let result = try await insist(workflow) { client throws(RhythmError) in
            try await call(client, "\(name)-\(workflow)")
        }
        clerk.tell(plan.name(workflow), name, result.receipt)
        let word = result.receipt.accepted ? (result.receipt.already ? "already" : "done") : result.receipt.reason
        state.withLock { $0.receipts["\(name): \(word)", default: 0] += 1 }
        return result.receipt
    }

    // MARK: Watching

    /// Watches a workflow from its first version on, until it is cancelled.
    private func watch(_ id: WorkflowID, _ client: RhythmClient) async throws {
        for try await update in client.watch([id], after: [id: 0]) {
            state.withLock { state in
                var sighting = state.sightings[id] ?? Sighting()
                switch update {
                case .transition(let event): sighting.events.append(event)
                case .gap: sighting.gaps += 1
                case .limited: break
                case .interrupted: sighting.interruptions += 1
                case .snapshot, .deleted, .progress: break
                }
                state.sightings[id] = sighting
            }
            if case .deleted = update { Issue.record("\(id) was never deleted") }
        }
        if !Task.isCancelled { Issue.record("the watch of \(id) ended") }
    }

    // MARK: The end

    /// Waits until everything is done and each watch has seen it.
    func waitForTheEnd() async throws -> [Int: Workflow] {
        let deadline = ContinuousClock.now + .seconds(150)
        var workflows: [Int: Workflow] = [:]
        for (number, id) in state.withLock({ $0.workflows }).sorted(by: { $0.key < $1.key }) {
            var workflow = try await status(of: id, number)
            while !isOver(workflow, number), ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(100))
                try await bringBackWhoSaidGoodbye(for: workflow)
                workflow = try await status(of: id, number)
            }
            workflows[number] = workflow
            clerk.tellStatus(plan.name(number), workflow)
        }
        let stuck = workflows.filter { !isOver($0.value, $0.key) }
        for (number, workflow) in stuck.prefix(5) { Issue.record("it does not end: \(describe(workflow, number))") }
        guard stuck.isEmpty else { throw NotAsWanted() }
        print("celery chaos: seed \(plan.seed): all is done after \(age) s")
        try await waitUntil("the watches do not see the end", seconds: 30) {
            state.withLock { state in
                workflows.values.allSatisfy { state.sightings[$0.id]?.events.last?.version ?? 0 >= $0.version }
            }
        }
        for watch in state.withLock({ $0.watches }) { watch.cancel() }
        return workflows
    }

    /// A worker that said goodbye is given hours to finish what it runs, unless one of its name comes back; that it was
    /// killed while it did so only its operator can know.
    private func bringBackWhoSaidGoodbye(for workflow: Workflow) async throws {
        for position in workflow.liveAttempts {
            guard let reason = workflow[position].waiting, reason.contains("is shutting down"),
                let node = reason.split(separator: " ").first(where: { $0.hasSuffix("@localhost") })
            else { continue }
            try await bringBack(worker: String(node))
        }
    }

    func status(of id: WorkflowID, _ turn: Int) async throws -> Workflow {
        try await insist(turn) { client throws(RhythmError) in
            try await client.status(id, previousAttempts: true, timeout: .seconds(5))
        }
    }

    private func isOver(_ workflow: Workflow, _ number: Int) -> Bool {
        let wanted: WorkflowStatus = state.withLock { $0.cancelled.contains(number) } ? .revoked : .success
        // A cancelled one may have come to its end before it was stopped.
        return workflow.isQuiesced && (workflow.status == wanted || workflow.status == .success)
    }
}
