import HeapModule
public import Logging
public import RhythmCore

/// The one writer of workflow state: takes commands and reports in order, asks the core what follows, stores it, and
/// only then performs the effects and answers.
///
/// Everything that arrived while the last commit was on its way to the disk is stored by the next one, so a thousand
/// concurrent starts share a few fsyncs. The engine has no thread, clock or randomness of its own: it does one cycle
/// whenever ``process(_:)`` is called, and says by ``nextWakeUp`` when it wants to be called at the latest. It is not
/// Sendable; `EngineService` keeps one on a lane, simulations call it from a loop.
///
/// What a crash leaves behind needs no repair: the stored records say which attempts are dispatched and which are to
/// stop (``Workflow/outstandingEffects``), and ``start()`` gives exactly that to the runner again.
public final class Engine {
    /// Progress is stored at most this often.
    static let progressInterval = Duration.seconds(1)
    /// How long to wait after a store refused, before trying again.
    static let storeRetryInterval = Duration.seconds(1)

    private let store: any Store
    private let runner: any TaskRunner
    private let clock: any EngineClock
    private let makeID: @Sendable () -> String
    private let publish: @Sendable (Publication) -> Void
    private let logger: Logger

    /// Every workflow that is not settled, as it is stored (but for progress of the last second).
    private var active: [WorkflowID: Workflow] = [:]
    /// Attempts whose progress is newer than the store's.
    private var unsavedProgress: [WorkflowID: Set<AttemptPosition>] = [:]
    private var progressDueAt: Timestamp?
    private var deadlines = Heap<Deadline>()
    /// The deadline that each workflow has in the heap; other entries of it there are outdated.
    private var scheduled: [WorkflowID: Timestamp] = [:]
    /// Reports that could not be stored yet.
    private var heldReports: [Report] = []
    /// Workflows whose last commit has an unknown outcome: to be read again before anything else is done to them.
    private var doubtful: [WorkflowID: Doubt] = [:]
    private var retryAt: Timestamp?

    /// Makes an engine over its ports.
    ///
    /// - Parameters:
    ///   - makeID: gives a fresh id (a lower-case UUIDv4) for every workflow and attempt.
    ///   - publish: takes what each cycle changed, after it is stored; called on the engine's lane, must not block.
    public init(
        store: any Store, runner: any TaskRunner, clock: any EngineClock, makeID: @escaping @Sendable () -> String,
        publish: @escaping @Sendable (Publication) -> Void, logger: Logger
    ) {
        self.store = store
        self.runner = runner
        self.clock = clock
        self.makeID = makeID
        self.publish = publish
        self.logger = logger
    }

    /// How many workflows are not settled.
    public var activeCount: Int { active.count }

    /// Why the store refuses to store; nil while it works.
    public private(set) var storeTrouble: StoreError?

    /// When ``process(_:)`` has to be called at the latest, even without input.
    public var nextWakeUp: Timestamp? {
        // While the store refuses, what is due cannot be done: no sooner than the next try.
        retryAt ?? [deadlines.min?.at, progressDueAt].compactMap(\.self).min()
    }

    /// Reads every workflow that is not settled and gives the runner what is outstanding. Called once, first.
    public func start(report: @escaping @Sendable ([Report]) -> Void) throws(StoreError) {
        var effects: [Effect] = []
        var publication = Publication()
        for workflow in try store.loadUnsettled() {
            install(workflow)
            effects += workflow.outstandingEffects
            publication.changes.append(.init(workflow: workflow, events: []))
            if workflow.nextWakeUp == nil, workflow.isQuiesced, !workflow.control.holds {
                logger.critical("workflow \(workflow.id) is active but nothing will move it (invariant I5)")
            }
        }
        logger.info("recovered", metadata: ["workflows": "\(active.count)", "effects": "\(effects.count)"])
        publish(publication)
        runner.start(outstanding: effects, report: report)
    }

