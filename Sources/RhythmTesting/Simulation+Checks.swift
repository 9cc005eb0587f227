import RhythmCore
import RhythmEngine

extension Simulation {
    /// Compares what was promised, what is durable and what truly runs.
    func check() throws {
        let image = disk.image
        for entry in journal.take() { try take(entry, image) }
        let (changed, problems) = disk.takeChanges()
        if let problem = problems.first { throw Problem(text: problem) }
        for id in changed {
            if let workflow = image.workflows[id] { try checkRecord(workflow, image.events[id] ?? []) }
        }
        for id in clients.known where image.workflows[id] == nil && !clients.mayBeDeleted(id) {
            throw Problem(text: "I6: the acknowledged workflow \(id) is gone")
        }
        for id in clients.deleted where image.workflows[id] != nil {
            throw Problem(text: "I6: \(id) was deleted, but is there")
        }
        for id in clients.cancelled {
            if let workflow = image.workflows[id], !workflow.isCancelled {
                throw Problem(text: "I6: the acknowledged cancel of \(id) is gone")
            }
        }
        for id in clients.pauses.keys where clients.isHeld(id) {
            guard let workflow = image.workflows[id], !workflow.status.isDone, workflow.control != .pausing else {
                continue
            }
            throw Problem(text: "I6: the acknowledged pause of \(id) is gone: \(workflow.status), \(workflow.control)")
        }
    }

    private func take(_ entry: SimulationJournal.Entry, _ image: SimulationDisk.Image) throws {
        switch entry {
        case .problem(let text): throw Problem(text: text)
        case .booted: told = [:]
        case .dispatched(let dispatch): try checkDispatch(dispatch, image)
        case .published(let publication): try checkPublication(publication, image)
        case .replied(let number, let result):
            tally.acknowledged += 1
            note("  answer \(number): \(brief(result))")
            if let problem = clients.take(result, for: number) { throw Problem(text: problem) }
            try checkQuiesced(result, number)
        }
    }

    private func brief(_ result: Result<Reply, RhythmError>) -> String {
        switch result {
        case .success(.started(let workflow, let replayed)): "started \(workflow.id)\(replayed ? " (again)" : "")"
        case .success(.receipt(let receipt, let replayed)):
            "\(receipt.command) \(receipt.accepted ? "accepted" : receipt.reason)\(replayed ? " (again)" : "")"
        case .success(.deleted(let gone)): gone ? "deleted" : "will be deleted"
        case .failure(let error): "\(error)"
        }
    }

    /// A receipt that says "quiesced" is believed only if it is true.
    private func checkQuiesced(_ result: Result<Reply, RhythmError>, _ number: Int) throws {
        guard case .success(.receipt(let receipt, replayed: false)) = result, receipt.accepted, receipt.quiesced,
            let id = clients.requests[number].workflow, receipt.command != .resume, clients.isHeld(id)
        else { return }
        let live = machine.live(of: id)
        if !live.isEmpty { throw Problem(text: "the receipt of request \(number) says quiesced, but \(live) run") }
    }

    // MARK: Dispatches

    private func checkDispatch(_ dispatch: Dispatch, _ image: SimulationDisk.Image) throws {
        let (task, id) = (dispatch.taskID, dispatch.workflowID)
        note("  dispatched \(task), step \(dispatch.step) of \(id)")
        tally.attempts += 1
        let isNew = dispatched.insert(task).inserted
        if !isNew && !attemptsDie { throw Problem(text: "\(task) was dispatched again after it was forgotten") }
        // An attempt that died with the process runs anew, under the same id, if it was to finish its step.
        if clients.isHeld(id), isNew || image.workflows[id]?.control != .pausing {
            throw Problem(text: "I3: \(task) of \(id) was dispatched after an acknowledged pause")
        }
        if clients.deleted.contains(id) { throw Problem(text: "\(task) of the deleted \(id) was dispatched") }
        guard let workflow = image.workflows[id], let position = workflow.position(of: task) else {
            if clients.mayBeDeleted(id) { return }
            throw Problem(text: "\(task) of \(id) was dispatched, but is not stored")
        }
        guard !clients.reruns.contains(id) else { return }
        let step = workflow.steps[position.step]
        if step.attempts.prefix(position.attempt).contains(where: { $0.status == .success }) {
            throw Problem(text: "I1: step \(dispatch.step) of \(id) had succeeded and runs again as \(task)")
        }
        guard position.step > 0 else { return }
        let handed = workflow.steps[position.step - 1].current?.result?.firstElement
        if handed == nil || dispatch.args != .array(of: handed.map { [$0] } ?? []) {
            throw Problem(text: "\(task) got \(dispatch.args), not the accepted result of the step before")
        }
    }

