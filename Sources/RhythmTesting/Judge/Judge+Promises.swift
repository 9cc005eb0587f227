// What was acknowledged must not be undone.

extension Court {
    /// After the answer to a pause or a cancel nothing begins but what had been sent before, which is one attempt at
    /// most; after somebody was told that nothing runs any more, nothing at all.
    mutating func judgeStops(_ workflow: Case) {
        for call in workflow.calls {
            guard let told = call.told, call.command == "status" || call.isAccepted else { continue }
            let isHold = ["pause", "cancel"].contains(call.command)
            let isQuiet =
                call.fields["quiesced"] == "1"
                && ["REVOKED", "FAILURE", "SUCCESS"].contains(call.fields["status"] ?? "")
            guard isHold || isQuiet else { continue }
            // A restart that was under way at the same time may have come later.
            let isOvertaken = workflow.restarts.contains {
                $0.asked.line < told.line && ($0.told?.line ?? .max) > call.asked.line
            }
            guard !isOvertaken else { continue }
            let until = workflow.restarts.map(\.asked.line).filter { $0 > told.line }.min() ?? .max
            let known = Set(workflow.runs.filter { $0.begin.line < told.line }.map(\.id))
            let later = workflow.runs.filter { $0.begin.line > told.line && $0.begin.line < until }
            if isQuiet, let run = later.first {
                violate(
                    "\(name(run)) began after a client was told that nothing of it runs"
                        + " (\(call.command), \(call.fields["status"] ?? ""))")
                continue
            }
            if isQuiet, let run = workflow.runs.first(where: { isAtWork($0, at: told) }) {
                let what = "a client was told that nothing runs of it (\(call.command)) while \(name(run)) was at work"
                if repeatedByCelery.contains(run.id) { explain(what) } else { violate(what) }
            }
            guard isHold else { continue }
            let fresh = Set(later.map(\.id)).subtracting(known)
            let alive = workflow.runs.filter { $0.begin.line < told.line && isSeenAlive($0, after: told, in: workflow) }
            if fresh.count + (alive.isEmpty ? 0 : 1) > 1 {
                let begun = later.filter { fresh.contains($0.id) }.map { name($0) }
                violate("\(begun.joined(separator: ", ")) began after the answer to a \(call.command)")
            }
        }
    }

    /// As it wrote down itself; of one that never wrote its end nobody can say.
    private func isAtWork(_ run: RunRecord.Run, at told: RunRecord.Moment) -> Bool {
        run.begin.line < told.line && (run.end?.line ?? 0) > told.line
    }

    private func isSeenAlive(_ run: RunRecord.Run, after told: RunRecord.Moment, in workflow: Case) -> Bool {
        if let end = run.end { return end.line > told.line }
        return workflow.runs.contains { $0.begin.line > told.line && $0.besides.contains(run.run) }
    }

    /// What was accepted has come to what was asked for, as clients were told in the end.
    mutating func judgePromises(_ workflow: Case) {
        guard let start = workflow.calls.first(where: { $0.command == "start" }) else {
            violate("\(workflow.workflow) ran, and nobody asked for it")
            return
        }
        guard let last = workflow.lastRead, let told = last.told else {
            if start.isAccepted { violate("\(workflow.workflow) was accepted, and nobody was told what became of it") }
            return
        }
        let status = last.fields["status"] ?? ""
        judgeEnd(workflow, status)
        for call in workflow.calls where call.isAccepted {
            guard let version = call.version, let final = last.version, version > final else { continue }
            violate(
                "\(workflow.workflow) has version \(final) in the end; \(call.command) had been answered with \(version)"
            )
        }
        guard let ids = last.fields["ids"] else { return }
        let known = Set(ids.split(separator: ",").map(String.init))
        for run in workflow.runs where run.begin.line < told.line && !known.contains(run.id) {
            violate("\(name(run)) ran, and is not in what clients are told")
        }
    }

    private mutating func judgeEnd(_ workflow: Case, _ status: String) {
        let accepted = workflow.calls.filter { $0.isAccepted && $0.told != nil }
        let control = accepted.last { ["pause", "cancel", "resume", "start-over"].contains($0.command) }
        switch status {
        case "SUCCESS":
            for step in workflow.steps where !workflow.runs.contains(where: { $0.step == step && $0.succeeded }) {
                violate("\(workflow.workflow) is told to be SUCCESS, and no run of \(step) has succeeded")
            }
        case "REVOKED":
            if accepted.contains(where: { $0.command == "cancel" }) || control?.command == "pause" { return }
            let done = control.map { "\($0.command) was acknowledged last" } ?? "nobody stopped it"
            violate("\(workflow.workflow) is REVOKED in the end although \(done)")
        case "FAILURE":
            if accepted.contains(where: { $0.command == "cancel" }) {
                violate("\(workflow.workflow) is FAILURE in the end although its cancel was acknowledged")
            }
            // The step that failed is the last one that began.
            guard let last = workflow.runs.last, last.succeeded, let end = last.end else { return }
            let what =
                "\(workflow.workflow) is told to be FAILURE although the last run of it, of \(last.step), succeeded"
            let isLost =
                fault([.databaseAway], between: end.at - judge.storing, and: end.at + judge.storing) != nil
                || kill(of: last).map { $0.at < end.at + judge.storing } == true
            if isLost { explain("\(what): the result cannot have been stored") } else { violate(what) }
        default: violate("\(workflow.workflow) is \(status) in the end, and does not end")
        }
    }
}

extension RunRecord.Call {
    var version: Int64? { fields["version"].flatMap { Int64($0) } }
}
