package import RhythmClient
package import RhythmCore

/// What is known of the workflows of a watch, and how it is shown: as bars that are drawn again and again, or as lines
/// that are written once.
package struct WatchBoard: Sendable {
    /// One workflow on the board.
    struct Row: Sendable {
        var summary: WorkflowSummary
        var steps: [StepSnapshot]
        /// The latest progress of the attempt that runs.
        var progress: StepProgress?
        /// What the last transition said.
        var detail = ""

        var isDone: Bool { summary.status.isDone }
    }

    /// The columns of a bar.
    static let barWidth = 24
    /// As lines, progress is told again after so many hundredths or seconds.
    static let progressStep = 0.1
    static let progressInterval = Duration.seconds(10)

    private var rows: [WorkflowID: Row] = [:]
    private var order: [WorkflowID] = []
    private var told: [WorkflowID: (fraction: Double, at: Timestamp)] = [:]

    package init() {}

    /// Those that ended in FAILURE or REVOKED.
    package var failed: [WorkflowSummary] {
        order.compactMap { rows[$0]?.summary }.filter { $0.status == .failure || $0.status == .revoked }
    }

    /// Takes an update.
    /// - Returns: the line that tells it where nothing can be drawn again; nil if it is not worth one.
    package mutating func take(_ update: WatchUpdate, now: Timestamp, style: Style = .plain) -> String? {
        switch update {
        case .snapshot(let snapshot): return take(snapshot, style)
        case .transition(let event): return take(event, style)
        case .progress(let update): return take(update, now: now)
        case .gap(let id, _): return "\(label(id)) some changes were missed; what follows is how it is now"
        case .deleted(let id):
            let line = "\(label(id)) deleted"
            rows[id] = nil
            order.removeAll { $0 == id }
            return line
        case .interrupted, .limited: return nil
        }
    }

    private mutating func take(_ snapshot: WorkflowSnapshot, _ style: Style) -> String {
        let id = snapshot.summary.id
        if rows[id] == nil { order.append(id) }
        var row = Row(summary: snapshot.summary, steps: snapshot.steps)
        if let step = snapshot.steps.first(where: { $0.name == snapshot.summary.pendingStep }) {
            if let progress = step.progress, let taskID = step.taskID {
                row.progress = StepProgress(workflowID: id, step: step.name, taskID: taskID, progress: progress)
            }
            if step.status == .failure { row.detail = failure(step.failureType, step.failureMessage) }
        }
        rows[id] = row
        return "\(stamp(snapshot.summary.updatedAt)) \(label(id)) \(style.status(snapshot.summary.status)) "
            + position(row)
    }

    private func failure(_ type: String, _ message: String) -> String { message.isEmpty ? type : "\(type): \(message)" }

    private mutating func take(_ event: Event, _ style: Style) -> String {
        let id = event.workflowID
        guard var row = rows[id] else {
            return "\(stamp(event.at)) \(Phrases.short(id)) \(sentence(event)) \(style.status(event.status))"
        }
        let before = row.summary.status
        row.summary.status = event.status
        row.summary.stepsDone = event.stepsDone
        row.summary.version = event.version
        row.summary.updatedAt = event.at
        row.summary.pendingStep = row.steps.indices.contains(event.stepsDone) ? row.steps[event.stepsDone].name : ""
        switch event.kind {
        case .started: row.summary.startedAt = row.summary.startedAt ?? event.at
        case .paused: row.summary.isPaused = true
        case .resumed: row.summary.isPaused = false
        case .cancelled: row.summary.isCancelled = true
        case .created, .dispatched, .retrying, .succeeded, .failed, .retryScheduled, .revoking, .revoked, .pausing,
            .lateReport:
            break
        }
        row.summary.endedAt = event.status.isDone ? event.at : nil
        if event.kind != .lateReport {
            row.detail = event.detail
            if event.taskID != row.progress?.taskID { row.progress = nil }
        }
        if let index = row.steps.firstIndex(where: { $0.name == event.step }) {
            row.steps[index].attempt = event.attempt
            row.steps[index].taskID = event.taskID
        }
        rows[id] = row
        let end = event.status == before ? "" : ", now \(style.status(event.status))"
        return "\(stamp(event.at)) \(label(id)) \(sentence(event))\(end)"
    }

    private mutating func take(_ update: StepProgress, now: Timestamp) -> String? {
        guard rows[update.workflowID] != nil else { return nil }
        rows[update.workflowID]?.progress = update
        let fraction = update.progress.fractionDone ?? 0
        if let last = told[update.workflowID], fraction >= last.fraction, fraction < 1 || last.fraction >= 1,
            fraction < last.fraction + Self.progressStep, now.since(last.at) < Self.progressInterval
        {
            return nil
        }
        told[update.workflowID] = (fraction, now)
        return "\(stamp(update.progress.updatedAt)) \(label(update.workflowID)) \(update.step.printable) "
            + Phrases.progress(update.progress)
    }

    /// Every workflow as one line, none longer than the terminal is wide, no more than it has room for.
    package func lines(now: Timestamp, columns: Int, rows limit: Int, style: Style) -> [String] {
        var shown = order
        // Where there is no room for all, those that still run are worth more.
        if shown.count > limit {
            let active = shown.filter { rows[$0]?.isDone == false }
            let done = shown.filter { rows[$0]?.isDone == true }
            shown = Array((active + done.reversed()).prefix(max(1, limit - 1)))
        }
        let width = min(32, shown.compactMap { rows[$0]?.summary.name.printable.columns }.max() ?? 0)
        var lines = shown.compactMap { id in
            rows[id].map { line($0, now: now, nameWidth: width, columns: columns, style: style) }
        }
        if shown.count < order.count { lines.append("... and \(order.count - shown.count) more") }
        return lines
    }

    private func line(_ row: Row, now: Timestamp, nameWidth: Int, columns: Int, style: Style) -> String {
        let name = row.summary.name.printable.truncated(to: nameWidth).padded(to: nameWidth)
        let head = "\(name)  \(Phrases.short(row.summary.id))  "
        guard !row.isDone else {
            let rest = end(row)
            let word = row.summary.status.rawValue
            let room = columns - head.columns - word.columns
            return head + style.status(word) + rest.truncated(to: max(0, room))
        }
        let text = head + bar(row, now: now)
        return text.truncated(to: columns)
    }

    private func end(_ row: Row) -> String {
        let summary = row.summary
        var took = ""
        if let started = summary.startedAt, let ended = summary.endedAt {
            took = " after \(Phrases.duration(ended.since(started)))"
        }
        switch summary.status {
        case .success: return "  \(summary.totalSteps) steps\(took)"
        case .revoked:
            let why = summary.isCancelled ? "cancelled" : "paused"
            return "  \(why) at \(position(row))\(took)"
        case .failure, .pending, .started:
            return "  \(position(row))\(took)" + (row.detail.isEmpty ? "" : ": \(row.detail.printable)")
        }
    }

    private func bar(_ row: Row, now: Timestamp) -> String {
        var text = position(row)
        guard let progress = row.progress?.progress else {
            text += "  " + (row.summary.startedAt.map { Phrases.duration(now.since($0)) } ?? "waiting")
            return row.detail.isEmpty ? text : text + "  \(row.detail.printable)"
        }
        if let fraction = progress.fractionDone {
            let full = Int(fraction * Double(Self.barWidth))
            text += "  [" + String(repeating: "#", count: full)
            text += String(repeating: "-", count: Self.barWidth - full) + "]"
        }
        return text + "  " + Phrases.progress(progress).replacing(", ", with: "  ")
    }

    private func position(_ row: Row) -> String {
        guard !row.summary.pendingStep.isEmpty else { return "\(row.summary.totalSteps)/\(row.summary.totalSteps)" }
        return "\(row.summary.stepsDone + 1)/\(row.summary.totalSteps) \(row.summary.pendingStep.printable)"
    }

    private func label(_ id: WorkflowID) -> String {
        let name = rows[id].map { $0.summary.name.printable + " " } ?? ""
        return name + Phrases.short(id)
    }

    private func stamp(_ time: Timestamp) -> String { Phrases.clock(time) }

    private func sentence(_ event: Event) -> String {
        let step = event.step.printable
        let attempt = event.attempt > 1 ? " (attempt \(event.attempt))" : ""
        let text =
            switch event.kind {
            case .created: "created"
            case .dispatched: "\(step) dispatched\(attempt)"
            case .started: "\(step) started\(attempt)"
            case .retrying: "\(step) is tried again by its worker\(attempt)"
            case .succeeded: "\(step) succeeded\(attempt)"
            case .failed: "\(step) failed\(attempt)"
            case .retryScheduled: "\(step) will be tried again\(attempt)"
            case .revoking: "\(step) is being stopped\(attempt)"
            case .revoked: "\(step) was stopped\(attempt)"
            case .pausing: "pauses after the running step"
            case .paused: "paused"
            case .resumed: "resumed"
            case .cancelled: "cancelled"
            case .lateReport: "\(step) reported an end after its end\(attempt)"
            }
        return event.detail.isEmpty ? text : "\(text): \(event.detail.printable)"
    }
}