    /// One cycle: applies the inputs and all that is due, stores the result in one commit, performs the effects,
    /// publishes, answers.
    public func process(_ inputs: [Input]) {
        var cycle = Cycle(now: clock.now())
        retryAt = nil
        settleDoubts(now: cycle.now)
        let held = heldReports
        heldReports = []
        for report in held { apply(report, &cycle) }
        for input in inputs {
            switch input {
            case .command(let command, let scope, let reply): apply(command, scope, reply, &cycle)
            case .report(let report): apply(report, &cycle)
            }
        }
        wakeUp(&cycle)
        finish(&cycle)
    }
}

// MARK: Commands

extension Engine {
    private func apply(
        _ command: Command, _ scope: AppScope, _ reply: @escaping ReplyHandler, _ cycle: inout Cycle
    ) {
        do throws(RhythmError) {
            switch command {
            case .start(let spec, let requestID):
                cycle.answer(reply, .success(try start(spec, requestID, scope, &cycle)))
            case .pause(let id, let mode, let options):
                let answer = try change(id, .pause, options, scope, &cycle) {
                    workflow, transition throws(RhythmError) in
                    workflow.pause(mode, in: &transition)
                }
                cycle.answer(reply, .success(answer))
            case .resume(let id, let request, let options):
                let answer = try change(id, .resume, options, scope, &cycle) {
                    workflow, transition throws(RhythmError) in
                    try workflow.resume(
                        args: request.args, from: request.fromStep, force: request.force, in: &transition)
                }
                cycle.answer(reply, .success(answer))
            case .cancel(let id, let options):
                let answer = try change(id, .cancel, options, scope, &cycle) {
                    workflow, transition throws(RhythmError) in
                    workflow.cancel(in: &transition)
                }
                cycle.answer(reply, .success(answer))
            case .delete(let id, let cancelFirst):
                var (workflow, transition) = try open(id, scope, &cycle)
                let gone = try workflow.requestDeletion(cancelFirst: cancelFirst, in: &transition)
                cycle.absorb(transition, of: workflow, forced: true)
                cycle.answer(reply, .success(.deleted(gone)))
            }
        } catch {
            cycle.answer(reply, .failure(error))
        }
    }

    private func start(
        _ spec: WorkflowSpec, _ requestID: String, _ scope: AppScope, _ cycle: inout Cycle
    ) throws(RhythmError) -> Reply {
        try spec.validate()
        if !requestID.isEmpty, let earlier = try workflow(forRequest: requestID, cycle) {
            var asked = earlier.spec
            if spec.id == nil { asked.id = nil }
            guard asked == spec else {
                // Request ids are shared by all applications; of a foreign one no more is told than that.
                let what = scope.contains(earlier.appID) ? "workflow \(earlier.id)" : "a workflow"
                throw RhythmError(
                    .alreadyExists, reason: "REQUEST_ID_REUSED",
                    "request id '\(requestID)' started \(what) with another body; use a new request id",
                    field: "request_id")
            }
            return .started(earlier, replayed: true)
        }
        if let id = spec.id, try find(id, cycle) != nil {
            throw RhythmError(
                .alreadyExists, reason: "ID_IN_USE", "there is a workflow '\(id)' already; choose another id",
                field: "id")
        }
        var transition = newTransition(cycle)
        let workflow = Workflow.start(
            id: spec.id ?? WorkflowID(makeID()), spec: spec, requestID: requestID, in: &transition)
        cycle.absorb(transition, of: workflow, isNew: true)
        if !requestID.isEmpty { cycle.startedRequests[requestID] = workflow.id }
        return .started(workflow, replayed: false)
    }