    // MARK: Records and events

    private func checkRecord(_ workflow: Workflow, _ events: [Event]) throws {
        let id = workflow.id
        if events.map(\.version) != Array(1...max(1, workflow.version)) {
            throw Problem(text: "I7: \(id) at version \(workflow.version) has events \(events.map(\.version))")
        }
        if let last = events.last, last.status != workflow.status || last.stepsDone != workflow.pendingIndex {
            throw Problem(text: "I4: \(id) is \(workflow.status), its last event says \(last.status)")
        }
        for step in workflow.steps {
            let counting = step.attempts.filter { !$0.superseded }
            if counting.count > 1 || step.attempts.filter(\.isLive).count > 1 {
                throw Problem(text: "I2: step \(step.spec.name) of \(id) has several attempts that count")
            }
            if workflow.status == .success, counting.map(\.status) != [.success] {
                throw Problem(text: "I1: \(id) succeeded, but not its step \(step.spec.name)")
            }
        }
        if !workflow.status.isDone, workflow.isQuiesced, workflow.nextWakeUp == nil {
            throw Problem(text: "I5: \(id) is \(workflow.status), but nothing will move it")
        }
        if workflow.deletesWhenSettled && workflow.isSettled {
            throw Problem(text: "\(id) was to be deleted as soon as it settled")
        }
    }

    private func checkPublication(_ publication: Publication, _ image: SimulationDisk.Image) throws {
        for change in publication.changes {
            let id = change.workflow.id
            note(
                "  published \(id) \(change.events.map { "\($0.version) \($0.kind)" }), \(change.workflow.status)"
            )
            let before = told[id] ?? change.events.first.map { $0.version - 1 } ?? change.workflow.version
            let versions = change.events.map(\.version)
            guard versions == (0..<versions.count).map({ before + 1 + Int64($0) }),
                change.workflow.version == before + Int64(versions.count)
            else { throw Problem(text: "I7: watchers of \(id) knew version \(before) and were told of \(versions)") }
            told[id] = change.workflow.version
            guard let stored = image.events[id] else { continue }
            if stored.filter({ versions.contains($0.version) }) != change.events {
                throw Problem(text: "watchers of \(id) were told of what is not stored")
            }
        }
        for id in publication.deleted {
            note("  published: \(id) is deleted")
            told[id] = nil
        }
    }

    // MARK: The end

    /// Nothing fails any more and nobody asks for anything: everything that is not held must end.
    func comeToRest() throws {
        note("-- peace")
        disk.heal()
        // What got lost is told again by a restart; all else must come right without one.
        if lostReports || random.once(in: 4) { try restart() }
        disk.heal()
        fuse.arm(after: .max)
        for round in 0..<3000 {
            try check()
            let mail = machine.takeMail { mailbox in
                defer { mailbox = [] }
                return mailbox
            }
            if !mail.isEmpty {
                runner.deliver(mail)
                try process(inbox.take().map { .report($0) })
                continue
            }
            if let (id, attempt) = machine.attempts.first(where: { $0.1.isLive }) {
                advance(id, attempt, gently: true)
                continue
            }
            guard let due = engine?.nextWakeUp else { break }
            if round > 2900 { throw Problem(text: "it never comes to rest") }
            clock.advance(by: due.since(clock.now()))
            try driveTimers()
        }
        try checkRest()
    }

    private func checkRest() throws {
        let image = disk.image
        if let (id, _) = machine.attempts.first { throw Problem(text: "\(id) has ended, but was never settled") }
        if let active = engine?.activeCount, active > 0 {
            throw Problem(text: "\(active) workflows are active for ever")
        }
        for (id, workflow) in image.workflows.sorted(by: { $0.key < $1.key }) {
            tally.workflows += 1
            try checkRecord(workflow, image.events[id] ?? [])
            if clients.doomed.contains(id) { throw Problem(text: "I6: \(id) was to be deleted, but is there") }
            if !workflow.isSettled { throw Problem(text: "I5: \(id) is \(workflow.status) for ever") }
            if let told = told[id], told != workflow.version {
                throw Problem(text: "I7: watchers of \(id) were told up to \(told) of \(workflow.version)")
            }
        }
    }
}
