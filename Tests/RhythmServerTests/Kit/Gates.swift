import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import Synchronization

/// Lets a test decide, attempt by attempt, what its tasks do and when.
final class Gates: Sendable {
    enum Order: Sendable {
        case report(done: Double, total: Double?, name: String = "items")
        case succeed(JSON?)
        case fail(Failure)
    }

    /// The task that does what this tells it.
    static let task = "gate"

    private struct Line {
        let stream: AsyncStream<Order>
        let continuation: AsyncStream<Order>.Continuation
    }

    private let lines = Mutex<[String: Line]>([:])
    private let clock = Mutex(Int64(0))

    func register(with runner: InProcessRunner) {
        runner.register(Self.task) { [self] invocation in
            let dispatch = invocation.dispatch
            for await order in line(dispatch.workflowID, dispatch.step, dispatch.attempt).stream {
                switch order {
                case .report(let done, let total, let name):
                    invocation.report(ProgressReport(name: name, done: done, total: total, units: "n", at: later()))
                case .succeed(let result): return result
                case .fail(let failure): throw failure
                }
            }
            throw CancellationError()
        }
        runner.register("quick") { _ in nil }
        runner.registerSynchronous("instant") { _ in nil }
        runner.registerSynchronous("fail") { _ in throw Failure(type: "Refusal", message: "it does not want to") }
    }

    /// An order to one attempt, which may have yet to begin.
    func order(_ order: Order, _ id: WorkflowID, _ step: String, attempt: Int = 1) {
        line(id, step, attempt).continuation.yield(order)
    }

    func succeed(_ id: WorkflowID, _ step: String, attempt: Int = 1, _ result: JSON? = nil) {
        order(.succeed(result), id, step, attempt: attempt)
    }

    func report(_ id: WorkflowID, _ step: String, attempt: Int = 1, done: Double, of total: Double? = nil) {
        order(.report(done: done, total: total), id, step, attempt: attempt)
    }

    /// Forgets all orders, when the attempts that waited for them have gone with their runner.
    func reset() { lines.withLock { $0 = [:] } }

    private func line(_ id: WorkflowID, _ step: String, _ attempt: Int) -> Line {
        lines.withLock { lines in
            let key = "\(id)/\(step)/\(attempt)"
            if let line = lines[key] { return line }
            let (stream, continuation) = AsyncStream.makeStream(of: Order.self)
            let line = Line(stream: stream, continuation: continuation)
            lines[key] = line
            return line
        }
    }

    /// Never earlier than the report before, whatever the machine's clock does.
    private func later() -> Timestamp {
        clock.withLock { last in
            last = max(last + 1, SystemClock().now().microseconds)
            return Timestamp(microseconds: last)
        }
    }
}