    private func change(
        _ id: WorkflowID, _ kind: Receipt.Command, _ options: CommandOptions, _ scope: AppScope, _ cycle: inout Cycle,
        _ command: (inout Workflow, inout Transition) throws(RhythmError) -> Receipt
    ) throws(RhythmError) -> Reply {
        var (workflow, transition) = try open(id, scope, &cycle)
        if !options.requestID.isEmpty, let earlier = workflow.requests.first(where: { $0.id == options.requestID }) {
            guard earlier.receipt.command == kind else {
                throw RhythmError(
                    .alreadyExists, reason: "REQUEST_ID_REUSED",
                    "request id '\(options.requestID)' was that of a \(earlier.receipt.command.rawValue); use a new one",
                    field: "request_id")
            }
            return .receipt(earlier.receipt, replayed: true)
        }
        if let expected = options.expectedVersion, expected != workflow.version {
            throw RhythmError(
                .aborted, reason: "VERSION_MISMATCH",
                "workflow \(id) has version \(workflow.version), not \(expected); look again", field: "expected_version"
            )
        }
        let receipt = try command(&workflow, &transition)
        let remembers = !options.requestID.isEmpty && receipt.accepted
        if remembers {
            workflow.requests.append(AppliedRequest(id: options.requestID, receipt: receipt))
            workflow.requests.removeFirst(max(0, workflow.requests.count - AppliedRequest.kept))
        }
        if remembers || !transition.isEmpty { cycle.absorb(transition, of: workflow, forced: remembers) }
        return .receipt(receipt, replayed: false)
    }

    private func open(
        _ id: WorkflowID, _ scope: AppScope, _ cycle: inout Cycle
    ) throws(RhythmError) -> (Workflow, Transition) {
        // What an earlier command of this cycle deletes is gone for the later ones. What is out of scope is not there:
        // the error tells no difference.
        guard let workflow = try find(id, cycle), scope.contains(workflow.appID), !cycle.deletes(workflow) else {
            throw RhythmError(
                .notFound, reason: "NO_SUCH_WORKFLOW", "there is no workflow '\(id)'", field: "workflow_id")
        }
        return (workflow, newTransition(cycle))
    }

    /// The workflow as it is in this cycle, in memory, or in the store.
    private func find(_ id: WorkflowID, _ cycle: Cycle) throws(RhythmError) -> Workflow? {
        if let work = cycle.works[id] { return work.workflow }
        if doubtful[id] != nil {
            throw RhythmError(
                storeTrouble ?? StoreError(.unavailable, "workflow \(id) has yet to be read again after a failure"))
        }
        if let workflow = active[id] { return workflow }
        do throws(StoreError) { return try store.load(id) } catch { throw RhythmError(error) }
    }

    private func workflow(forRequest requestID: String, _ cycle: Cycle) throws(RhythmError) -> Workflow? {
        if let id = cycle.startedRequests[requestID] { return try find(id, cycle) }
        let id: WorkflowID?
        do throws(StoreError) { id = try store.workflow(forRequest: requestID) } catch { throw RhythmError(error) }
        guard let id else { return nil }
        return try find(id, cycle)
    }

    private func newTransition(_ cycle: Cycle) -> Transition {
        let makeID = makeID
        return Transition(now: cycle.now) { TaskID(makeID()) }
    }
}

// MARK: Reports and timers

extension Engine {
    private func apply(_ report: Report, _ cycle: inout Cycle) {
        let found: Workflow?
        do throws(RhythmError) {
            found = try find(report.workflowID, cycle)
        } catch {
            heldReports.append(report)
            retryAt = cycle.now + Self.storeRetryInterval
            return
        }
        cycle.reports.append(report)
        guard var workflow = found else {
            // Deleted meanwhile: nobody wants to know, and the runner need not keep it.
            if report.observation.isEnd { cycle.effects.append(.settle(report.taskID)) }
            return
        }
        var transition = newTransition(cycle)
        workflow.observe(report.observation, of: report.taskID, in: &transition)
        guard !transition.isEmpty else { return }
        cycle.absorb(transition, of: workflow)
        if case .progress = report.observation, let position = transition.touched.first,
            let progress = workflow[position].progress
        {
            cycle.note(
                .init(
                    workflowID: workflow.id, step: workflow.steps[position.step].spec.name, taskID: report.taskID,
                    version: workflow.version, progress: progress))
        }
    }

