import RhythmCore
import RhythmEngine
import Testing

extension StoreContractRun {
    /// Every field of every kind of record comes back as it was, from the open store and from a new one.
    func roundTrip() throws {
        try fill(workflows: 60)
        try expectAll()
        expectVariety()
        try fixture.close()
        store = try fixture.open()
        try expectAll()
    }

    /// Guards the generator: a round trip of simple records proves little.
    private func expectVariety() {
        let workflows = Array(model.workflows.values)
        let attempts = workflows.flatMap { $0.steps.flatMap(\.attempts) }
        #expect(Set(workflows.map(\.status)) == Set(WorkflowStatus.allCases), seeded)
        #expect(workflows.contains { !$0.requests.isEmpty }, seeded)
        #expect(attempts.contains { $0.progress != nil } && attempts.contains { $0.failure != nil }, seeded)
        #expect(attempts.contains { $0.revocation != nil } && attempts.contains { $0.superseded }, seeded)
        #expect(attempts.contains { $0.worker != nil } && attempts.contains { $0.lateReport != nil }, seeded)
    }

    /// Progress and flags change without a new version; attempts that are not touched stay as they are.
    func changesWithoutEvents() throws {
        try fill(workflows: 10, length: 10...30)
        for (_, workflow) in model.workflows {
            var changed = workflow
            changed.deletesWhenSettled.toggle()
            let receipt = Receipt(command: .pause, accepted: true, quiesced: false, status: .started, version: 1)
            changed.requests = [AppliedRequest(id: "again", receipt: receipt)]
            var touched: Set<AttemptPosition> = []
            if let step = changed.steps.indices.last(where: { !changed.steps[$0].attempts.isEmpty }) {
                let position = AttemptPosition(step: step, attempt: changed.steps[step].attempts.count - 1)
                changed[position].progress = Progress(
                    ProgressReport(
                        name: "rows", done: 0.1 + 0.2, total: 1e300, units: "%", at: samples.now,
                        reported: try JSON(parsing: #"{"done":0.3,"own":["ä",null]}"#)))
                touched.insert(position)
            }
            try commit([WorkflowChange(workflow: changed, isNew: false, touched: touched, events: [])])
        }
        try expectAll()
    }

    /// Nothing to store is no reason to fail.
    func emptyBatch() throws {
        try commit([])
        try expectAll()
        try commit([samples.start()])
        try commit([])
        try expectAll()
    }

    /// A new workflow with an id that is stored, whatever stands before and after it.
    func refusesStoredID() throws {
        try fill(workflows: 6)
        let others = try otherChanges()
        var spec = samples.spec()
        spec.id = model.workflows.keys.first
        try expectConflict(samples.start(spec), between: others + [samples.start()])
    }

    /// Two workflows with one request id.
    func refusesStoredRequest() throws {
        try commit([samples.start(requestID: "once"), samples.start(requestID: ""), samples.start(requestID: "")])
        try expectConflict(samples.start(requestID: "once"), between: try otherChanges())
    }

    /// A change of a workflow that is not stored.
    func refusesUnknown() throws {
        try fill(workflows: 3)
        var change = samples.start()
        change.isNew = false
        try expectConflict(change, between: try otherChanges())
    }

    /// A change that was made from another version than the stored one: somebody else has written in between.
    func refusesOldVersion() throws {
        // A change without a transition shares the version of the one before it, and is stored with the next.
        var untold: Set<AttemptPosition> = []
        let history = samples.history(length: 60).compactMap { change -> WorkflowChange? in
            var change = change
            change.touched.formUnion(untold)
            untold = change.events.isEmpty ? change.touched : []
            return change.events.isEmpty ? nil : change
        }
        try commit([history[0]])
        try #require(history.count > 2, seeded)
        try commit([history[1]])
        try expectConflict(history[1], between: try otherChanges())
        try commit([history[2]])
        try expectAll()
    }

    /// A valid new workflow and a valid change, to see that they share the fate of their batch.
    private func otherChanges() throws -> [WorkflowChange] {
        let first = samples.start()
        try commit([first])
        var workflow = first.workflow
        while true {
            if let change = samples.advance(&workflow) { return [samples.start(), change] }
        }
    }

    /// A deleted workflow is gone from every read, and its id and request id are free.
    func deletions() throws {
        try fill(workflows: 30)
        for _ in 0..<5 / min(2, fixture.thrift) {
            let deleted = model.workflows.keys.sorted().shuffled(using: &samples.random).prefix(4)
            let gone = deleted.compactMap { model.workflows[$0] }
            try commit([samples.start()], deletions: deleted + ["never-was"])
            for workflow in gone {
                #expect(try store.load(workflow.id) == nil, seeded)
                #expect(try store.reader.events(of: workflow.id, after: 0, limit: 10) == [], seeded)
                #expect(try store.workflow(forRequest: workflow.requestID) == nil, seeded)
                for (key, value) in workflow.labels {
                    let query = ListQuery(filter: WorkflowFilter(labels: [key: value]), limit: 100)
                    #expect(try store.reader.list(query) == model.list(query), seeded)
                }
            }
            try expectAll()
            if let again = gone.first {
                var spec = again.spec
                spec.labels = [:]
                try commit([samples.start(spec, requestID: again.requestID)])
            }
        }
        try expectAll()
        try commit([], deletions: Array(model.workflows.keys))
        try expectAll()
    }

    /// All of it is there after the store was closed.
    func closing() throws {
        for _ in 0..<4 / min(2, fixture.thrift) {
            try fill(workflows: 8)
            try fixture.close()
            store = try fixture.open()
            try expectAll()
        }
    }

    /// Everything that was acknowledged is there after the process died, and it can be changed further.
    func crash() throws {
        for _ in 0..<4 / min(2, fixture.thrift) {
            try fill(workflows: 8)
            try fixture.crash()
            store = try fixture.open()
            try expectAll()
            for id in model.workflows.keys.sorted() {
                guard var workflow = model.workflows[id], let change = samples.advance(&workflow) else { continue }
                try commit([change])
            }
        }
        try expectAll()
    }
}
