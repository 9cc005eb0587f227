import RhythmCore

/// The transitions that a record of the Python library shows, numbered as ours are.
///
/// The library keeps none; what can be told from a record is that the workflow was made, and when each attempt began and
/// ended. As attempts are only added, and end once, the numbers grow as the workflow goes on. What the library loses (a
/// write over a newer one) makes them shrink; watches then start again with a snapshot.
enum LegacyHistory {
    /// How many transitions a record shows.
    static func version(of workflow: Workflow) -> Int64 {
        workflow.steps.reduce(1) { sum, step in
            step.attempts.reduce(sum) { $0 + ($1.status.isEnd ? 2 : 1) }
        }
    }

    static func events(of workflow: Workflow) -> [Event] {
        var replay = workflow
        for index in replay.steps.indices { replay.steps[index].attempts = [] }
        var events: [Event] = []
        func add(_ kind: Event.Kind, at: Timestamp, step: String = "", _ attempt: Attempt? = nil, detail: String = "") {
            events.append(
                Event(
                    workflowID: workflow.id, version: Int64(events.count + 1), at: at, kind: kind,
                    status: replay.status, stepsDone: replay.pendingIndex, step: step, taskID: attempt?.id,
                    attempt: attempt?.number ?? 0, detail: detail))
        }
        add(.created, at: workflow.createdAt)
        for (index, step) in workflow.steps.enumerated() {
            for attempt in step.attempts {
                if let last = replay.steps[index].attempts.indices.last {
                    replay.steps[index].attempts[last].superseded = true
                }
                let began = attempt.startedAt ?? attempt.createdAt
                var running = attempt
                running.superseded = false
                running.status = .started
                replay.steps[index].attempts.append(running)
                add(.started, at: began, step: step.spec.name, attempt)
                guard attempt.status.isEnd else { continue }
                replay.steps[index].attempts[replay.steps[index].attempts.count - 1].status = attempt.status
                add(
                    kind(of: attempt.status), at: attempt.endedAt ?? began, step: step.spec.name, attempt,
                    detail: attempt.failure?.message ?? "")
            }
        }
        return events
    }

    private static func kind(of status: TaskStatus) -> Event.Kind {
        switch status {
        case .success: .succeeded
        case .revoked: .revoked
        case .failure, .pending, .started, .retry: .failed
        }
    }
}
