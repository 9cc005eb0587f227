import Dispatch
import Glibc
public import RhythmCore
public import RhythmEngine
import Synchronization

/// Runs attempts as closures of this process, registered by name: for services that embed the engine, for tests, and
/// for measuring the engine itself.
///
/// Its attempts die with the process. The engine dispatches them again after a restart, and then they run again.
/// Any thread; nothing blocks.
public final class InProcessRunner: TaskRunner {
    /// A closure that may wait. It runs in a task of its own, which a revoke cancels. It returns the attempt's result
    /// (a JSON array), or nil to pass its argument on; a thrown ``Failure`` is reported as it is.
    public typealias AsyncBody = @Sendable (Invocation) async throws -> JSON?
    /// A closure that is done in microseconds and never waits.
    public typealias SynchronousBody = @Sendable (Invocation) throws -> JSON?

    enum Body: Sendable {
        case asynchronous(AsyncBody)
        case synchronous(SynchronousBody)
    }

    /// Synchronous closures that are run between two visits to the shared state.
    private static let batch = 32

    private let state: Mutex<InProcessState>
    private let worker: String
    private let time = MachineTime()
    private let pumpsMax: Int
    private let pumping = DispatchQueue(label: "rhythm.in-process-runner", attributes: .concurrent)

    /// - Parameters:
    ///   - queues: how many attempts of a queue run at once, by its name.
    ///   - defaultQueue: the queue of steps that name none.
    ///   - defaultConcurrency: how many attempts of any other queue run at once.
    ///   - worker: what reports name as the worker.
    public init(
        queues: [String: Int] = [:], defaultQueue: String = "default", defaultConcurrency: Int = 64,
        worker: String = "in-process"
    ) {
        self.worker = worker
        pumpsMax = max(1, min(4, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        state = Mutex(
            InProcessState(
                queues: RunnerQueues(concurrencies: queues, defaultConcurrency: defaultConcurrency),
                defaultQueue: defaultQueue))
    }

    /// Registers a closure that may wait; the last one of a name counts.
    public func register(_ task: String, _ body: @escaping AsyncBody) {
        state.withLock { $0.bodies[task] = .asynchronous(body) }
    }

    /// Registers a closure that runs on a thread of the runner, without a task: for what takes microseconds. Such an
    /// attempt is over by the time that anybody could hear of its beginning, so only its end is reported.
    public func registerSynchronous(_ task: String, _ body: @escaping SynchronousBody) {
        state.withLock { $0.bodies[task] = .synchronous(body) }
    }

    // MARK: TaskRunner

    public func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        state.withLock { $0.report = { [time] in report(time.correct($0)) } }
        perform(outstanding)
    }

    public func keepTime(_ now: @escaping @Sendable () -> Timestamp) { time.follow(now) }

    public func perform(_ effects: [Effect]) {
        visit { state in
            for effect in effects { state.perform(effect) }
        }
    }

    public func purge(_ tasks: [TaskID]) {}

    /// Reports nothing from now on, and cancels what runs: nobody will hear of it.
    public func stop() {
        state.withLock { $0.stop() }
    }

    public var logs: (any LogSource)? { nil }

    // MARK: Running

    /// Changes the state, begins what may begin now, and tells what there is to tell.
    private func visit(_ change: (inout sending InProcessState) -> Void) {
        let (reports, report, pumps) = state.withLock { state in
            change(&state)
            begin(&state)
            // One thread for each full batch: waking threads for a few microseconds of work costs more than it gains.
            let wanted = min(pumpsMax, (state.ready.count - state.readyHead + Self.batch - 1) / Self.batch)
            let pumps = max(0, wanted - state.pumps)
            state.pumps += pumps
            return (state.takeReports(), state.report, pumps)
        }
        for _ in 0..<pumps {
            pumping.async { self.pump() }
        }
        if !reports.isEmpty { report?(reports) }
    }

    private func begin(_ state: inout InProcessState) {
        for id in state.queues.takeStartable() {
            guard let entry = state.entries[id], case .waiting(let dispatch) = entry.phase else { continue }
            switch state.bodies[dispatch.task] {
            case nil:
                state.end(
                    id,
                    .failed(
                        Failure(
                            type: "TaskNotFound", message: "no closure is registered as \(JSON.string(dispatch.task))",
                            isRetriable: false), at: .wallClock))
            case .synchronous(let body):
                let flag = RevokeFlag()
                state.entries[id]?.phase = .running(flag, nil)
                state.ready.append(InProcessJob(invocation: invocation(dispatch, flag), body: body))
            case .asynchronous(let body):
                let flag = RevokeFlag()
                let invocation = invocation(dispatch, flag)
                state.tell(id, .started(at: .wallClock, worker: worker))
                let task = Task { await self.run(invocation, body) }
                state.entries[id]?.phase = .running(flag, task)
            }
        }
    }

    private func invocation(_ dispatch: Dispatch, _ flag: RevokeFlag) -> Invocation {
        Invocation(dispatch: dispatch, flag: flag) { [weak self] progress in
            self?.visit { $0.tell(dispatch.taskID, .progress(progress)) }
        }
    }

    private func run(_ invocation: Invocation, _ body: AsyncBody) async {
        let end: Observation
        do {
            end = .succeeded(result: try await body(invocation), at: .wallClock)
        } catch {
            end = Self.end(of: invocation, error)
        }
        visit { $0.end(invocation.dispatch.taskID, end) }
    }

    /// Runs synchronous closures until none is ready.
    private func pump() {
        while true {
            let jobs = state.withLock { $0.takeReady(limit: Self.batch) }
            guard !jobs.isEmpty else { return }
            let ends = jobs.map { job in
                guard !job.invocation.isRevoked else {
                    return Observation.revoked(detail: "it was revoked before it began", at: .wallClock)
                }
                do {
                    return .succeeded(result: try job.body(job.invocation), at: .wallClock)
                } catch {
                    return Self.end(of: job.invocation, error)
                }
            }
            visit { state in
                for (job, end) in zip(jobs, ends) { state.end(job.invocation.dispatch.taskID, end) }
            }
        }
    }

    /// What a thrown error means. After a revoke it is the way that the attempt stopped.
    private static func end(of invocation: Invocation, _ error: any Error) -> Observation {
        if invocation.isRevoked { return .revoked(detail: "\(error)", at: .wallClock) }
        if let failure = error as? Failure { return .failed(failure, at: .wallClock) }
        return .failed(Failure(type: "\(type(of: error))", message: "\(error)"), at: .wallClock)
    }
}
