import DequeModule

/// A call that is answered by many frames, made one at a time when the peer has room for them.
protocol OutgoingStream: AnyObject {
    /// It waits in its connection's queue. Only that sets it.
    var isQueued: Bool { get set }
    /// Sends one frame, if there is one to send and its call has not ended.
    /// - Returns: whether there is more to send now.
    func sendNext() -> Bool
}

/// The streams of a connection that have something to send, in turn, so that none holds up the others.
struct StreamQueue {
    private var order = Deque<any OutgoingStream>()

    var isEmpty: Bool { order.isEmpty }

    mutating func add(_ stream: any OutgoingStream) {
        guard !stream.isQueued else { return }
        stream.isQueued = true
        order.append(stream)
    }

    /// Takes the stream whose turn it is.
    mutating func next() -> (any OutgoingStream)? {
        let stream = order.popFirst()
        stream?.isQueued = false
        return stream
    }

    /// Lets go of all.
    mutating func removeAll() { order.removeAll() }
}
