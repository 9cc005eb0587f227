import RhythmCore
import RhythmEngine
import Synchronization

/// Runs many workflows to their end, a given number at a time: as one ends the next is started.
final class WorkflowLoad: Sendable {
    private struct State {
        var toStart = 0
        var toEnd = 0
        var spec: WorkflowSpec?
        var done: CheckedContinuation<Void, any Error>?
    }

    private let service: EngineService
    private let state = Mutex(State())

    /// One for each service: it observes the service from now on.
    init(_ service: EngineService) {
        self.service = service
        service.observe { [weak self] publication in
            let ended = publication.changes.count { $0.workflow.endedAt != nil }
            if ended > 0 { self?.ended(ended) }
        }
    }

    /// Returns when `count` workflows have ended.
    func run(_ spec: WorkflowSpec, count: Int, inFlight: Int) async throws {
        let first = min(count, inFlight)
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            state.withLock { $0 = State(toStart: count - first, toEnd: count, spec: spec, done: done) }
            start(spec, first)
        }
    }

    private func start(_ spec: WorkflowSpec, _ count: Int) {
        for _ in 0..<count {
            service.submit(.start(spec, requestID: "")) { [self] result in
                if case .failure(let error) = result { fail(error) }
            }
        }
    }

    private func ended(_ count: Int) {
        let (spec, more, done) = state.withLock { state in
            let more = min(count, state.toStart)
            state.toStart -= more
            state.toEnd -= count
            let done = state.toEnd == 0 ? state.done : nil
            return (state.spec, more, done)
        }
        if let spec, more > 0 { start(spec, more) }
        done?.resume()
    }

    private func fail(_ error: RhythmError) {
        state.withLock { state in
            defer { state.done = nil }
            return state.done
        }?.resume(throwing: error)
    }
}
