import RhythmClient
import RhythmCore
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

// MARK: What must be true in the end

extension CeleryChaosWorld {
    func check(_ workflows: [Int: Workflow]) async throws {
        let verdict = Judge().verdict(on: book.text)
        for violation in verdict.violations {
            let concerned = workflows.filter { violation.contains("chaos-\($0.key)/") }
            let shown = concerned.map { describe($0.value, $0.key) }.joined(separator: "\n")
            Issue.record("seed \(plan.seed): \(violation)\n\(shown)")
        }
        for (number, workflow) in workflows.sorted(by: { $0.key < $1.key }) {
            let found = contradictions(in: workflow, number)
            guard !found.isEmpty else { continue }
            Issue.record("seed \(plan.seed): \(found.joined(separator: "; ")): \(describe(workflow, number))")
        }
        #expect(workflows.count == plan.workflows)
        let ids = Set(workflows.values.map(\.id))
        #expect(ids.count == plan.workflows, "two starts were given one workflow")
        for client in clients {
            #expect(try await client.allIDs() == ids, "exactly the acknowledged workflows exist")
            for workflow in workflows.values {
                let seen = try await client.status(workflow.id, previousAttempts: true)
                #expect(seen == workflow, "the servers do not agree")
            }
        }
        report(workflows, verdict)
    }

    private func contradictions(in workflow: Workflow, _ number: Int) -> [String] {
        let (sighting, isCancelled, isStartedOver) = state.withLock {
            (
                $0.sightings[workflow.id] ?? Sighting(), $0.cancelled.contains(number),
                $0.startedOver.contains(number)
            )
        }
        var found = ChaosHistory(mayRepeat: isStartedOver).contradictions(in: sighting.events)
        if sighting.gaps == 0, sighting.events.map(\.version) != Array(1...workflow.version) {
            found.append("the watch saw the versions \(sighting.events.map(\.version))")
        }
        for (index, step) in workflow.steps.enumerated() {
            let accepted = step.attempts.filter { $0.status == .success && !$0.superseded }
            if accepted.count > 1 { found.append("\(step.spec.name) has \(accepted.count) accepted results") }
            if accepted.isEmpty, !isCancelled { found.append("\(step.spec.name) has no accepted result") }
            if let result = accepted.first?.result?.text,
                result != plan.result(number, workflow.spec, upTo: index)
            {
                found.append("\(step.spec.name) returned \(result)")
            }
            for attempt in step.attempts {
                found += contradictions(in: attempt, sighting.events, mayRepeat: isStartedOver)
                if attempt.args.text != plan.result(number, workflow.spec, upTo: index - 1) {
                    found.append("\(attempt.id) was given \(attempt.args.text)")
                }
            }
        }
        return found
    }

    private func contradictions(in attempt: Attempt, _ events: [Event], mayRepeat: Bool) -> [String] {
        var found: [String] = []
        switch attempt.status {
        case .success:
            if attempt.superseded, !mayRepeat { found.append("\(attempt.id) succeeded in vain") }
        case .failure:
            if attempt.failure == nil { found.append("\(attempt.id) failed and nobody knows why") }
        case .revoked:
            let detail = events.last { $0.taskID == attempt.id && $0.kind == .revoked }?.detail ?? ""
            if attempt.revocation == nil, detail.isEmpty { found.append("\(attempt.id) was revoked by nobody") }
        case .pending, .started, .retry: found.append("\(attempt.id) has no end")
        }
        return found
    }

    // MARK: What to tell of a run

    private func report(_ workflows: [Int: Workflow], _ verdict: Judge.Verdict) {
        let attempts = workflows.values.flatMap { $0.steps.flatMap(\.attempts) }
        var ends: [String: Int] = [:]
        for attempt in attempts {
            let reason = attempt.failure?.type ?? attempt.revocation?.reason.rawValue ?? ""
            ends["\(attempt.status.rawValue) \(reason)", default: 0] += 1
            if attempt.lateReport != nil { ends["late reports", default: 0] += 1 }
        }
        let state = state.withLock { $0 }
        let interruptions = state.sightings.values.map(\.interruptions).reduce(0, +)
        let gaps = state.sightings.values.map(\.gaps).reduce(0, +)
        print(
            """
            celery chaos: seed \(plan.seed), \(plan.workflows) workflows
              disturbances: \(shown(state.troubles)); starts of servers \(state.serverStarts), of workers \(state.workerStarts)
              attempts: \(attempts.count), \(shown(ends))
              the record: \(verdict.summary)
              commands: \(shown(state.receipts)); calls repeated \(state.repeatedCalls)
              watches: interrupted \(interruptions) times, \(gaps) gaps
            """)
        for explained in verdict.explained { print("  Celery's: \(explained)") }
        tellOfOddEnds(workflows)
    }

