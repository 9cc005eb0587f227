import Glibc
import Logging
import RhythmCore
import RhythmEngine

/// From a place in the queue to the outcome.
extension AttemptDesk {
    /// A supervisor that does not even claim its attempt is tried this often before the attempt fails.
    private static let spawnsMax = 3

    /// Begins an attempt whose turn has come.
    func launch(_ id: TaskID) {
        guard let entry = entries[id], case .waiting(let dispatch) = entry.phase else {
            queues.release(id)
            return
        }
        spawn(id, Running(dispatch: dispatch))
    }

    /// Starts a supervisor, or ends the attempt with the reason why none can be. Doing it twice is safe: only one of
    /// two supervisors gets to run the task.
    private func spawn(_ id: TaskID, _ running: Running) {
        guard let dispatch = running.dispatch else { return }
        guard places.isValid(id) else {
            fail(id, "AttemptSetup", "the task id is not a plain name", isRetriable: false)
            return
        }
        let executable: String
        do throws(Failure) {
            executable = try tasks.resolve(dispatch.task)
        } catch {
            end(id, [.failed(error, at: .wallClock)])
            return
        }
        let directory = places.attempt(id)
        let spec = AttemptSpec(
            dispatch: dispatch, queue: dispatch.queue ?? configuration.defaultQueue, executable: executable,
            notifyPath: places.notify, configuration: configuration)
        var running = running
        do throws(LocalRunnerError) {
            try directory.prepare(spec)
            let child = try Supervisor.spawn(configuration.supervisorPath, directory: directory)
            Supervisor.watch(child, on: lane) { self.supervisorIsGone(child, of: id) }
            running.child = child
        } catch {
            // Nothing was started, and nothing of this directory ever will be.
            if running.spawns == 0 { directory.remove() }
            fail(id, "AttemptSetup", error.description)
            return
        }
        running.spawns += 1
        entries[id]?.phase = .running(running)
    }

    private func fail(_ id: TaskID, _ type: String, _ message: String, isRetriable: Bool = true) {
        logger.error("attempt \(id): \(message)")
        end(id, [.failed(Failure(type: type, message: message, isRetriable: isRetriable), at: .wallClock)])
    }

    /// Whatever it left: an outcome, or an attempt that nobody watches over any more.
    private func supervisorIsGone(_ child: pid_t, of id: TaskID) {
        turn {
            guard case .running(var running) = entries[id]?.phase else { return }
            if running.child == child { running.child = nil }
            entries[id]?.phase = .running(running)
            refresh(id)
        }
    }

    // MARK: What the files say

    func notified(_ id: TaskID, _ event: NotifyFifo.Event) {
        guard let entry = entries[id], case .running = entry.phase else { return }
        switch event {
        case .started: readStart(id)
        case .reported: readProgress(id)
        case .ended: refresh(id)
        }
    }

    /// Reads everything that there is about a running attempt and acts on it.
    func refresh(_ id: TaskID) {
        guard let entry = entries[id], case .running(let running) = entry.phase else { return }
        let directory = places.attempt(id)
        switch directory.state() {
        case .finished:
            finish(id, directory)
        case .supervised:
            readStart(id)
            readProgress(id)
        case .abandoned:
            readStart(id)
            readProgress(id)
            clear(id, leader: directory.leader)
        case .unstarted, .absent:
            // Its supervisor is on its way.
            guard running.child == nil else { return }
            if case .finished = directory.state() {
                finish(id, directory)
            } else if running.dispatch != nil, running.spawns < Self.spawnsMax {
                spawn(id, running)
            } else if !Files.exists(directory.path) || (try? directory.forbid()) == true {
                fail(id, "SupervisorLost", "no supervisor could be started for it")
            }
        }
    }

    private func readStart(_ id: TaskID) {
        guard case .running(var running) = entries[id]?.phase, !running.startIsReported,
            let at = places.attempt(id).startedAt
        else { return }
        running.startIsReported = true
        entries[id]?.phase = .running(running)
        tell(id, [.started(at: at, worker: worker)])
    }

    private func readProgress(_ id: TaskID) {
        guard case .running(var running) = entries[id]?.phase, let progress = places.attempt(id).progress,
            progress != running.lastProgress
        else { return }
        running.lastProgress = progress
        entries[id]?.phase = .running(running)
        tell(id, [.progress(progress)])
    }

    /// There is an outcome.
    func finish(_ id: TaskID, _ directory: AttemptDirectory) {
        guard let outcome = directory.outcome else { return }
        if outcome.survivors > 0, outcome.kind != .lost {
            // What its supervisor could not end may still end: until then the attempt is not over.
            logger.warning("attempt \(id) left \(outcome.survivors) processes that cannot be ended")
            clear(id, leader: directory.leader)
            return
        }
        end(id, observations(of: outcome, directory))
    }

    /// The whole story of an attempt that is over, so that it can be told again to somebody who missed it.
    func observations(of outcome: AttemptOutcome, _ directory: AttemptDirectory) -> [Observation] {
        var all: [Observation] = []
        if let at = outcome.startedAt ?? directory.startedAt, outcome.ran, outcome.kind != .execFailed {
            all.append(.started(at: at, worker: worker))
            if let progress = directory.progress { all.append(.progress(progress)) }
        }
        return all + [outcome.observation(from: directory)]
    }
}
