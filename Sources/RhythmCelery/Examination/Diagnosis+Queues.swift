import RhythmAMQP
import RhythmCore
import RhythmEngine

// MARK: Queues, and the tasks in them

extension Diagnosis {
    private func queue(of need: TaskNeed) -> String { need.queue ?? evidence.configuration.defaultQueue }

    /// Queues that are needed, and those that workers take from.
    var queueFindings: [Finding] {
        let needed = Dictionary(grouping: needs) { queue(of: $0) }
        var findings: [Finding] = []
        for (name, needs) in needed { findings.append(finding(onQueue: name, needs)) }
        var priorities: [String: [Int64?]] = [:]
        for worker in evidence.workers {
            for queue in worker.answers.queues ?? [] { priorities[queue.name, default: []].append(queue.maxPriority) }
        }
        for (name, values) in priorities {
            guard let least = values.map({ $0 ?? 0 }).min(), least < 9 else { continue }
            findings.append(
                Finding(
                    .notice, "no_priority", "queue \(name)",
                    least == 0 ? "it has no priorities" : "its highest priority is \(least)",
                    consequence:
                        "later steps do not go before earlier ones: workflows that have nearly ended wait behind"
                        + " those that begin",
                    remedy: "task_queue_max_priority = 10 in every worker; the queue must be deleted before, as the"
                        + " arguments of a queue cannot change"))
        }
        for name in evidence.strange {
            findings.append(
                Finding(
                    .warning, "unknown_worker", "queue \(name)", "more take from it than the workers that are known",
                    consequence: "a step of it that is to be stopped, or that may be lost, waits for whoever that is",
                    remedy: "a worker without heartbeats is known once it is not busy; one that cannot be heard needs"
                        + " control_exchange = '\(evidence.configuration.controlExchange)'; nothing but workers may take"
                        + " from a queue of steps"))
        }
        return findings + routeFindings
    }

    /// Steps that go to another queue than the workers' own applications would send their tasks to. This server puts a
    /// message into the queue of its step, or into its own default one, and nowhere else.
    private var routeFindings: [Finding] {
        needs.flatMap { need -> [Finding] in
            let name = queue(of: need)
            for worker in evidence.workers {
                guard let settings = worker.answers.settings, worker.answers.tasks?[need.task] != nil,
                    !worker.takes(from: name)
                else { continue }
                let consequence =
                    "\(Self.whose([need])) \(need.isDue ? "waits" : "will wait") in queue \(name), which that worker"
                    + " does not take from"
                if let routed = settings.routes[need.task], routed != name {
                    return [
                        Finding(
                            .warning, "task_routes", "task \(need.task)",
                            "task_routes of worker \(worker.name) send it to queue \(routed), its step goes to \(name)",
                            consequence: consequence, remedy: "queue: \(routed) in the step")
                    ]
                }
                if need.queue == nil, let own = settings.defaultQueue, own != name, worker.takes(from: own) {
                    return [
                        Finding(
                            .warning, "default_queue", "task \(need.task)",
                            "its step names no queue and goes to \(name), while task_default_queue of worker"
                                + " \(worker.name) is \(own)",
                            consequence: consequence, remedy: "queue: \(own) in the step, or --default-queue \(own)")
                    ]
                }
            }
            return []
        }
    }

    private func finding(onQueue name: String, _ needs: [TaskNeed]) -> Finding {
        let isDue = needs.contains { $0.isDue }
        let workflows = Self.whose(needs)
        let severity: Finding.Severity = isDue ? .error : .warning
        let consequence =
            isDue
            ? "\(workflows) cannot go on" : "\(workflows) will wait there when it comes to that step"
        let subject = "queue \(name)"
        let remedy = "start a worker with --queues \(name), or correct the queue in the workflow"
        switch evidence.queues[name] {
        case .missing:
            return Finding(
                severity, "queue_missing", subject, "it does not exist: no worker has ever taken from it",
                consequence: consequence, remedy: remedy)
        case .locked:
            return Finding(
                severity, "queue_locked", subject, "it belongs to one connection of somebody else",
                consequence: consequence, remedy: "choose another name")
        case .found(let ready, 0):
            return Finding(
                severity, "no_consumer", subject,
                "no worker takes from it, \(Self.count(ready, "message")) \(ready == 1 ? "waits" : "wait")",
                consequence: consequence, remedy: remedy)
        case .found(let ready, let consumers):
            return Finding(
                .ok, "queue", subject,
                "\(Self.count(consumers, "worker")) \(consumers == 1 ? "takes" : "take") from it,"
                    + " \(Self.count(ready, "message")) \(ready == 1 ? "waits" : "wait")")
        case .unknown(let reason):
            return Finding(
                .warning, "queue_unknown", subject, "it could not be looked at: \(reason)",
                consequence: "a lost step cannot be told from one that waits", remedy: "see what the broker's log says")
        case nil:
            return Finding(
                .warning, "queue_unknown", subject, "the broker did not tell in time",
                consequence: "it is not checked", remedy: "ask again")
        }
    }

    /// Tasks that no worker has, or not every worker that may get them.
    var taskFindings: [Finding] {
        // A worker that has not told its tasks may have any.
        guard !evidence.workers.isEmpty else { return [] }
        let told = evidence.workers.filter { $0.answers.tasks != nil && $0.answers.queues != nil }
        let isWhole = told.count == evidence.workers.filter { $0.standing != .dead && !$0.isForeign }.count
        return needs.flatMap { need -> [Finding] in
            let name = queue(of: need)
            let takers = told.filter { $0.takes(from: name) }
            let owners = told.filter { $0.answers.tasks?[need.task] != nil }
            let ignorant = takers.filter { $0.answers.tasks?[need.task] == nil }
            let subject = "task \(need.task)"
            let elsewhere =
                owners.isEmpty
                ? ""
                : "; \(owners.prefix(3).map(\.name).joined(separator: ", ")) "
                    + (owners.count == 1 ? "has it" : "have it")
            if !takers.isEmpty, ignorant.count < takers.count, let first = ignorant.first {
                return [
                    Finding(
                        .warning, "task_unknown_to_some", subject,
                        "of the \(takers.count) workers of queue \(name), \(ignorant.count) (\(first.name)) do not know"
                            + " it",
                        consequence: "a step fails with NotRegistered whenever one of those takes it",
                        remedy: "have all workers of the queue import it, or use a queue of its own")
                ]
            }
            guard ignorant.count == takers.count, !takers.isEmpty || (owners.isEmpty && isWhole) else { return [] }
            return [
                Finding(
                    need.isDue ? .error : .warning, "task_unknown", subject,
                    takers.isEmpty
                        ? "no worker knows it" : "no worker of queue \(name) knows it" + elsewhere,
                    consequence: "\(Self.whose([need])) \(need.isDue ? "fails" : "will fail") with NotRegistered when a"
                        + " worker takes the step",
                    remedy: owners.isEmpty
                        ? "have a worker import it (include), or correct the task in the workflow"
                        : "give the step the queue of a worker that knows it, or have this queue's workers import it")
            ]
        }
    }

    /// `workflow 36b598c1...`, or how many.
    private static func whose(_ needs: [TaskNeed]) -> String {
        let most = needs.map(\.workflows).max() ?? 0
        if most == 1, let need = needs.first(where: \.isDue) ?? needs.first { return "workflow \(need.example)" }
        return needs.count > 1 ? "at least \(most) workflows" : "\(most) workflows"
    }
}
