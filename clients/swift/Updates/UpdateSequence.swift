public import RhythmCore

/// The updates of a watch.
public typealias WatchUpdates = UpdateSequence<WatchUpdate>
/// The pieces of a log.
public typealias LogChunks = UpdateSequence<LogChunk>

/// Updates as they come, over as many connections as it takes.
///
/// One reader takes them with `for try await`; two readers share them. Leaving the loop, cancelling the task or
/// dropping the sequence ends the call at the server too. A reader that is slow costs a bounded buffer: progress is
/// conflated, and the server keeps the rest until the reader has caught up; other calls are not delayed.
///
/// Ends normally when the server says so (`untilDone`, the end of a log) or when the task is cancelled, with a
/// ``/RhythmCore/RhythmError`` when it cannot go on. A lost connection is no such case.
public struct UpdateSequence<Element: Sendable>: AsyncSequence, Sendable {
    /// What a stream that cannot go on throws.
    public typealias Failure = RhythmError

    /// Takes the next update.
    let take: @Sendable () async -> Result<Element?, RhythmError>
    /// Ends the call when the last copy of it goes.
    let lifetime: CallLifetime

    /// Reads the updates.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let take: @Sendable () async -> Result<Element?, RhythmError>
        let lifetime: CallLifetime

        /// The next update; nil at the end.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(RhythmError) -> Element? {
            try await take().get()
        }
    }

    /// An iterator; all of them take from the same stream.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(take: take, lifetime: lifetime) }
}

/// Keeps a call alive.
final class CallLifetime: Sendable {
    private let end: @Sendable () -> Void

    init(end: @escaping @Sendable () -> Void) { self.end = end }

    deinit { end() }
}
