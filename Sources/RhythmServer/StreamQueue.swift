import DequeModule

/// A call that is answered by many frames, made one at a time when the peer has room for them.
protocol OutgoingStream: AnyObject {
    /// The call it answers.
    var callID: UInt64 { get }
    /// Sends one frame, if there is one to send.
    /// - Returns: whether there is more to send now.
    func sendNext() -> Bool
}

/// The streams of a connection that have something to send, in turn, so that none holds up the others.
struct StreamQueue {
    private var order = Deque<any OutgoingStream>()
    private var members: Set<UInt64> = []

    var isEmpty: Bool { members.isEmpty }

    mutating func add(_ stream: any OutgoingStream) {
        if members.insert(stream.callID).inserted { order.append(stream) }
    }

    /// Takes the stream whose turn it is.
    mutating func next() -> (any OutgoingStream)? {
        while let stream = order.popFirst() {
            if members.remove(stream.callID) != nil { return stream }
        }
        return nil
    }

    /// Forgets the stream of a call that has ended.
    mutating func remove(_ callID: UInt64) { members.remove(callID) }
}
