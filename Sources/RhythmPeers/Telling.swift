import RhythmAMQP

/// Whether the other servers hear what this one does, and what has to be made good.
///
/// News that got lost are not sent again, for the store has what they told; but somebody has to say that it is to be looked
/// into. Until that has been said, and while nothing gets through, this server is mute.
struct Telling {
    /// What is to be done.
    enum Step: Equatable {
        case nothing
        /// Tell the others to look into the store.
        case recheck
    }

    /// What was written is confirmed within milliseconds.
    static let patience = Duration.seconds(1)

    /// Why nothing gets through; nil if it does.
    private var trouble: String? = "the broker is not connected yet"
    /// News without the broker's word.
    private var open = 0
    /// When the broker last gave its word, or there was nothing to give it for.
    private var lastWord: ContinuousClock.Instant?
    /// Why something was lost, and the others have yet to be told.
    private var owes: String?
    /// The same while they are being told.
    private var rechecking: String?

    /// Why the others do not hear everything; nil if they do.
    func muteBecause(at now: ContinuousClock.Instant) -> String? {
        if let trouble { return trouble }
        if let lost = owes ?? rechecking { return "something was lost on its way: \(lost)" }
        guard open > 0, let lastWord, lastWord.duration(to: now) > Self.patience else { return nil }
        return "the broker does not confirm what it is sent"
    }

    /// The state of the connection; those between two states say nothing.
    mutating func connection(_ state: AMQPConnectionState) -> Step {
        switch state {
        case .ready:
            trouble = nil
            return recheckIfDue()
        case .blocked(let reason): trouble = "the broker takes no messages for now: \(reason)"
        case .down(let reason, _): trouble = reason
        case .closed: trouble = "the connection is closed"
        case .connecting: break
        }
        return .nothing
    }

    /// News are on their way.
    mutating func submitted(at now: ContinuousClock.Instant) {
        if open == 0 { lastWord = now }
        open += 1
    }

    /// What became of them.
    mutating func ended(_ outcome: PublishOutcome, at now: ContinuousClock.Instant) -> Step {
        open -= 1
        note(outcome, at: now)
        return recheckIfDue()
    }

    /// What became of the word that the store is to be looked into. What is lost from now on has to be said anew.
    mutating func rechecked(_ outcome: PublishOutcome, at now: ContinuousClock.Instant) {
        rechecking = nil
        note(outcome, at: now)
    }

    private mutating func note(_ outcome: PublishOutcome, at now: ContinuousClock.Instant) {
        switch outcome {
        // Without a queue there is nobody who could hear it.
        case .confirmed, .unroutable: lastWord = now
        case .rejected: owes = "the broker refuses what it is sent"
        case .notSent(let reason), .undecided(let reason): owes = reason
        }
    }

    /// Called from time to time as well: what could not be said is said when there is a connection.
    mutating func recheckIfDue() -> Step {
        guard let lost = owes, trouble == nil, rechecking == nil else { return .nothing }
        rechecking = lost
        owes = nil
        return .recheck
    }
}
