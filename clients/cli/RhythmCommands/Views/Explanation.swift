package import RhythmCore

/// Why a workflow does not move, or that it does: one sentence for a person who looks at it at three in the morning, made
/// from the record alone.
package struct Explanation: Sendable, Hashable {
    /// What keeps it, as a stable word for programs.
    package enum Reason: String, Sendable, Hashable, CaseIterable {
        /// It is done.
        case succeeded
        /// A step failed.
        case failed
        /// An attempt was stopped by somebody else than this server.
        case revoked
        /// Somebody paused it.
        case paused
        /// Somebody cancelled it.
        case cancelled
        /// An attempt was asked to stop and has not yet.
        case stopping
        /// The delay of a retry policy.
        case delayed
        /// Its runner has stated a reason.
        case waiting
        /// It lies in a queue.
        case queued
        /// It is on its way to a queue.
        case dispatching
        /// A worker runs it.
        case running
        /// A worker will try it again.
        case retrying
    }

    package let reason: Reason
    /// One sentence or two.
    package let text: String
    /// A command that helps; nil if there is nothing to do.
    package let next: String?

    package init(_ workflow: Workflow, now: Timestamp) {
        let id = Phrases.short(workflow.id)
        if let live = workflow.liveAttempts.map({ workflow[$0] }).first(where: { $0.revocation != nil }) {
            let isLong = live.revocation.map { now.since($0.requestedAt) >= Workflow.stopPatience } ?? false
            let way = workflow.isCancelled ? "rhythm cancel \(id) --force" : "rhythm resume \(id) --force"
            self.init(
                .stopping,
                Self.stopping(live, workflow, now: now)
                    + (isLong ? " Forced, it is waited for no longer, although it may still run." : ""),
                next: isLong ? way : "rhythm watch \(id)")
            return
        }
        guard let step = workflow.pendingStep else {
            let count = workflow.steps.count
            guard !workflow.isCancelled else {
                self.init(
                    .cancelled,
                    "It was cancelled, for good, but its last step could not be stopped any more: all \(count) steps"
                        + " succeeded.", next: "rhythm delete \(id)")
                return
            }
            let when = workflow.endedAt.map { " " + Phrases.ago($0, now: now) } ?? ""
            self.init(.succeeded, "It is done: all \(count) steps succeeded\(when).")
            return
        }
        let name = "Step '\(step.spec.name.printable)'"
        switch workflow.control {
        case .cancelled:
            self.init(.cancelled, "It was cancelled, for good; nothing of it runs.", next: "rhythm delete \(id)")
        case .paused:
            self.init(
                .paused, "It is paused before \(name.lowercasingFirst), and nothing of it runs.",
                next: "rhythm resume \(id)")
        default:
            guard let attempt = step.current else {
                self.init(.dispatching, "\(name) has no attempt yet.", next: "rhythm resume \(id) --force")
                return
            }
            self.init(name, step, attempt, workflow, id, now: now)
        }
    }

    private init(
        _ name: String, _ step: Step, _ attempt: Attempt, _ workflow: Workflow, _ id: String, now: Timestamp
    ) {
        let pausing =
            (workflow.control == .pausing ? " The workflow will be paused when it ends." : "") + Self.givenUp(step)
        switch attempt.status {
        case .failure:
            let failure = attempt.failure.map { "\($0.type): \($0.message)".printable } ?? "it does not say why"
            let worker = attempt.worker.map { " on \($0.printable)" } ?? ""
            let task = workflow.pendingStep?.spec.task ?? ""
            let advice = attempt.failure.flatMap { Phrases.advice(on: $0, task: task) }.map { ". " + $0 } ?? ""
            self.init(
                .failed, "\(name) failed (attempt \(attempt.number)\(worker)): \(failure)\(advice)",
                next: "rhythm resume \(id)")
        case .revoked:
            self.init(
                .revoked,
                "\(name) was stopped, not by this server: \(attempt.failure?.message.printable ?? "revoked").",
                next: "rhythm resume \(id)")
        case .retry:
            let waiting = attempt.waiting.map { " It waits: \($0.printable)" } ?? ""
            self.init(
                .retrying,
                "\(name) failed and its worker will try it again (repetition \(attempt.retries)).\(waiting)\(pausing)")
        case .started: self.init(.running, Self.running(name, attempt, now: now) + pausing)
        case .pending where attempt.waitsForServer:
            self.init(
                .dispatching,
                "\(name) waits for a server that can send it to a worker; the one that it was given to could not.\(pausing)",
                next: "rhythm server list")
        case .pending where attempt.isWaiting:
            let due = attempt.notBefore.map { " in " + Phrases.duration(max(.zero, $0.since(now))) } ?? ""
            let losses = step.lossesInARow(before: step.attempts.count - 1)
            guard losses > 0 else {
                self.init(.delayed, "\(name) failed and is tried again\(due), as its retry policy says.")
                return
            }
            let last = step.attempts.dropLast().last?.failure.map { " (\($0.message.printable))" } ?? ""
            self.init(
                .delayed,
                "\(name) was lost before any worker had begun it\(last). It is sent again\(due), for the"
                    + " \(Phrases.ordinal(losses)) of at most \(step.spec.maxLost) times.", next: "rhythm doctor")
        case .pending, .success:
            if let waiting = attempt.waiting {
                self.init(.waiting, "\(name) waits: \(waiting.printable)\(pausing)", next: "rhythm doctor")
            } else if let queued = attempt.queuedAt {
                let queue = attempt.queue.map { " '\($0.printable)'" } ?? ""
                self.init(
                    .queued,
                    "\(name) was put into the queue\(queue) \(Phrases.duration(now.since(queued))) ago; no worker has said"
                        + " that it began it.\(pausing)", next: "rhythm doctor")
            } else {
                let since = Phrases.duration(now.since(attempt.dispatchedAt ?? attempt.createdAt))
                self.init(.dispatching, "\(name) was given to its runner \(since) ago and has not begun.\(pausing)")
            }
        }
    }

    private init(_ reason: Reason, _ text: String, next: String? = nil) {
        self.reason = reason
        self.text = text
        self.next = next
    }

    private static func running(_ name: String, _ attempt: Attempt, now: Timestamp) -> String {
        var text = "\(name) runs"
        if let worker = attempt.worker { text += " on \(worker.printable)" }
        if let started = attempt.startedAt { text += " for \(Phrases.duration(now.since(started)))" }
        if let progress = attempt.progress {
            text += ", \(Phrases.progress(progress)), last heard \(Phrases.ago(progress.updatedAt, now: now))"
        }
        text += "."
        // Something that its runner knows, such as that nothing was heard of its worker.
        if let waiting = attempt.waiting { text += " But \(waiting.printable)" }
        return text
    }

    /// An attempt before the one that counts may still run: somebody did not want to wait for it.
    private static func givenUp(_ step: Step) -> String {
        guard let attempt = step.attempts.dropLast().last(where: { $0.failure?.isGivenUp == true }) else { return "" }
        let worker = attempt.worker.map { " on \($0.printable)" } ?? ""
        return " Attempt \(attempt.number), which was given up, may still run\(worker)."
    }

    private static func stopping(_ attempt: Attempt, _ workflow: Workflow, now: Timestamp) -> String {
        let since = attempt.revocation.map { Phrases.ago($0.requestedAt, now: now) } ?? ""
        let why =
            switch attempt.revocation?.reason {
            case .pause: "the workflow was paused"
            case .cancel: "the workflow was cancelled"
            case .restart: "the step is to run anew"
            case .timeout: "it took longer than the step allows"
            case nil: "it was revoked"
            }
        let worker = attempt.worker.map { " on \($0.printable)" } ?? ""
        var text = "An attempt\(worker) was asked to stop \(since), because \(why), and has not stopped yet."
        if let waiting = attempt.waiting { text += " \(waiting.printable)" }
        if case .resuming = workflow.control { text += " The workflow goes on once it has." }
        return text
    }

    /// The same for programs.
    package func json(of workflow: Workflow) -> JSONValue {
        .object([
            .init("id", .string(workflow.id.rawValue)), .init("status", .string(workflow.status.rawValue)),
            .init("reason", .string(reason.rawValue)), .init("text", .string(text)), .init("next", .optional(next)),
        ])
    }
}

extension String {
    fileprivate var lowercasingFirst: String { prefix(1).lowercased() + dropFirst() }
}
