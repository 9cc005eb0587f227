import HeapModule
import RhythmCore

extension Engine {
    func apply(_ report: Report, _ cycle: inout Cycle) {
        let id = report.workflowID
        let found: Workflow?
        do throws(RhythmError) {
            // What this server follows it has in memory; commits find out whether that is still so.
            if let known = known(id, cycle) { found = known } else { found = try find(id, &cycle) }
        } catch {
            heldReports.append(report)
            retryAt = cycle.now + Self.storeRetryInterval
            return
        }
        if found != nil, active[id] == nil, cycle.works[id] == nil, !follows(id) {
            // Another server follows it, and will see what this one saw.
            cycle.effects.append(.release(report.taskID))
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
        if transition.events.isEmpty { cycle.note(report) }
        if case .progress = report.observation, let position = transition.touched.first,
            let progress = workflow[position].progress
        {
            cycle.note(
                .init(
                    workflowID: workflow.id, step: workflow.steps[position.step].spec.name, taskID: report.taskID,
                    version: workflow.version, progress: progress))
        }
    }

    /// Applies what waits for company: something happens to the workflow.
    func applyLingering(of id: WorkflowID, _ cycle: inout Cycle) {
        for report in lingering.take(id) { apply(report, &cycle) }
    }

    func wakeUp(_ cycle: inout Cycle) {
        while let next = deadlines.min, next.at <= cycle.now {
            deadlines.removeMin()
            guard scheduled[next.id] == next.at else { continue }
            applyLingering(of: next.id, &cycle)
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
