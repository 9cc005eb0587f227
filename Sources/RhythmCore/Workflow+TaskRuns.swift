/// A run of a step as programs see it that know the Python library's form.
///
/// The library lists the runs that have begun, asks Celery's result document of the last one for the step's status, and
/// knows no other truth. So where that would tell something else than the record does, another run stands at the end.
public struct TaskRun: Sendable, Hashable {
    /// The attempt's id, or one that nothing else has: no more than a worker's word may stand under the id of an attempt
    /// that has yet to be sent, or it would be taken for one.
    public var id: String
    /// Nil if there is none: the workflow is held before its next attempt was made.
    public var attempt: Attempt?
    /// When it began, or the nearest to it that is known.
    public var at: Timestamp
    /// What its result document has to say, if that is known to this server only.
    public var standIn: TaskStatus?
    /// Whether there is anything to be read of it: it has begun, or ended.
    public var isKnown: Bool
}

extension Workflow {
    /// The runs of a step, the oldest first.
    public func taskRuns(ofStep index: Int) -> [TaskRun] {
        let step = steps[index]
        var runs = step.attempts.compactMap { attempt -> TaskRun? in
            guard let began = attempt.begunAt else { return nil }
            return TaskRun(id: attempt.id.rawValue, attempt: attempt, at: began, isKnown: true)
        }
        let word = standIn(atStep: index)
        // Cancelled although every step has succeeded: the last one's run stays as it is.
        let current = word == .revoked && step.current?.status == .success ? nil : step.current
        if let current, let last = runs.indices.last, runs[last].attempt?.id == current.id {
            runs[last].standIn = word
            return runs
        }
        // What the last run says is over, and nothing is known yet of what comes next; or nothing has begun.
        if runs.isEmpty && word == nil { return [] }
        let sent = current.flatMap { $0.isWaiting ? nil : $0 }
        let number = current?.number ?? step.attempts.count + 1
        runs.append(
            TaskRun(
                id: sent?.id.rawValue ?? "rhythm:none:\(id):\(index):\(number)", attempt: current,
                at: current.map { $0.dispatchedAt ?? $0.createdAt } ?? updatedAt, standIn: word, isKnown: word != nil))
        return runs
    }

    /// How the step stands, if Celery's document may not say so.
    private func standIn(atStep index: Int) -> TaskStatus? {
        let current = steps[index].current
        if index == min(pendingIndex, steps.count - 1), status == .failure || status == .revoked {
            // One that is being stopped is about to say so itself.
            return current?.isLive == true ? nil : (status == .failure ? .failure : .revoked)
        }
        return current?.shownStatus == .retry && current?.isWaiting == true ? .retry : nil
    }
}

extension Attempt {
    /// One that is known to run, or to have ended by itself, has begun, even if nobody said when.
    fileprivate var begunAt: Timestamp? {
        startedAt ?? (status == .pending || status == .revoked ? nil : dispatchedAt ?? createdAt)
    }
}
