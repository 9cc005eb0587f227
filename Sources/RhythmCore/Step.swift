/// A step of a workflow: what was asked for, and every attempt at it.
public struct Step: Sendable, Hashable {
    /// What was asked for.
    public let spec: StepSpec
    /// Every attempt, oldest first.
    public var attempts: [Attempt]

    /// Makes a step; stores use this to read one back.
    public init(spec: StepSpec, attempts: [Attempt] = []) {
        self.spec = spec
        self.attempts = attempts
    }

    /// The attempt that counts: the last one, unless the step was set back and has none yet.
    public var current: Attempt? {
        guard let last = attempts.last, !last.superseded else { return nil }
        return last
    }

    /// The status of the attempt that counts; PENDING if there is none.
    public var status: TaskStatus {
        // Asked of every step with every transition: looks in place, where `current` would copy the whole attempt.
        guard let last = attempts.indices.last, !attempts[last].superseded else { return .pending }
        return attempts[last].shownStatus
    }
}
