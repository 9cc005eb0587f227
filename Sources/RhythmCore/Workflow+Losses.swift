/// Attempts that were lost before any worker had begun them: nothing was done, so they are sent again without anybody
/// asking. Not for ever, though: what is lost again and again has a reason that sending does not mend.
extension Workflow {
    /// The attempt is gone without a trace.
    mutating func lose(
        _ position: AttemptPosition, detail: String, mayHaveBegun: Bool, at: Timestamp, in transition: inout Transition
    ) {
        let failure = Failure.lost(detail, mayHaveBegun: mayHaveBegun)
        transition.add(.bury(self[position].id))
        let hasBegun = mayHaveBegun || self[position].startedAt != nil || self[position].retries > 0
        if hasBegun || self[position].revocation?.reason == .timeout {
            fail(position, failure, at: at, in: &transition)
            return
        }
        guard control == .running, self[position].revocation == nil else {
            self[position].failure = failure
            stop(position, detail: detail, at: at, in: &transition)
            return
        }
        let spec = steps[position.step].spec
        let losses = steps[position.step].lossesInARow(before: position.attempt) + 1
        guard losses <= spec.maxLost else {
            let often = losses == 1 ? "it was lost" : "it was sent \(losses) times and lost each time"
            fail(
                position, .lost("\(often) before any worker had begun it; the last time: \(detail)"), at: at,
                in: &transition)
            return
        }
        // It does not count as one of the policy's repetitions.
        end(position, .failure, at: at, in: &transition)
        self[position].failure = failure
        let delay = StepSpec.delay(beforeSendingAgain: losses)
        let replacement = appendAttempt(
            step: position.step, args: self[position].args, kwargs: self[position].kwargs,
            retry: self[position].retry, delay: delay, in: &transition)
        self[position].superseded = true
        record(.failed, at: position, detail: detail, in: &transition)
        announceAttempt(at: replacement, delay: delay, in: &transition)
    }
}

extension StepSpec {
    /// The wait before an attempt is sent again for the `time`-th time in a row, counted from 1: none, 15 s, 1, 4 and 5
    /// minutes. A queue that was emptied once is made good at once; whatever takes messages away goes on doing so.
    static func delay(beforeSendingAgain time: Int) -> Duration {
        switch time {
        case ...1: .zero
        case 2: .seconds(15)
        case 3: .seconds(60)
        case 4: .seconds(240)
        default: .seconds(300)
        }
    }
}

extension Attempt {
    /// It was lost before any worker had begun it, while nobody wanted it to stop: only then it is sent again.
    public var wasLostBeforeItBegan: Bool {
        guard status == .failure, let failure, failure.isLoss, !failure.isDoubtfulLoss else { return false }
        return startedAt == nil && retries == 0 && revocation == nil
    }
}

extension Step {
    /// How many attempts that were lost before any worker had begun them led to the one at `index`, without anybody or
    /// anything else in between.
    ///
    /// Whoever stops or ends one of them, and the retry policy, begins a new row, and so does a resume after all that
    /// the step allows were lost: a row that was given up holds exactly one more than it allows.
    public func lossesInARow(before index: Int) -> Int {
        guard attempts.indices.contains(index) else { return 0 }
        let retry = attempts[index].retry
        let lost = attempts[..<index].reversed().prefix { $0.wasLostBeforeItBegan && $0.retry == retry }.count
        return lost % (spec.maxLost + 1)
    }
}
