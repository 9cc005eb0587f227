package import RhythmCore

/// A workflow as people look at it.
package struct StatusView: Sendable {
    /// Lines of a traceback that are shown.
    static let tracebackLines = 12

    private let workflow: Workflow
    private let follower: Follower?
    private let staleness: Duration?
    private let now: Timestamp
    private let style: Style

    package init(
        _ workflow: Workflow, follower: Follower? = nil, staleness: Duration? = nil, now: Timestamp, style: Style
    ) {
        self.workflow = workflow
        self.follower = follower
        self.staleness = staleness
        self.now = now
        self.style = style
    }

    /// All of it.
    package func render() -> String {
        [header, steps, failure, next].filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private var header: String {
        var rows: [(String, String)] = [
            ("Workflow", "\(style.bold(workflow.name.printable))  \(workflow.id)"),
            ("Status", statusLine),
            ("App", workflow.appID.printable),
        ]
        if !workflow.description.isEmpty { rows.append(("About", workflow.description.printable)) }
        if !workflow.labels.isEmpty {
            let labels = workflow.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)".printable }
            rows.append(("Labels", labels.joined(separator: " ")))
        }
        rows.append(("Created", when(workflow.createdAt)))
        if let started = workflow.startedAt {
            if let ended = workflow.endedAt {
                rows.append(("Ended", "\(when(ended)), after \(Phrases.duration(ended.since(started)))"))
            } else {
                rows.append(("Started", when(started)))
            }
        }
        // Where one server has everything to itself there is nothing to tell.
        if let follower, follower.lease != nil || follower.isGone {
            rows.append(("Followed", FollowerView.line(follower)))
        }
        if let staleness { rows.append(("Old", FollowerView.stale(staleness))) }
        return rows.map { "\($0.0.padded(to: 9)) \($0.1)\n" }.joined()
    }

    private var statusLine: String {
        let index = workflow.pendingIndex
        var line = style.status(workflow.status)
        switch workflow.control {
        case .cancelled: line += ", cancelled"
        case .paused: line += ", paused"
        case .pausing: line += ", pauses after the running step"
        case .resuming: line += ", resumes once the old attempt is gone"
        case .running: break
        }
        if let step = workflow.pendingStep {
            line += ", step \(index + 1) of \(workflow.steps.count) (\(step.spec.name.printable))"
        } else {
            line += ", all \(workflow.steps.count) steps done"
        }
        if !workflow.isQuiesced, workflow.status.isDone { line += ", still stopping" }
        return line
    }

    private func when(_ time: Timestamp) -> String { "\(Phrases.clock(time)) (\(Phrases.ago(time, now: now)))" }

    private var steps: String {
        var table = Table(["#", "STEP", "TASK", "STATUS", "ATTEMPT", "STARTED", "DURATION", "PROGRESS"])
        for (index, step) in workflow.steps.enumerated() {
            let attempt = step.current
            table.add([
                "\(index + 1)", step.spec.name.printable, step.spec.task.printable,
                style.status(step.status.rawValue), attempt.map { "\($0.number)" } ?? "-",
                attempt?.startedAt.map { Phrases.ago($0, now: now) } ?? "-",
                duration(of: attempt), detail(of: attempt),
            ])
        }
        return table.render(style: style)
    }

    private func duration(of attempt: Attempt?) -> String {
        guard let started = attempt?.startedAt else { return "-" }
        let end = attempt?.endedAt ?? now
        return Phrases.duration(end.since(started))
    }

    private func detail(of attempt: Attempt?) -> String {
        guard let attempt else { return "" }
        if let failure = attempt.failure { return Self.oneLine(failure).truncated(to: 60) }
        if attempt.status == .success { return "" }
        if let notBefore = attempt.notBefore, attempt.isWaiting, notBefore > now {
            return "again in \(Phrases.duration(notBefore.since(now)))"
        }
        if let waiting = attempt.waiting { return waiting.printable }
        return attempt.progress.map { Phrases.progress($0) } ?? ""
    }

    private static func oneLine(_ failure: Failure) -> String {
        let message = failure.message.isEmpty ? failure.type : "\(failure.type): \(failure.message)"
        return message.split(whereSeparator: \.isNewline).first.map { String($0).printable } ?? ""
    }

    private var failure: String {
        guard workflow.status == .failure, let step = workflow.pendingStep, let attempt = step.current,
            let failure = attempt.failure
        else { return "" }
        var text = "Step '\(step.spec.name.printable)' failed (attempt \(attempt.number)"
        text += attempt.worker.map { " on \($0.printable))" } ?? ")"
        text += ":\n  \(failure.type.printable): \(failure.message.printable)\n"
        let lines = failure.traceback.split(whereSeparator: \.isNewline)
        if lines.count > Self.tracebackLines { text += "  | ...\n" }
        for line in lines.suffix(Self.tracebackLines) { text += "  | \(String(line).printable)\n" }
        if let advice = Phrases.advice(on: failure, task: step.spec.task) { text += "\(advice)\n" }
        return text
    }

    private var next: String {
        let id = Phrases.short(workflow.id)
        var hints: [(String, String)] = []
        if let step = workflow.pendingStep, step.current?.startedAt != nil {
            hints.append(("rhythm logs \(id) --step '\(step.spec.name.printable)'", "what the step wrote"))
        }
        if workflow.isCancelled {
            hints.append(("rhythm delete \(id)", "remove it with its logs"))
        } else {
            switch workflow.status {
            case .pending, .started:
                hints.insert(("rhythm watch \(id)", "see it go on"), at: 0)
                hints.append(("rhythm pause \(id)", "hold it"))
            case .failure: hints.append(("rhythm resume \(id)", "run the failed step again"))
            case .revoked: hints.append(("rhythm resume \(id)", "let it go on"))
            case .success: return ""
            }
            if workflow.status.isDone { hints.append(("rhythm cancel \(id)", "give it up for good")) }
        }
        let width = hints.map(\.0.columns).max() ?? 0
        return "Next:\n" + hints.map { "  \($0.0.padded(to: width))  \(style.faint($0.1))\n" }.joined()
    }
}
