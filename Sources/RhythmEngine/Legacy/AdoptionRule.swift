import RhythmCore

/// Decides what is wrong with a workflow of the original library, whether it may be touched, and how it goes on. Pure.
///
/// It may be touched when nothing of it moves: nobody has changed it for a while, no worker holds anything of it, every
/// worker that might has said so, and no message waits in the queue where a message of it could be. The library learns
/// the id of an attempt only when the attempt begins, so any message there might be one.
struct AdoptionRule {
    /// What was decided.
    enum Verdict {
        case adopt(Diagnosis)
        case leave(AdoptionOutcome)
    }

    /// What is wrong and what helps.
    struct Diagnosis {
        var reason: String
        /// A sentence.
        var defect: String
        var plan: AdoptionPlan
        /// What follows, a sentence.
        var action: String
        /// A message of it that nobody has taken may wait in the queue of its pending step.
        var mayBeQueued = true
        /// The arguments that the workflow gets because it had none.
        var args: JSON?
        /// It cannot go on without arguments from whoever asks.
        var needsArgs = false
    }

    let force: Bool
    let args: JSON?
    let quietFor: Duration
    let now: Timestamp

    func judge(_ record: LegacyRecord, _ inspection: Inspection) -> Verdict {
        let holders = Self.holders(of: record.workflow, in: inspection)
        if let holder = holders.first, record.resumeLock == nil, record.foundAttempts.isEmpty {
            let step = holder.step.isEmpty ? "a step of it" : "step '\(holder.step)'"
            return leave(record, .notStuck, "RUNNING", detail: "it runs: worker \(holder.worker) has \(step)")
        }
        guard var found = diagnose(record) else {
            return leave(record, .notStuck, "IN_ORDER", detail: Self.orderly(record.workflow))
        }
        if let holder = holders.first {
            let current = record.workflow.pendingStep?.current
            guard force, holders.count == 1, current?.id == holder.taskID, current?.isLive == true else {
                return leave(
                    record, .refused, "HELD", found,
                    detail: "worker \(holder.worker) has attempt \(holder.taskID) of it; pause it first")
            }
            found.plan = .stopAndRestart
            found.action = "its attempt is stopped, then the step is run again"
        } else if !force, let obstacle = obstacle(record, inspection, found) {
            return leave(record, .refused, obstacle.reason, found, detail: obstacle.detail)
        }
        if found.needsArgs {
            return leave(
                record, .refused, "ARGS_NEEDED", found,
                detail: "its arguments are stored nowhere; give them (--args, a JSON array)")
        }
        return .adopt(found)
    }

    /// Attempts of a workflow that workers hold, also such that its record does not know.
    static func holders(of workflow: Workflow, in inspection: Inspection) -> [Inspection.Holding] {
        inspection.held.filter { $0.workflowID == workflow.id || workflow.position(of: $0.taskID) != nil }
            .sorted { ($0.worker, $0.taskID) < ($1.worker, $1.taskID) }
    }

    private func leave(
        _ record: LegacyRecord, _ kind: AdoptionOutcome.Kind, _ reason: String, _ found: Diagnosis? = nil,
        detail: String
    ) -> Verdict {
        .leave(
            AdoptionOutcome(
                workflowID: record.workflow.id, kind: kind, reason: reason, defect: found?.defect ?? "", detail: detail)
        )
    }

    /// Why it may still move; nil if it does not.
    private func obstacle(
        _ record: LegacyRecord, _ inspection: Inspection, _ found: Diagnosis
    ) -> (reason: String, detail: String)? {
        let age = now.since(record.changedAt)
        if age < quietFor {
            return (
                "MOVING",
                "it changed \(Self.words(age)) ago and may still move; try again when it has been quiet for"
                    + " \(Self.words(quietFor))"
            )
        }
        return Self.doubt(record.workflow, inspection, mayBeQueued: found.mayBeQueued)
    }

    /// Why nobody can say that nothing of it is on its way; nil if it is sure.
    static func doubt(
        _ workflow: Workflow, _ inspection: Inspection, mayBeQueued: Bool
    ) -> (reason: String, detail: String)? {
        if let trouble = inspection.trouble { return ("CANNOT_ASK", "the workers cannot be asked: \(trouble)") }
        guard let silent = inspection.silent[workflow.id] else {
            return ("CANNOT_ASK", "the workers were not asked about it")
        }
        // Where no message can be on its way, only what has begun can be with somebody.
        if let silent = silent.first(where: { mayBeQueued || $0.mayRun }) {
            return ("SILENT_WORKER", "\(silent.who) does not answer and may have something of it")
        }
        guard mayBeQueued, let step = workflow.pendingStep else { return nil }
        let name = step.spec.queue.map { "queue \($0)" } ?? "the default queue"
        switch inspection.queues[step.spec.queue] {
        case .missing, .waiting(0): return nil
        case .waiting(let count):
            return ("QUEUED", "\(count) messages wait in \(name); one of them may be step '\(step.spec.name)'")
        case .unknown(let reason): return ("CANNOT_ASK", "\(name) cannot be looked at: \(reason)")
        case nil: return ("CANNOT_ASK", "\(name) was not looked at")
        }
    }

    private static func orderly(_ workflow: Workflow) -> String {
        guard let step = workflow.pendingStep else { return "every step has succeeded" }
        let word = step.status == .revoked ? "was revoked" : "has failed"
        return "step '\(step.spec.name)' \(word); a resume lets it go on"
    }
}

extension AdoptionRule {
    /// `40 min`, `20 s`, `3 h`, `2 days`.
    static func words(_ duration: Duration) -> String {
        let seconds = max(0, duration.wholeMilliseconds / 1000)
        switch seconds {
        case ..<120: return "\(seconds) s"
        case ..<7200: return "\(seconds / 60) min"
        case ..<172_800: return "\(seconds / 3600) h"
        default: return "\(seconds / 86_400) days"
        }
    }

    func ago(_ time: Timestamp?) -> String { time.map { Self.words(now.since($0)) + " ago" } ?? "some time ago" }
}
