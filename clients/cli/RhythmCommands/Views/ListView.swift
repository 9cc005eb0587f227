package import RhythmCore

/// Lists as people and programs look at them.
package enum ListView {
    /// A table of workflows.
    package static func table(_ rows: [WorkflowSummary], now: Timestamp, style: Style) -> String {
        guard !rows.isEmpty else { return "No workflows.\n" }
        var table = Table(["ID", "NAME", "APP", "STATUS", "STEPS", "STEP", "CREATED", "DURATION"])
        for row in rows {
            table.add([
                Phrases.short(row.id), row.name.printable.truncated(to: 40), row.appID.printable.truncated(to: 24),
                status(row, style), "\(row.stepsDone)/\(row.totalSteps)",
                row.pendingStep.isEmpty ? "-" : row.pendingStep.printable.truncated(to: 32),
                Phrases.ago(row.createdAt, now: now),
                row.startedAt.map { Phrases.duration((row.endedAt ?? now).since($0)) } ?? "-",
            ])
        }
        return table.render(style: style)
    }

    private static func status(_ row: WorkflowSummary, _ style: Style) -> String {
        let word = style.status(row.status)
        if row.isCancelled { return word + " (cancelled)" }
        if row.isPaused { return word + (row.status == .revoked ? " (paused)" : " (pausing)") }
        return word
    }

    /// A table of counts.
    package static func counts(_ counts: [WorkflowStatus: Int], style: Style) -> String {
        var table = Table(["STATUS", "WORKFLOWS"])
        for status in WorkflowStatus.allCases { table.add([style.status(status), "\(counts[status] ?? 0)"]) }
        table.add(["all", "\(counts.values.reduce(0, +))"])
        return table.render(style: style)
    }
}