    private func wakeUp(_ cycle: inout Cycle) {
        while let next = deadlines.min, next.at <= cycle.now {
            deadlines.removeMin()
            guard scheduled[next.id] == next.at else { continue }
            scheduled[next.id] = nil
            guard doubtful[next.id] == nil,
                var workflow = cycle.works[next.id]?.workflow ?? active[next.id]
            else { continue }
            var transition = newTransition(cycle)
            workflow.wakeUp(in: &transition)
            if transition.isEmpty { schedule(workflow) } else { cycle.absorb(transition, of: workflow) }
        }
    }
}

// MARK: Commit, then effects

extension Engine {
    private func finish(_ cycle: inout Cycle) {
        let batch = makeBatch(&cycle)
        if !batch.isEmpty {
            do throws(StoreError) {
                try store.commit(batch)
            } catch {
                abandon(cycle, batch, error)
                return
            }
            if storeTrouble != nil {
                logger.notice("the store works again")
                storeTrouble = nil
            }
        }
        var publication = Publication()
        for id in cycle.order {
            guard let work = cycle.works[id], !batch.deletions.contains(id) else { continue }
            if !work.touched.isEmpty { unsavedProgress[id, default: []].formUnion(work.touched) }
            if work.needsCommit { publication.changes.append(.init(workflow: work.workflow, events: work.events)) }
            install(work.workflow)
        }
        for change in batch.changes { unsavedProgress[change.workflow.id] = nil }
        progressDueAt = unsavedProgress.isEmpty ? nil : (progressDueAt ?? cycle.now + Self.progressInterval)
        for id in batch.deletions { forget(id, cycle, &publication) }
        if !cycle.effects.isEmpty { runner.perform(cycle.effects) }
        publication.progress = cycle.progressOrder.compactMap { cycle.progress[$0] }
        // Before the answers: whoever got one and looks must see at least what it says.
        if !publication.isEmpty { publish(publication) }
        for (reply, result) in cycle.replies { reply(result) }
    }

    private func makeBatch(_ cycle: inout Cycle) -> CommitBatch {
        var batch = CommitBatch()
        let savesProgress = progressDueAt.map { $0 <= cycle.now } ?? false
        if savesProgress { progressDueAt = nil }
        for id in cycle.order {
            guard let work = cycle.works[id] else { continue }
            let touched = work.touched.union(unsavedProgress[id] ?? [])
            if cycle.deletes(work.workflow) {
                batch.deletions.append(id)
            } else if work.needsCommit || (savesProgress && !touched.isEmpty) {
                batch.changes.append(
                    WorkflowChange(workflow: work.workflow, isNew: work.isNew, touched: touched, events: work.events))
            }
        }
        guard savesProgress else { return batch }
        for (id, positions) in unsavedProgress.sorted(by: { $0.key < $1.key }) {
            guard cycle.works[id] == nil, doubtful[id] == nil, let workflow = active[id] else { continue }
            batch.changes.append(WorkflowChange(workflow: workflow, isNew: false, touched: positions, events: []))
        }
        return batch
    }

