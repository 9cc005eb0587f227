import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting

// MARK: A worker is killed, and workflows of the library

extension MatrixStory {
    /// Two tasks lose their worker. With messages acknowledged at the begin they are lost, which the policy of one
    /// repeats; else Celery runs them again itself.
    func loss(_ worker: CeleryWorker) async throws {
        let lost = try await start("lost", [Self.step("s0", "hold"), Self.step("s1", "forward")])
        try await until("s0 has not begun", seconds: 45) { run(of: "lost", "s0") != nil }
        let again = try await start("again", [Self.step("s0", "hold", attempts: 3), Self.step("s1", "forward")])
        var stuck: WorkflowID?
        if combination.places > 1 {
            try await until("s0 of the second one has not begun", seconds: 45) { run(of: "again", "s0") != nil }
            if combination.isOnMongo {
                stuck = try await startByLibrary(
                    "stuck", [Self.step("s0", "workflow.hold"), Self.step("s1", "workflow.forward")])
                try await until("the library's has not begun", seconds: 45) { run(of: "stuck", "s0") != nil }
            }
        }
        // Where nothing tells of a begin, a worker can be asked, unless it answers nothing while it runs a task.
        if combination.tellsOfBegins {
            try await wait("known to have begun", lost, seconds: 40) { $0.steps[0].status == .started }
            if combination.places > 1 {
                try await wait("known to have begun", again, seconds: 40) { $0.steps[0].status == .started }
            }
        }
        clerk.book.note(.workerKilled, worker.nodeName)
        try await worker.kill()
        let second = try await MatrixWorkers.start(combination, world, "second", marks)
        defer { withExtendedLifetime(second) {} }

        try await wait("done after its worker's end, although its policy says again", again, seconds: 120) { workflow in
            openGates(of: "again", except: worker)
            // A worker with one place may have taken this one first.
            if combination.repeatsWhatWasLost { openGates(of: "lost", except: worker) }
            return workflow.status == .success
        }
        let end = try await wait("done after its worker's end", lost, seconds: 90) { workflow in
            if combination.repeatsWhatWasLost { openGates(of: "lost", except: worker) }
            return workflow.isSettled
        }
        if combination.repeatsWhatWasLost {
            try demand(end.status == .success, "Celery ran it again: \(Self.shown(end))")
        } else {
            try demand(
                end.status == .failure && end.steps[0].attempts.count == 1
                    && end.steps[0].current?.failure?.type == "WorkerLostError",
                "without a policy: \(Self.shown(end))")
        }
        if let stuck { await adopted(stuck, worker) }
    }

    private func openGates(of name: String, except worker: CeleryWorker) {
        for run in RunRecord(clerk.book.text).runs(of: name) where run.step == "s0" && run.worker != worker.nodeName {
            openGate(run)
        }
    }

    // MARK: The library

