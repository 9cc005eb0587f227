import DequeModule
package import RhythmCore
import Synchronization

/// An update that makes an earlier one, still unread, worthless.
package protocol Conflatable: Sendable {
    associatedtype ConflationKey: Hashable & Sendable
    /// Updates with an equal key replace each other; nil never replaces nor is replaced.
    var conflationKey: ConflationKey? { get }
}

extension WatchUpdate: Conflatable {
    package struct ConflationKey: Hashable, Sendable {
        let workflowID: WorkflowID
        let step: String
        let taskID: TaskID
    }

    package var conflationKey: ConflationKey? {
        guard case .progress(let update) = self else { return nil }
        return ConflationKey(workflowID: update.workflowID, step: update.step, taskID: update.taskID)
    }
}

extension LogChunk: Conflatable {
    package var conflationKey: Never? { nil }
}

/// What a stream has to do after a change of its buffer.
package enum UpdateAdvice: Sendable, Hashable {
    case goOn
    /// Ask the server to stop.
    case park
    /// Ask it to go on.
    case unpark
}

/// What a stream has delivered and its reader has not taken yet.
///
/// Bounded without dropping anything that counts: a newer progress takes the place of an older one; when `limit`
/// updates wait, the buffer says so and the stream is parked at the server until half of them are read.
package final class UpdateBuffer<Element: Conflatable>: Sendable {
    package typealias Taken = Result<Element?, RhythmError>

    private struct State {
        var items: Deque<Element> = []
        /// How many were taken since the beginning: the position of the first item.
        var taken = 0
        var positions: [Element.ConflationKey: Int] = [:]
        var readers: Deque<(id: UInt64, CheckedContinuation<Taken, Never>)> = []
        var lastReader: UInt64 = 0
        var end: Result<Void, RhythmError>?
        var isParked = false
    }

    private let state = Mutex(State())
    private let limit: Int

    package init(limit: Int) { self.limit = limit }

    /// Adds an update, or hands it to whoever waits for one.
    package func push(_ element: Element) -> UpdateAdvice {
        let (reader, advice) = state.withLock { state -> (CheckedContinuation<Taken, Never>?, UpdateAdvice) in
            if let reader = state.readers.popFirst() {
                state.taken += 1
                return (reader.1, .goOn)
            }
            let key = element.conflationKey
            if let key, let position = state.positions[key] {
                state.items[position - state.taken] = element
                return (nil, .goOn)
            }
            state.items.append(element)
            if let key { state.positions[key] = state.taken + state.items.count - 1 }
            guard state.items.count >= limit, !state.isParked else { return (nil, .goOn) }
            state.isParked = true
            return (nil, .park)
        }
        reader?.resume(returning: .success(element))
        return advice
    }

    /// Nothing more will come; what waits is still read first.
    package func finish(_ error: RhythmError?) {
        let readers = state.withLock { state in
            if state.end == nil { state.end = error.map { .failure($0) } ?? .success(()) }
            defer { state.readers = [] }
            return state.readers
        }
        for reader in readers { reader.1.resume(returning: error.map { .failure($0) } ?? .success(nil)) }
    }

    /// The next update; nil at the end, and if the task is cancelled.
    package func next(advise: @Sendable (UpdateAdvice) -> Void) async -> Taken {
        let id = state.withLock { state in
            state.lastReader += 1
            return state.lastReader
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (taken, advice) = state.withLock { state in take(for: id, continuation, from: &state) }
                if advice != .goOn { advise(advice) }
                if let taken { continuation.resume(returning: taken) }
                if Task.isCancelled { dismiss(id) }
            }
        } onCancel: {
            dismiss(id)
        }
    }

    /// What can be had at once; else the reader waits and this is nil.
    private func take(
        for id: UInt64, _ continuation: CheckedContinuation<Taken, Never>, from state: inout State
    ) -> (Taken?, UpdateAdvice) {
        if let element = state.items.popFirst() {
            if let key = element.conflationKey, state.positions[key] == state.taken { state.positions[key] = nil }
            state.taken += 1
            guard state.isParked, state.items.count <= limit / 2 else { return (.success(element), .goOn) }
            state.isParked = false
            return (.success(element), .unpark)
        }
        if let end = state.end { return (end.map { nil }, .goOn) }
        state.readers.append((id, continuation))
        return (nil, .goOn)
    }

    /// Lets a reader go that does not want to wait any more.
    private func dismiss(_ id: UInt64) {
        let reader = state.withLock { state -> CheckedContinuation<Taken, Never>? in
            guard let index = state.readers.firstIndex(where: { $0.id == id }) else { return nil }
            return state.readers.remove(at: index).1
        }
        reader?.resume(returning: .success(nil))
    }
}
