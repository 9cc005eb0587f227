/// Cuts what travels over a connection into whole messages, so that one can be held back. A value; nothing is lost or
/// changed: the messages put together are the bytes.
package struct MessageCutter {
    /// What is spoken.
    package enum Wire: Sendable {
        /// MongoDB's messages, which begin with their length.
        case mongo
        /// AMQP 0-9-1: frames, but a `basic.publish` with the header and the body that belong to it is one message.
        case amqp
    }

    private let wire: Wire
    private var rest: [UInt8] = []
    /// A publish of which something is still to come.
    private var publish: [UInt8] = []
    /// The bytes of its body that are still to come; nil until its header has said so.
    private var missing: Int?

    package init(_ wire: Wire) { self.wire = wire }

    /// Takes what arrived.
    ///
    /// - Returns: the messages that are complete by now.
    package mutating func take(_ bytes: some Collection<UInt8>) -> [[UInt8]] {
        rest += bytes
        var messages: [[UInt8]] = []
        while let length = nextLength, length <= rest.count {
            let part = Array(rest[..<length])
            rest.removeFirst(length)
            if wire == .mongo { messages.append(part) } else if let whole = join(part) { messages.append(whole) }
        }
        return messages
    }

    /// The length of the next part; nil if that cannot be told yet.
    private var nextLength: Int? {
        switch wire {
        case .mongo:
            guard rest.count >= 4 else { return nil }
            return (0..<4).reduce(0) { $0 | Int(rest[$1]) << (8 * $1) }
        case .amqp:
            if rest.starts(with: "AMQP".utf8) { return 8 }
            return rest.count < 7 ? nil : 8 + Self.number(rest[3..<7])
        }
    }

    /// Puts the frames of a publish together.
    private mutating func join(_ frame: [UInt8]) -> [UInt8]? {
        let isPublish = Self.isMethod(frame, 60, 40)
        // Frames of other channels may come in between, and nothing depends on their order.
        guard isPublish || (!publish.isEmpty && (2...3).contains(frame[0])) else { return frame }
        publish += frame
        switch frame[0] {
        case 2: missing = Self.number(frame[11..<19])
        case 3: missing = missing.map { $0 - (frame.count - 8) }
        default: missing = nil
        }
        guard missing == 0 else { return nil }
        defer { publish = [] }
        return publish
    }

    /// Whether a frame is a certain method.
    package static func isMethod(_ frame: [UInt8], _ classID: Int, _ method: Int) -> Bool {
        frame.count >= 11 && frame[0] == 1 && number(frame[7..<9]) == classID && number(frame[9..<11]) == method
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
}