    /// The commit failed: everything stays as it was, clients are told, reports and timers are tried again.
    private func abandon(_ cycle: Cycle, _ batch: CommitBatch, _ error: StoreError) {
        if storeTrouble == nil { logger.error("the store refuses: \(error)") }
        storeTrouble = error
        let failure = RhythmError(error)
        for (reply, result) in cycle.replies {
            // Any other refusal may rest on what another command of this cycle did, which now has not happened.
            if case .failure(let error) = result, error.code == .invalidArgument {
                reply(result)
            } else {
                reply(.failure(failure))
            }
        }
        heldReports = Self.worthKeeping(cycle.reports) + heldReports
        retryAt = cycle.now + Self.storeRetryInterval
        progressDueAt = unsavedProgress.isEmpty ? nil : retryAt
        if error.outcomeUnknown || error.code == .conflict {
            for change in batch.changes {
                doubtful[change.workflow.id] = Doubt(change.workflow, events: change.events)
            }
            for id in batch.deletions {
                guard let work = cycle.works[id] else { continue }
                doubtful[id] = Doubt(work.workflow, events: work.events)
            }
        }
        for id in cycle.order { if let workflow = active[id] { schedule(workflow) } }
    }

    /// Of each attempt all but its progress, and of that the latest: the store may be away for long.
    private static func worthKeeping(_ reports: [Report]) -> [Report] {
        var seen: Set<TaskID> = []
        let kept = reports.reversed().filter { report in
            if case .progress = report.observation { seen.insert(report.taskID).inserted } else { true }
        }
        return kept.reversed()
    }

    /// Reads again what may or may not have been stored, then performs what may not have been performed and tells what
    /// nobody was told. All of that is stored already, so it is done at once, whatever becomes of this cycle.
    private func settleDoubts(now: Timestamp) {
        for (id, doubt) in doubtful.sorted(by: { $0.key < $1.key }) {
            let found: Workflow?
            var events: [Event] = []
            do throws(StoreError) {
                found = try store.load(id)
                if found != nil { events = try store.reader.events(of: id, after: doubt.known, limit: .max) }
            } catch {
                storeTrouble = error
                retryAt = now + Self.storeRetryInterval
                return
            }
            doubtful[id] = nil
            unsavedProgress[id] = nil
            var publication = Publication()
            if let found {
                install(found)
                let effects = found.outstandingEffects
                if !effects.isEmpty { runner.perform(effects) }
                if !events.isEmpty { publication.changes.append(.init(workflow: found, events: events)) }
            } else if doubt.known > 0 {
                active[id] = nil
                scheduled[id] = nil
                runner.purge(doubt.tasks)
                publication.deleted.append(id)
            }
            if !publication.isEmpty { publish(publication) }
        }
    }

    private func install(_ workflow: Workflow) {
        if workflow.isSettled {
            active[workflow.id] = nil
            scheduled[workflow.id] = nil
            unsavedProgress[workflow.id] = nil
        } else {
            active[workflow.id] = workflow
            schedule(workflow)
        }
    }

    private func schedule(_ workflow: Workflow) {
        guard let due = workflow.nextWakeUp else {
            scheduled[workflow.id] = nil
            return
        }
        if scheduled.updateValue(due, forKey: workflow.id) != due {
            deadlines.insert(Deadline(at: due, id: workflow.id))
        }
    }

    private func forget(_ id: WorkflowID, _ cycle: Cycle, _ publication: inout Publication) {
        active[id] = nil
        scheduled[id] = nil
        unsavedProgress[id] = nil
        if let work = cycle.works[id] {
            runner.purge(work.workflow.steps.flatMap { $0.attempts.map(\.id) })
        }
        publication.deleted.append(id)
    }
}

/// What was known of a workflow before a commit of unknown outcome.
private struct Doubt {
    /// The version that watchers were told of last; 0 if it was new.
    let known: Int64
    /// Its attempts, to be purged should it turn out to be deleted.
    let tasks: [TaskID]

    init(_ workflow: Workflow, events: [Event]) {
        known = workflow.version - Int64(events.count)
        tasks = workflow.steps.flatMap { $0.attempts.map(\.id) }
    }
}

/// When a workflow has to be looked at.
private struct Deadline: Comparable {
    let at: Timestamp
    let id: WorkflowID

    static func < (lhs: Self, rhs: Self) -> Bool { (lhs.at, lhs.id) < (rhs.at, rhs.id) }
}