    /// One of the library's fails, and is resumed here: from then on it is Rhythm's.
    func resumeOfLibrary() async throws {
        let id = try await startByLibrary(
            "library", [Self.step("s0", "workflow.flaky", #"{"until": "library"}"#), Self.step("s1", "workflow.add")])
        try await wait("shown as failed", id) { $0.status == .failure }
        try place(mark: "library")
        clerk.ask("library", "resume")
        var receipt = try await client.resume(id, requestID: "library").receipt
        if !combination.keepsArguments {
            try demand(
                !receipt.accepted && receipt.reason == "ARGS_NEEDED",
                "the library stores arguments with result_extended only, and yet: \(receipt.message)")
            receipt = try await client.resume(id, args: try JSON(parsing: "[1]"), requestID: "library-args").receipt
        }
        clerk.tell("library", "resume", receipt)
        try demand(receipt.accepted, "the resume was refused: \(receipt.reason) \(receipt.message)")
        try await wait("done", id, seconds: 60) { $0.status == .success }
    }

    /// One whose worker was killed is taken over, and resumed when its attempt is known to be lost. With late
    /// acknowledgement Celery runs it again, and it is not stuck.
    private func adopted(_ id: WorkflowID, _ worker: CeleryWorker) async {
        do {
            if !combination.repeatsWhatWasLost {
                clerk.ask("stuck", "resume")
                let outcome = try await adopt(id)
                try demand(
                    [.adopted, .notStuck].contains(outcome.kind),
                    "\(outcome.kind) \(outcome.reason): \(outcome.detail)")
                try await wait("known as lost, or going on", id, seconds: 60) { workflow in
                    workflow.status == .failure || run(of: "stuck", "s0")?.worker != worker.nodeName
                }
                if try await client.status(id).status == .failure {
                    let args = combination.keepsArguments ? nil : try JSON(parsing: "[1]")
                    let receipt = try await client.resume(id, args: args, requestID: "stuck").receipt
                    try demand(receipt.accepted, "the resume was refused: \(receipt.reason) \(receipt.message)")
                }
                clerk.book.note(.told, ["workflow": "stuck", "command": "resume", "accepted": "1"])
            }
            try await wait("done", id, seconds: 60) { workflow in
                openGates(of: "stuck", except: worker)
                return workflow.status == .success
            }
            outcome.right.append("library's stuck one")
        } catch {
            outcome.wrong.append("library's stuck one: \(error)")
        }
    }

    /// Again and again while the only obstacle is one that passes by itself.
    private func adopt(_ id: WorkflowID) async throws -> AdoptionOutcome {
        let args = combination.keepsArguments ? nil : try JSON(parsing: "[1]")
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let reply = try await client.adopt(
                AdoptionRequest(ids: [id], args: args, quietFor: .zero), timeout: .seconds(60))
            guard let outcome = reply.outcomes.first else { throw Trouble(description: "no answer to adopt") }
            let passes = ["SILENT_WORKER", "CANNOT_ASK", "CHANGED"].contains(outcome.reason)
            if !passes || ContinuousClock.now > deadline { return outcome }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    /// Has the library make and start a workflow.
    func startByLibrary(_ name: String, _ steps: [StepSpec]) async throws -> WorkflowID {
        let spec = try Self.spec(name, steps)
        let members = spec.steps.map { step -> JSONValue in
            .object([
                .init("name", .string(step.name)), .init("task", .string(step.task)),
                .init("queue", .string(Self.queue)), .init("kwargs", step.kwargs.value),
            ])
        }
        let description = JSONValue.object([
            .init("name", .string(name)), .init("app_id", .string("matrix")), .init("steps", .array(members)),
        ])
        clerk.askStart(name, spec)
        let id = WorkflowID(try await library("begin", description.compactText, "1"))
        clerk.book.note(.told, ["workflow": name, "command": "start", "accepted": "1"])
        workflows.append((name, id))
        return id
    }

    /// Runs a command of `library.py`.
    private func library(_ arguments: String...) async throws -> String {
        let processes = try ProcessGuard.shared.get()
        let output = try processes.makeFolder("library") + "/output"
        let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        var environment = combination.environment
        environment.merge([
            "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1",
            "RHYTHM_APP_BROKER": world.brokerAddress(combination.host),
            "RHYTHM_APP_BACKEND": world.mongo.address(Self.database(combination)),
        ]) { $1 }
        for (name, value) in combination.settings { environment["RHYTHM_APP_" + name] = value }
        let child = try Processes.Child(
            try CeleryWorker.python(combination.version), ["/\(folder)/CeleryApp/library.py"] + arguments,
            environment: environment, output: output)
        try processes.watch(child)
        defer { processes.forget(child) }
        let end = try await child.end(within: 60)
        let text = ProcessGuard.read(output)
        guard end == .exited(0), let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VALUE ") }),
            let value = try JSON(parsing: String(line.dropFirst(6))).value.stringValue
        else { throw Trouble(description: "the library: \(text.suffix(600))") }
        return value
    }
}
