import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Synchronization
import Testing

/// Those who command servers of which one does not always answer. They write down what they ask and what they are told.
final class FleetPeople: Sendable {
    let name: String
    let world: FleetWorld
    let clients: [RhythmClient]
    let clerk: Clerk
    private let ids = Mutex<[Int: WorkflowID]>([:])
    private let cancelled = Mutex<Set<Int>>([])

    init(_ name: String, _ world: FleetWorld, _ clients: [RhythmClient]) {
        self.name = name
        self.world = world
        self.clients = clients
        clerk = Clerk(world.marks.record)
    }

    private func name(of workflow: Int) -> String { "\(name)-\(workflow)" }

    func start(_ workflow: Int, steps: Int, seconds: Double, on turn: Int) async throws {
        let name = name(of: workflow)
        let spec = try FleetWorld.spec(steps: steps, task: "sleep", kwargs: #"{"seconds":\#(seconds)}"#)
            .recorded(as: name)
        clerk.askStart(name, spec)
        let started = try await insist(turn) { client throws(RhythmError) in
            try await client.start(spec, requestID: name, timeout: .seconds(3))
        }
        clerk.tell(name, "start", started.workflow)
        ids.withLock { $0[workflow] = started.workflow.id }
    }

    func waitUntilOne(_ what: String, _ condition: (RunRecord.Run) -> Bool = { _ in true }) async throws {
        try await waitUntil("nothing \(what)", seconds: 30) {
            RunRecord(clerk.book.text).runs.contains { $0.workflow.hasPrefix(self.name + "-") && condition($0) }
        }
    }

    /// What people do while one server fails: each command goes to that one first.
    func act() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (workflow, pause) in [(0, PauseMode.now), (1, .afterStep)] {
                group.addTask {
                    try await self.command(workflow, "pause") { client, id, request throws(RhythmError) in
                        try await client.pause(id, mode: pause, requestID: request, timeout: .seconds(3))
                    }
                    try await Task.sleep(for: .seconds(1))
                    try await self.command(workflow, "resume") { client, id, request throws(RhythmError) in
                        try await client.resume(id, requestID: request, timeout: .seconds(3))
                    }
                }
            }
            group.addTask {
                try await self.command(3, "cancel") { client, id, request throws(RhythmError) in
                    try await client.cancel(id, requestID: request, timeout: .seconds(3))
                }
            }
            group.addTask { try await self.start(6, steps: 2, seconds: 1, on: 0) }
            try await group.waitForAll()
        }
    }

    private func command(
        _ workflow: Int, _ command: String,
        _ call: @Sendable (RhythmClient, WorkflowID, String) async throws(RhythmError) -> CommandResult
    ) async throws {
        let id = try #require(ids.withLock { $0[workflow] })
        let name = name(of: workflow)
        clerk.ask(name, command)
        let result = try await insist(0) { client throws(RhythmError) in
            try await call(client, id, "\(command)-\(name)")
        }
        clerk.tell(name, command, result.receipt)
        if command == "cancel", result.receipt.accepted { cancelled.withLock { _ = $0.insert(workflow) } }
    }

    /// Asks one server after the other until one answers; a request id makes it one request.
    private func insist<Answer: Sendable>(
        _ turn: Int, _ call: (RhythmClient) async throws(RhythmError) -> Answer
    ) async throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(90)
        var turn = turn
        while true {
            do throws(RhythmError) {
                return try await call(clients[turn % clients.count])
            } catch {
                guard [.unavailable, .deadlineExceeded, .aborted].contains(error.code), .now < deadline else {
                    throw error
                }
            }
            turn += 1
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Everything ends, all that are asked tell the same, and the record breaks no rule.
    ///
    /// - Parameter askers: clients of servers that live; nil for all.
    func expectTheEnd(askers: [RhythmClient]? = nil) async throws {
        for (workflow, id) in ids.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            let isCancelled = cancelled.withLock { $0.contains(workflow) }
            var told: Workflow?
            for client in (askers ?? clients).reversed() {
                let end = try await client.wait(for: id, seconds: 90) {
                    $0.isSettled && ($0.status == .success || isCancelled && $0.status == .revoked)
                        && (told == nil || $0.version == told?.version)
                }
                #expect(told == nil || told == end, "the servers do not agree on \(workflow)")
                told = end
            }
            if let told { clerk.tellStatus(name(of: workflow), told) }
        }
        let verdict = Judge().verdict(on: clerk.book.text, of: name + "-")
        print("fleet: \(verdict.summary)")
        for violation in verdict.violations { Issue.record("\(violation)") }
        for explained in verdict.explained { print("  Celery's: \(explained)") }
    }
}
