/// Attempts that were told to stop and of which nobody can say that they have: the worker that had one is silent, or does
/// not end its process. Whoever forces a command gives such an attempt up. It may still run; the record says so.
extension Workflow {
    /// So long an attempt is waited for in any case, however often and hard it is forced: most stop within moments.
    public static let stopPatience: Duration = .seconds(10)

    /// What becomes of the attempt that is being stopped when somebody forces the matter.
    enum Forcing {
        /// None is being stopped.
        case nothing
        /// It has been told to stop only just now.
        case tooEarly(AttemptPosition)
        /// It is given up, with a sentence about it.
        case givenUp(String)
    }

    /// What somebody is told who forces a command too early; empty if no attempt is being stopped.
    func stillWaitedFor(at now: Timestamp) -> String {
        guard let position = liveAttempts.first(where: { self[$0].revocation != nil }),
            let asked = self[position].revocation?.requestedAt
        else { return "" }
        let seconds = now.since(asked).wholeMilliseconds / 1000
        let when = seconds == 0 ? "just now" : "\(seconds) s ago"
        let number = self[position].number
        return "attempt \(number) was told to stop \(when) and is waited for; forced again"
            + " \(Self.stopPatience.wholeMilliseconds / 1000) s after that, it is given up"
    }

    /// Gives up the attempt that has been told to stop and has not.
    ///
    /// Workers go on being told to stop it, and never begin it from now on.
    mutating func giveUpStopping(in transition: inout Transition) -> Forcing {
        guard let position = liveAttempts.first(where: { self[$0].revocation != nil }),
            let asked = self[position].revocation?.requestedAt
        else { return .nothing }
        guard transition.now.since(asked) >= Self.stopPatience else { return .tooEarly(position) }
        let attempt = self[position]
        let place = attempt.worker.map { " on worker \($0)" } ?? ""
        let reason = attempt.waiting.map { ": \($0)" } ?? ""
        let sentence =
            "attempt \(attempt.number) was told to stop \(transition.now.since(asked).wholeMilliseconds / 1000) s before"
            + " it was given up; it may still run\(place)\(reason)"
        self[position].status = .revoked
        self[position].endedAt = transition.now
        self[position].waiting = nil
        self[position].failure = .givenUp(sentence)
        transition.touch(position)
        // It is banned wherever its message may turn up, and told to stop for as long as it is there.
        transition.add(.bury(attempt.id))
        transition.add(.settle(attempt.id))
        record(.revoked, at: position, detail: sentence, in: &transition)
        return .givenUp(sentence)
    }
}

extension Failure {
    private static let givenUpType = "GivenUp"

    /// Nobody knows whether the attempt has stopped.
    static func givenUp(_ message: String) -> Failure {
        Failure(type: givenUpType, message: message, module: "rhythm", isRetriable: false)
    }

    /// It is one that ``givenUp(_:)`` made.
    public var isGivenUp: Bool { type == Self.givenUpType && module == "rhythm" }
}
