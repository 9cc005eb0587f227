import DequeModule

/// Writes what was submitted and keeps count of what the broker has not answered yet.
final class PublisherRole: ConnectionRole {
    private let mailbox: Mailbox<Submission>
    private let window: Int
    private var waiting: Deque<Submission> = []
    /// No later than the earliest expiry of those that wait: looking at all of them is for when it has come.
    private var earliestExpiry: ContinuousClock.Instant?
    private var outstanding = OutstandingPublishes()
    private var isBlocked = false

    static let closedReason = "the publisher is closed"

    init(_ mailbox: Mailbox<Submission>, window: Int) {
        self.mailbox = mailbox
        self.window = window
    }

    var hasWork: Bool { !waiting.isEmpty && !isBlocked && outstanding.count < window }
    var isSettled: Bool { outstanding.count == 0 && (waiting.isEmpty || isBlocked) }

    func opened(_ session: Session) throws(AMQPFailure) {
        isBlocked = false
        try session.confirmPublishes()
    }

    func work(_ session: Session) throws(AMQPFailure) {
        guard !waiting.isEmpty, !isBlocked else { return }
        while !waiting.isEmpty, outstanding.count < window {
            let submission = waiting.removeFirst()
            if let fault = submission.message.fault(frameMax: session.frameMax) {
                submission.completion(.notSent(reason: fault))
                continue
            }
            // Counted first: if this fails a part of it may have been written, and it is undecided like those before.
            let id = outstanding.add(submission.completion)
            try session.publish(submission.message, messageID: id)
        }
    }

    func received(_ incoming: Incoming, _ session: Session) throws(AMQPFailure) {
        switch incoming {
        case .acknowledged(let tag, let multiple): outstanding.settle(tag, multiple: multiple, accepted: true)
        case .refused(let tag, let multiple): outstanding.settle(tag, multiple: multiple, accepted: false)
        case .returned(let code, let text, let id): outstanding.returned(id, code: code, text: text)
        case .blocked: isBlocked = true
        case .unblocked: isBlocked = false
        case .channelClosed(let failure):
            outstanding.loseAll("the broker closed the channel: \(failure)")
            try session.openChannel()
            try session.confirmPublishes()
        case .delivered, .consumerCancelled: break
        }
    }

    func lost(_ failure: AMQPFailure) {
        isBlocked = false
        outstanding.loseAll(failure.description)
    }

    func expire(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        for submission in mailbox.takeAll() {
            waiting.append(submission)
            earliestExpiry = min(earliestExpiry ?? submission.expiry, submission.expiry)
        }
        if waiting.isEmpty { earliestExpiry = nil }
        guard let earliest = earliestExpiry, earliest <= now else { return earliestExpiry }
        let late = waiting.filter { $0.expiry <= now }
        waiting.removeAll { $0.expiry <= now }
        earliestExpiry = waiting.lazy.map(\.expiry).min()
        let reason = isBlocked ? "the broker takes no messages for now" : "there was no connection to the broker"
        for submission in late { submission.completion(.notSent(reason: reason)) }
        return earliestExpiry
    }

    func closed() {
        waiting += mailbox.close()
        for submission in waiting { submission.completion(.notSent(reason: Self.closedReason)) }
        waiting = []
    }
}
