// What the runs themselves must not show.

extension Court {
    /// A message is run once, except where Celery delivers it twice or the task asked for it.
    mutating func judgeRepeatedMessages(_ workflow: Case) {
        var last: [String: RunRecord.Run] = [:]
        for run in workflow.runs {
            defer { last[run.id] = run }
            guard let before = last[run.id] else { continue }
            let what = "\(name(run)) began twice under one id"
            if run.retries > before.retries {
                // Its own retry, which the workers send themselves.
                continue
            }
            if run.step != before.step {
                violate("\(what), as \(before.step) and as \(run.step)")
            } else if let reason = reasonToRepeat(before, run, workflow) {
                repeatedByCelery.insert(run.id)
                explain("\(what): \(reason)")
            } else {
                violate("\(what), and nothing in the record is a reason")
            }
        }
    }

    private func reasonToRepeat(
        _ first: RunRecord.Run, _ second: RunRecord.Run, _ workflow: Case
    ) -> String? {
        guard let worker = first.worker else { return nil }
        // A worker may have taken the message long before it began.
        let sent = workflow.sent(first)
        if fault([.brokerAway], between: sent, and: second.begin.at) != nil {
            return "the broker went away after the message had been sent"
        }
        if fault([.linkCut], of: worker, between: sent, and: second.begin.at) != nil {
            return "\(worker) was cut off from the broker after the message had been sent"
        }
        guard let kill = kill(of: first), kill.line < second.begin.line else { return nil }
        if first.acknowledgesLate { return "\(worker) was killed before it had acknowledged the message (acks_late)" }
        if kill.at < first.begin.at + judge.taking { return "\(worker) was killed as it took the message" }
        return nil
    }

    /// Never two live runs of one workflow.
    mutating func judgeOverlaps(_ workflow: Case) {
        for (index, run) in workflow.runs.enumerated() {
            for earlier in workflow.runs[..<index] where isLive(earlier, atBeginOf: run) {
                let what = "\(name(run)) began while \(name(earlier)) was at work"
                // What outlives its own repetition is known to nobody but the worker that has it.
                // So is a repetition that comes when the workflow has gone on.
                let isRepetition = workflow.runs[..<index].contains { $0.id == run.id }
                let culprit = isRepetition ? run.id : earlier.id
                if repeatedByCelery.contains(culprit) {
                    explain("\(what): Celery ran \(culprit) twice")
                } else {
                    violate(what)
                }
            }
        }
    }

    /// It has not ended, as far as anybody could know: it wrote its end down later, or its process was seen alive, and
    /// nobody had killed it by then. A process that only waits to be reaped is not alive.
    private func isLive(_ earlier: RunRecord.Run, atBeginOf run: RunRecord.Run) -> Bool {
        if let end = earlier.end { return end.line > run.begin.line }
        guard run.besides.contains(earlier.run) else { return false }
        return (kill(of: earlier)?.line ?? .max) > run.begin.line
    }

    /// A step's success is not repeated unless somebody asked for that.
    mutating func judgeRepeatedSuccesses(_ workflow: Case) {
        for (index, run) in workflow.runs.enumerated() {
            let earlier = workflow.runs[..<index].last { other in
                other.step == run.step && other.id != run.id && other.succeeded
                    && (other.end?.line ?? .max) < run.begin.line
            }
            guard let earlier, let end = earlier.end else { continue }
            if workflow.wasRestarted(from: earlier.begin, to: run.begin, only: "start-over") { continue }
            let what = "\(name(run)) repeats \(name(earlier)), which had succeeded"
            if let reason = reasonToForget(earlier, end, run, workflow) {
                explain("\(what): \(reason)")
            } else {
                violate(what)
            }
        }
    }

    /// Why a success may never have been stored, although its task returned.
    private func reasonToForget(
        _ earlier: RunRecord.Run, _ end: RunRecord.Moment, _ run: RunRecord.Run, _ workflow: Case
    ) -> String? {
        guard let worker = earlier.worker else { return nil }
        if fault([.databaseAway], between: end.at - judge.storing, and: end.at + judge.storing) != nil {
            return "the database was away as \(worker) was to store the result"
        }
        if let kill = kill(of: earlier), kill.line > end.line, kill.at < end.at + judge.storing {
            return "\(worker) was killed before it can have stored the result"
        }
        let stop = workflow.stops.last { $0.asked.line < run.begin.line && $0.asked.line > earlier.begin.line }
        if let stop, stop.asked.at < end.at + judge.storing, end.at < (stop.told?.at ?? .infinity) + judge.storing {
            return "it was told to stop (\(stop.command)) as it ended"
        }
        return nil
    }

    /// A step that has begun begins again only by its own retry policy or by a command.
    mutating func judgeSilentRepetitions(_ workflow: Case) {
        var steps: Set<String> = []
        for step in workflow.runs.map(\.step) where steps.insert(step).inserted {
            var budget = workflow.attemptsAllowed(of: step)
            var ids: Set<String> = []
            var last: RunRecord.Run?
            for run in workflow.runs where run.step == step && ids.insert(run.id).inserted {
                defer { last = run }
                guard let last else { continue }
                if workflow.wasRestarted(from: last.begin, to: run.begin) {
                    budget = workflow.attemptsAllowed(of: step)
                    continue
                }
                budget -= 1
                guard budget < 1 else { continue }
                let allowed = workflow.attemptsAllowed(of: step)
                violate(
                    "\(name(run)) begins a step again that \(last.id) had begun, "
                        + (allowed > 1 ? "beyond the \(allowed) attempts of its policy" : "without a retry policy")
                        + " and without a command")
            }
        }
    }

    /// Steps run in their order, and each is given what the one before it gave.
    mutating func judgeOrder(_ workflow: Case) {
        for run in workflow.runs {
            guard let index = workflow.steps.firstIndex(of: run.step) else {
                if !workflow.steps.isEmpty { violate("\(name(run)) ran, a step that nobody asked for") }
                continue
            }
            guard index > 0 else {
                let start = workflow.calls.last { $0.command == "start" && $0.fields["given"] != nil }
                if let start, let wanted = start.fields["given"], let given = run.given, given != wanted,
                    !workflow.restarts.contains(where: { $0.fields["given"] == given })
                {
                    violate("\(name(run)) was given \(given), and not \(wanted) as asked for")
                }
                continue
            }
            let before = workflow.runs.filter {
                $0.step == workflow.steps[index - 1] && $0.succeeded && ($0.end?.line ?? .max) < run.begin.line
            }
            if before.isEmpty {
                violate("\(name(run)) began although \(workflow.steps[index - 1]) had not succeeded")
            } else if let given = run.given, before.allSatisfy({ $0.gave != nil && $0.gave != given }),
                !workflow.restarts.contains(where: { $0.fields["given"] == given })
            {
                violate("\(name(run)) was given \(given), and not \(before.compactMap(\.gave)) of the step before it")
            }
        }
    }

    func name(_ run: RunRecord.Run) -> String {
        "\(run.workflow)/\(run.step) \(run.id)" + (run.worker.map { " on \($0)" } ?? "")
    }
}
