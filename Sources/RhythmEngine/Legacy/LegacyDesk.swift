import Dispatch
public import RhythmCore
import Synchronization

/// Deals with workflows that another orchestrator drives: pauses and resumes them, and adopts those that got stuck.
///
/// It asks the workers what they hold before anything is decided, which takes seconds; so it works on a queue of its own,
/// beside the engine, and only what it has decided goes to the engine. Thread-safe; answers come on any thread.
public final class LegacyDesk: Sendable {
    let documents: any LegacyDocuments
    let runner: any TaskRunner
    let clock: any EngineClock
    let queue = DispatchQueue(label: "rhythm.legacy")

    /// How many workflows of a filter one call looks at.
    static let adoptionMax = 200
    /// How long an attempt that was told to stop may take before the one who asked is told how things stand.
    static let patience: Duration = .seconds(10)
    /// Between two looks at it.
    static let pause: DispatchTimeInterval = .milliseconds(100)

    init(_ documents: any LegacyDocuments, runner: any TaskRunner, clock: any EngineClock) {
        self.documents = documents
        self.runner = runner
        self.clock = clock
    }

    /// Those of these ids that another orchestrator drives, as readers show them. May block on a database.
    public func states(_ ids: [WorkflowID]) throws(StoreError) -> [LegacyState] { try documents.states(ids) }

    /// The ids of those that a filter means and whose stored status is not SUCCESS, the oldest first. May block too.
    public func unfinished(
        _ filter: WorkflowFilter, within scope: AppScope, limit: Int
    ) throws(StoreError) -> [WorkflowID] {
        try documents.unfinished(filter, within: scope, limit: limit)
    }

    /// Asks the workers; the answer comes on the desk's queue.
    func inspect(_ workflows: [Workflow], then: @escaping @Sendable (Inspection) -> Void) {
        guard let inspector = runner as? any AttemptInspector else {
            let none = Inspection(trouble: "this server has no broker")
            return queue.async { then(none) }
        }
        let subjects = Dictionary(workflows.map { ($0.id, Inspection.Subject($0)) }, uniquingKeysWith: { $1 })
        inspector.inspect(subjects) { [queue] inspection in queue.async { then(inspection) } }
    }
}

extension Inspection.Subject {
    /// What the record of one of the library's tells. Its workers hand one step over to the next: so whoever ran the step
    /// before the pending one may be at it until the pending one has begun.
    init(_ workflow: Workflow) {
        guard let pending = workflow.pendingStep else {
            self.init(queues: [], begun: .nothing)
            return
        }
        let index = workflow.pendingIndex
        // Also those of later steps: an attempt that turns up may have been that of the pending one.
        let open = workflow.steps.dropFirst(max(0, index - 1))
        let last = pending.current ?? (index > 0 ? workflow.steps[index - 1].current : nil)
        // What has failed is over, and its worker sends nothing after it.
        let mayRun = pending.attempts.filter { $0.status != .failure && $0.status != .success }
        let begun: Begun =
            switch last {
            case nil: .nothing
            case .some(let last) where last.status == .failure: .nothing
            case .some(let last): last.worker.map { .by($0) } ?? .bySomebody
            }
        self.init(
            queues: Set(open.map(\.spec.queue)), workers: Set(mayRun.compactMap(\.worker)), begun: begun)
    }
}

// MARK: Adopting

extension LegacyDesk {
    func adopt(
        _ request: AdoptionRequest, within scope: AppScope, by service: EngineService,
        reply: @escaping @Sendable (Result<AdoptionReply, RhythmError>) -> Void
    ) {
        queue.async { [self] in
            do throws(StoreError) {
                var ids: [WorkflowID] = []
                for id in request.ids where !ids.contains(id) { ids.append(id) }
                var hasMore = false
                if let filter = request.filter {
                    let meant = try documents.unfinished(filter, within: scope, limit: Self.adoptionMax + 1)
                    hasMore = meant.count > Self.adoptionMax
                    ids += meant.prefix(Self.adoptionMax).filter { !ids.contains($0) }
                }
                let first = try documents.states(ids).map(\.workflow).filter { scope.contains($0.appID) }
                inspect(first) { [ids, hasMore] inspection in
                    self.decide(ids, inspection, request, scope, service, hasMore: hasMore, reply)
                }
            } catch {
                reply(.failure(RhythmError(error)))
            }
        }
    }

