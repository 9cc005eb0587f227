import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// `kill -9` of the server at every point between a commit and what follows from it: a proxy in front of its database or
/// its broker ends it at a certain message. Then it is started again, and everything ends as if nothing had happened.
@Suite(.showsServerLog, .serialized, .timeLimit(.minutes(5))) struct KillPointTests {
    enum Point: String, CaseIterable, CustomTestStringConvertible {
        case startBeforeDatabase = "a start, before the database gets it"
        case startBeforeAnswer = "a start, stored and not answered"
        case messageBeforeBroker = "a task's message, before the broker gets it"
        case messageBeforeConfirm = "a task's message, taken and not confirmed"
        case successBeforeDatabase = "a step's success and the next intent, before the database gets them"
        case successBeforeAnswer = "a step's success and the next intent, stored and not answered"

        var testDescription: String { rawValue }

        var moment: TrapProxy.Moment {
            switch self {
            case .startBeforeDatabase, .messageBeforeBroker, .successBeforeDatabase: .beforeItArrives
            case .startBeforeAnswer, .messageBeforeConfirm, .successBeforeAnswer: .beforeItsAnswer
            }
        }

        var isMessage: Bool { self == .messageBeforeBroker || self == .messageBeforeConfirm }

        /// What no other message holds.
        func texts(_ database: String, _ token: String) -> [String] {
            switch self {
            case .startBeforeDatabase, .startBeforeAnswer: ["insert", "rhythm_workflows", database, token]
            case .messageBeforeBroker, .messageBeforeConfirm: ["forward", token]
            case .successBeforeDatabase, .successBeforeAnswer:
                ["update", "rhythm_workflows", database, "attempts.s1a1", "succeeded"]
            }
        }

        /// The step whose first attempt was never sent although the record says that it is to be; it is given up when it
        /// is provably nowhere.
        var unsentStep: Int? {
            switch self {
            case .startBeforeAnswer, .messageBeforeBroker: 0
            case .successBeforeAnswer: 1
            case .startBeforeDatabase, .messageBeforeConfirm, .successBeforeDatabase: nil
            }
        }
    }

    /// Workers whose tasks leave their marks in a place of their own: whatever else they ran would be seen.
    private static let shared = Task {
        let world = try await FleetWorld.shared
        let marks = try CeleryWorld.makeMarks("kill")
        try await world.startWorkers(on: "kill", marks: marks)
        return (world, marks)
    }

    @Test("killed at", arguments: Point.allCases) func killed(at point: Point) async throws {
        let (world, marks) = try await Self.shared.value
        let database = "kill\(UInt32.random(in: 0 ... .max))"
        let token = "token-\(UUID().uuidString)"
        let proxy =
            point.isMessage
            ? try TrapProxy(.amqp, to: world.brokerPort) : try TrapProxy(.mongo, to: world.databasePort)
        defer { proxy.stop() }
        let environment = world.environment(
            database: database, databasePort: point.isMessage ? nil : proxy.port,
            brokerPort: point.isMessage ? proxy.port : nil)
        let options = ["--lease", "2", "--worker-lost-after", "3"]
        try await ServerProcess.with(options: options, environment: environment) { server in
            let client = try server.client()
            // By its end the server knows its workers, and sends the next message at once.
            let usual = try await client.start(FleetWorld.spec(steps: 1, queue: "kill")).workflow.id
            #expect(try await client.waitUntilDone(usual).status == .success)
            let earlier = marks.order.count
            var spec = try FleetWorld.spec(steps: 3, queue: "kill")
            spec.name = token
            spec.args = try JSON(parsing: #"["\#(token)"]"#)
            let child = try #require(server.child)
            proxy.kill(child, at: point.moment, ofMessageWith: point.texts(database, token))
            let acknowledged = try? await client.start(spec, requestID: token, timeout: .seconds(3)).workflow.id
            try await waitUntil("the server was not killed", seconds: 30) { proxy.hasSprung }
            #expect(child.poll() == .signaled(SIGKILL))

            server.environment = world.environment(database: database)
            try await server.start()
            let there = try await client.list(ListQuery(filter: WorkflowFilter(name: token))).rows.map(\.id)
            #expect(there.count == (point == .startBeforeDatabase ? 0 : 1))
            #expect(acknowledged == nil || there == [acknowledged], "what was acknowledged is there")
            let started = try await client.start(spec, requestID: token)
            let id = started.workflow.id
            #expect(started.replayed == !there.isEmpty && there.allSatisfy { $0 == id })
            let done = try await client.wait(for: id, seconds: 60) { $0.status.isDone }
            expectNothingLost(point, done, token, marks)
            let ran = done.steps.flatMap(\.attempts).map(\.id).filter { marks.runs(of: $0) > 0 }
            #expect(marks.order.dropFirst(earlier).elementsEqual(ran), "nothing ran that is not in the record")
            try await expectEvents(of: done, client)
            let again = try await client.start(spec, requestID: token)
            #expect(again.replayed && again.workflow.id == id)
            let all = try await client.list(ListQuery(filter: WorkflowFilter(name: token))).rows.map(\.id)
            #expect(all == [id])
        }
    }

    /// Each step was run once and its result accepted once; a step has a second attempt only where the first was never
    /// sent, and the record says so.
    private func expectNothingLost(_ point: Point, _ done: Workflow, _ token: String, _ marks: RunnerMarks) {
        #expect(done.status == .success && done.steps[2].current?.result?.text == #"["\#(token)"]"#, "\(done)")
        for (index, step) in done.steps.enumerated() {
            let runs = step.attempts.map { marks.runs(of: $0.id) }
            #expect(runs == (index == point.unsentStep ? [0, 1] : [1]), "step \(index): \(runs), \(step.attempts)")
            guard index == point.unsentStep, let unsent = step.attempts.first else { continue }
            #expect(unsent.status == .failure && unsent.startedAt == nil && unsent.queuedAt == nil, "\(unsent)")
            #expect(unsent.failure?.type == "WorkerLostError", "\(unsent)")
            #expect(unsent.failure?.message.hasPrefix("no worker has begun it") == true, "\(unsent)")
        }
    }

    private func expectEvents(of done: Workflow, _ client: RhythmClient) async throws {
        var events: [Event] = []
        for try await update in client.watch([done.id], after: [done.id: 0], options: .init(untilDone: true)) {
            if case .transition(let event) = update { events.append(event) }
        }
        #expect(events.map(\.version) == Array(1...done.version), "every transition once and in order")
        let accepted = events.filter { $0.kind == .succeeded }.map(\.step)
        #expect(accepted == done.steps.map(\.spec.name), "\(accepted)")
    }
}