    /// Ends that need an explanation, which their records and the workers' own words may give.
    private func tellOfOddEnds(_ workflows: [Int: Workflow]) {
        let odd = workflows.filter { _, workflow in
            workflow.steps.contains { step in
                step.attempts.contains { ($0.failure?.type ?? "WorkerLostError") != "WorkerLostError" }
            }
        }
        for (number, workflow) in odd.sorted(by: { $0.key < $1.key }).prefix(3) {
            print("celery chaos: an odd end in \(describe(workflow, number))")
        }
    }

    private func shown(_ counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// A whole record with what its watch saw.
    func describe(_ workflow: Workflow, _ number: Int) -> String {
        let events = state.withLock { $0.sightings[workflow.id]?.events ?? [] }
        var lines = [
            "workflow \(number) \(workflow.id) \(workflow.status) \(workflow.control) version \(workflow.version),"
                + " plan: \(plan.act(number))"
        ]
        for step in workflow.steps {
            lines.append("  \(step.spec.name) \(step.spec.task) \(step.spec.kwargs.text)")
            for attempt in step.attempts {
                let late = attempt.lateReport.map { "late \($0.status) \($0.at)" } ?? ""
                lines.append(
                    "    \(attempt.id) \(attempt.status) queued \(shown(attempt.queuedAt)) started"
                        + " \(shown(attempt.startedAt)) ended \(shown(attempt.endedAt)) by \(attempt.worker ?? "-")"
                        + " waiting: \(attempt.waiting ?? "-") \(attempt.failure.map { "\($0.type): \($0.message)" } ?? "")"
                        + " \(attempt.revocation.map { "\($0.reason)" } ?? "") \(attempt.superseded ? "superseded" : "")"
                        + " \(attempt.result?.text ?? "") \(late)")
            }
        }
        for event in events {
            lines.append(
                "  \(event.version) \(event.at) \(event.kind) \(event.step) \(event.taskID?.rawValue ?? "") \(event.detail)"
            )
        }
        lines += book.text.split(separator: "\n").filter { line in
            line.contains(" workflow=\(plan.name(number)) ") || line.hasPrefix("fault ") || line.hasPrefix("healed ")
        }.map { "  \($0)" }
        return lines.joined(separator: "\n")
    }

    private func shown(_ time: Timestamp?) -> String { time.map { "\($0)" } ?? "-" }

    /// For a run that failed: what the workers said last.
    /// For whoever has to find out why it failed.
    func showWhatHappened(_ servers: [ServerProcess]) {
        for worker in state.withLock({ $0.workers }) { print("---- \(worker.nodeName)\n\(worker.log)") }
        for server in servers { print("---- \(server.place.path): \(server.whatItsThreadsDo)") }
        guard let store = servers.first?.environment["RHYTHM_STORE"] else { return }
        do {
            try showWriters(in: MongoPool(uri: store))
        } catch {
            print("---- \(store): \(error)")
        }
    }

    /// Who follows what is not settled, by the documents themselves and by the index that servers look them up with.
    private func showWriters(in pool: MongoPool) throws {
        print("---- leases: \(try pool.find("rhythm_servers"))")
        var counts: [String: Int] = [:]
        for document in try pool.find("rhythm_workflows", projection: ["writer": 1, "settled": 1]) {
            guard document["settled"] == false else { continue }
            counts[document["writer"]?.stringValue ?? "", default: 0] += 1
        }
        for (writer, count) in counts.sorted(by: { $0.key < $1.key }) {
            let filter: BSONDocument = ["open": ["$in": [1, 2]], "settled": false, "writer": .string(writer)]
            let found = try pool.find("rhythm_workflows", filter: filter, projection: ["_id": 1])
            print("---- \(writer) is the writer of \(count), of which the index finds \(found.count)")
        }
    }
}
