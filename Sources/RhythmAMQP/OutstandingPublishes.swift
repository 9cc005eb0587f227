/// Messages that were written to a confirm channel and that the broker has not answered yet. A value with no I/O, so
/// that every order of answers can be tried.
struct OutstandingPublishes {
    typealias Completion = @Sendable (PublishOutcome) -> Void

    private struct Entry {
        let completion: Completion
        var returned: PublishOutcome?
    }

    private var entries: [UInt64: Entry] = [:]
    /// The broker counts the messages of a channel from 1.
    private var lastTag: UInt64 = 0
    private var lowestTag: UInt64 = 1
    /// Channels there have been before this one: the first part of the message ids.
    private var channels = 0

    var count: Int { entries.count }

    /// Counts a message that is about to be written; returns the message id that it has to carry, by which a return
    /// names it.
    mutating func add(_ completion: @escaping Completion) -> String {
        lastTag += 1
        entries[lastTag] = Entry(completion: completion)
        return "\(channels).\(lastTag)"
    }

    /// The broker gave a message back. Its acknowledgement is still to come, and then decides.
    mutating func returned(_ messageID: String?, code: Int, text: String) {
        guard let parts = messageID?.split(separator: "."), parts.count == 2, Int(parts[0]) == channels,
            let tag = UInt64(parts[1])
        else { return }
        entries[tag]?.returned = .unroutable(code: code, text: text)
    }

    /// The broker's word for one message, or for all up to it that it has not answered yet.
    mutating func settle(_ tag: UInt64, multiple: Bool, accepted: Bool) {
        // Tag 0 with `multiple` means all of them.
        let last = min(tag == 0 && multiple ? lastTag : tag, lastTag)
        let first = multiple ? lowestTag : tag
        guard first <= last else { return }
        for tag in first...last {
            guard let entry = entries.removeValue(forKey: tag) else { continue }
            entry.completion(accepted ? entry.returned ?? .confirmed : .rejected)
        }
        while lowestTag <= lastTag, entries[lowestTag] == nil { lowestTag += 1 }
    }

    /// The channel is gone and with it the broker's word. A new one counts from 1 again.
    mutating func loseAll(_ reason: String) {
        let lost = entries.sorted { $0.key < $1.key }
        entries = [:]
        lastTag = 0
        lowestTag = 1
        channels += 1
        for (_, entry) in lost { entry.completion(entry.returned ?? .undecided(reason: reason)) }
    }
}