    private func records(
        _ ids: [WorkflowID], within scope: AppScope
    ) throws(StoreError) -> [WorkflowID: LegacyRecord] {
        if ids.isEmpty { return [:] }
        let found = try documents.records(ids).filter { scope.contains($0.workflow.appID) }
        return Dictionary(found.map { ($0.workflow.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The records are read anew: what was true when the workers answered may have been written since.
    private func decide(
        _ ids: [WorkflowID], _ inspection: Inspection, _ request: AdoptionRequest, _ scope: AppScope,
        _ service: EngineService, hasMore: Bool,
        _ reply: @escaping @Sendable (Result<AdoptionReply, RhythmError>) -> Void
    ) {
        let rule = AdoptionRule(
            force: request.force, args: request.args, quietFor: request.quietFor, now: clock.now())
        let tally = Tally(count: ids.count) { outcomes in
            reply(.success(AdoptionReply(outcomes: outcomes, hasMore: hasMore)))
        }
        do throws(StoreError) {
            let records = try records(ids, within: scope)
            for (index, id) in ids.enumerated() {
                guard let record = records[id] else {
                    tally.set(index, try strange(id, scope, service))
                    continue
                }
                switch rule.judge(record, inspection) {
                case .leave(let outcome): tally.set(index, outcome)
                case .adopt(let found) where request.dryRun:
                    tally.set(index, Self.outcome(id, .wouldAdopt, found))
                case .adopt(let found):
                    service.take(Self.adoption(of: record, found)) { result in
                        tally.set(index, Self.outcome(id, found, result))
                    }
                }
            }
        } catch {
            reply(.failure(RhythmError(error)))
        }
    }

    static func adoption(of record: LegacyRecord, _ found: AdoptionRule.Diagnosis) -> Adoption {
        var record = record
        if let args = found.args { record.workflow = record.workflow.with(args: args) }
        return Adoption(record: record, plan: found.plan, detail: "adopted: \(found.defect)")
    }

    private func strange(
        _ id: WorkflowID, _ scope: AppScope, _ service: EngineService
    ) throws(StoreError) -> AdoptionOutcome {
        guard let workflow = try service.workflow(id), scope.contains(workflow.appID) else {
            return AdoptionOutcome(
                workflowID: id, kind: .refused, reason: "NO_SUCH_WORKFLOW", detail: "there is no workflow '\(id)'")
        }
        return AdoptionOutcome(workflowID: id, kind: .notStuck, reason: "OURS", detail: "it is this server's already")
    }

    private static func outcome(
        _ id: WorkflowID, _ kind: AdoptionOutcome.Kind, _ found: AdoptionRule.Diagnosis
    ) -> AdoptionOutcome {
        AdoptionOutcome(workflowID: id, kind: kind, reason: found.reason, defect: found.defect, detail: found.action)
    }

    private static func outcome(
        _ id: WorkflowID, _ found: AdoptionRule.Diagnosis, _ result: Result<Workflow, RhythmError>
    ) -> AdoptionOutcome {
        switch result {
        case .success: outcome(id, .adopted, found)
        case .failure(let error):
            AdoptionOutcome(
                workflowID: id, kind: .refused, reason: error.reason, defect: found.defect, detail: error.message)
        }
    }
}

/// Collects answers that come in any order, and hands them on when the last one is there.
private final class Tally: Sendable {
    private let outcomes: Mutex<[AdoptionOutcome?]>
    private let done: @Sendable ([AdoptionOutcome]) -> Void

    init(count: Int, done: @escaping @Sendable ([AdoptionOutcome]) -> Void) {
        outcomes = Mutex(Array(repeating: nil, count: count))
        self.done = done
        if count == 0 { done([]) }
    }

    func set(_ index: Int, _ outcome: AdoptionOutcome) {
        let all = outcomes.withLock { outcomes -> [AdoptionOutcome]? in
            outcomes[index] = outcome
            return outcomes.contains { $0 == nil } ? nil : outcomes.compactMap(\.self)
        }
        if let all { done(all) }
    }
}
