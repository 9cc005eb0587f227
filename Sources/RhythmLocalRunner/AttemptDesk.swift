import Dispatch
import Glibc
import Logging
import RhythmCore
import RhythmEngine

/// Everything that the runner knows about its attempts, and every decision about them.
///
/// SAFETY: a queue-confined class. All of it is used on `lane` only; each entry point checks that.
final class AttemptDesk: @unchecked Sendable {
    /// Where an attempt is.
    enum Phase {
        /// It has its place in a queue.
        case waiting(Dispatch)
        /// It was given to a supervisor.
        case running(Running)
        /// Its supervisor is gone; processes of it may not be.
        case clearing(TaskLeader?)
        /// It is over, and what is to be reported about it.
        case ended([Observation])
    }

    /// What is known of a running attempt.
    struct Running {
        /// What to do again should the supervisor never begin; nil for one that was found running.
        var dispatch: Dispatch?
        /// Its supervisor, if it is a child of this process that was not waited for yet.
        var child: pid_t?
        /// How many supervisors were started for it.
        var spawns = 0
        var startIsReported = false
        var lastProgress: ProgressReport?
    }

    struct Entry {
        /// Nil for one that was found and that nobody has asked for.
        var workflowID: WorkflowID?
        var phase: Phase
    }

    let configuration: LocalRunnerConfiguration
    let places: Places
    let tasks: TaskDirectory
    let worker: String
    let lane: DispatchQueue
    let logger: Logger

    var entries: [TaskID: Entry] = [:]
    var queues: RunnerQueues<TaskID>
    /// The wait before the next look at what is left of attempts without a supervisor; nil if none is planned.
    var clearingPause: Duration?
    private var outbox: [Report] = []
    /// From then on the directory may belong to another runner.
    private var isStopped = false
    private var report: (@Sendable ([Report]) -> Void)?

    init(_ configuration: LocalRunnerConfiguration, places: Places, lane: DispatchQueue, logger: Logger) {
        self.configuration = configuration
        self.places = places
        self.lane = lane
        self.logger = logger
        tasks = TaskDirectory(path: configuration.tasksDirectory)
        worker = configuration.worker ?? Self.hostName
        queues = RunnerQueues(
            concurrencies: configuration.queues, defaultConcurrency: configuration.defaultConcurrency)
    }

    private static var hostName: String {
        var name = utsname()
        guard uname(&name) == 0 else { return "local" }
        // SAFETY: uname ends the name with NUL inside its field.
        return withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    // MARK: Entry points

    func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        turn {
            self.report = report
            findAttempts()
            outstanding.forEach(perform)
            dropUnwanted()
        }
    }

    func perform(_ effects: [Effect]) {
        turn { effects.forEach(perform) }
    }

    func stop() {
        turn { isStopped = true }
    }

    func notified(_ messages: [(id: String, event: NotifyFifo.Event)]) {
        turn {
            for message in messages { notified(TaskID(message.id), message.event) }
        }
    }

    /// Looks at everything that runs: the slow way to learn what a lost wake-up would have said.
    func sweep() {
        turn {
            for (id, entry) in entries {
                if case .running = entry.phase { refresh(id) }
            }
        }
    }

    /// One visit: whatever happened in it leads to as many new starts as there is room for and to one report.
    func turn(_ body: () -> Void) {
        dispatchPrecondition(condition: .onQueue(lane))
        guard !isStopped else { return }
        body()
        while !isStopped, let id = queues.takeStartable(limit: 1).first { launch(id) }
        let reports = outbox
        outbox = []
        if !reports.isEmpty, !isStopped { report?(reports) }
    }

    // MARK: Effects

    private func perform(_ effect: Effect) {
        switch effect {
        case .dispatch(let dispatch): take(dispatch)
        case .revoke(let id, let workflowID, _, _): revoke(id, of: workflowID)
        case .settle(let id): settle(id)
        case .bury: break  // What is lost on this machine is gone.
        case .release: break  // Attempts of this machine are followed by nobody else.
        }
    }

    private func take(_ dispatch: Dispatch) {
        let id = dispatch.taskID
        guard entries[id] != nil else {
            entries[id] = Entry(workflowID: dispatch.workflowID, phase: .waiting(dispatch))
            queues.enqueue(id, queue: dispatch.queue ?? configuration.defaultQueue, priority: dispatch.priority)
            return
        }
        want(id, of: dispatch.workflowID)
    }

    /// Somebody asks about an attempt that is known here already.
    private func want(_ id: TaskID, of workflowID: WorkflowID) {
        entries[id]?.workflowID = workflowID
        if case .ended(let observations) = entries[id]?.phase { tell(id, observations) }
    }

    private func revoke(_ id: TaskID, of workflowID: WorkflowID) {
        guard let entry = entries[id] else {
            revokeUnknown(id, of: workflowID)
            return
        }
        want(id, of: workflowID)
        switch entry.phase {
        case .waiting:
            queues.withdraw(id)
            end(id, [.revoked(detail: "it was withdrawn before it began", at: .wallClock)])
        case .running(let running):
            let directory = places.attempt(id)
            do throws(LocalRunnerError) {
                try directory.wishRevoke()
            } catch {
                // The signal alone does it, unless the supervisor is not there yet; then the engine asks again.
                logger.warning("revoke of \(id): \(error)")
            }
            Supervisor.revoke(directory, child: running.child)
        case .clearing, .ended: break
        }
    }

    /// An id without an entry: never seen, or prepared before a crash and not begun. It never begins from now on.
    private func revokeUnknown(_ id: TaskID, of workflowID: WorkflowID) {
        let directory = places.attempt(id)
        if places.isValid(id), case .unstarted = directory.state() {
            guard (try? directory.wishRevoke()) != nil, (try? directory.forbid()) == true else {
                // A supervisor is in there after all: it finds the wish, and the sweep finds its outcome.
                entries[id] = Entry(workflowID: workflowID, phase: .running(Running(startIsReported: true)))
                return
            }
        }
        entries[id] = Entry(workflowID: workflowID, phase: .ended([]))
        end(id, [.revoked(detail: "it had not begun", at: .wallClock)])
    }

    private func settle(_ id: TaskID) {
        guard let entry = entries[id] else { return }
        switch entry.phase {
        case .ended: forget(id)
        case .waiting:
            queues.withdraw(id)
            entries[id] = nil
        case .running, .clearing:
            // Nobody waits for it any more: it is ended, and forgotten once it is gone.
            if let workflowID = entry.workflowID { revoke(id, of: workflowID) }
            entries[id]?.workflowID = nil
        }
    }

    /// Keeps the logs, drops everything else.
    private func forget(_ id: TaskID) {
        entries[id] = nil
        if places.isValid(id) { places.attempt(id).settle(into: places.keptLogs(id)) }
    }

    // MARK: Ends

    /// The attempt is over: frees its place and says so; one that nobody asked for is dropped at once.
    func end(_ id: TaskID, _ observations: [Observation]) {
        queues.release(id)
        entries[id]?.phase = .ended(observations)
        if entries[id]?.workflowID == nil { forget(id) } else { tell(id, observations) }
    }

    func tell(_ id: TaskID, _ observations: [Observation]) {
        guard let workflowID = entries[id]?.workflowID else { return }
        for observation in observations {
            outbox.append(Report(workflowID: workflowID, taskID: id, observation))
        }
    }
}
