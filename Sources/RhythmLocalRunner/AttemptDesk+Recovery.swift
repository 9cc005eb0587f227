import Dispatch
import Logging
import RhythmCore
import RhythmEngine

/// What an earlier server left, and what a dead supervisor left.
extension AttemptDesk {
    /// How long processes get to vanish after SIGKILL before it is sent again; then twice as long, and so on.
    private static let clearingPauseMin = Duration.milliseconds(50)
    private static let clearingPauseMax = Duration.seconds(5)

    /// Finds the attempts on disk. None of them belongs to anybody until an effect names it.
    func findAttempts() {
        for name in Files.names(in: places.attempts) {
            let id = TaskID(name)
            guard places.isValid(id) else { continue }
            let directory = places.attempt(id)
            switch directory.state() {
            case .finished:
                entries[id] = Entry(phase: .running(Running()))
                finish(id, directory, foundEnded: true)
            case .supervised:
                entries[id] = Entry(phase: .running(Running()))
                queues.occupy(id, queue: directory.queue ?? configuration.defaultQueue)
            case .abandoned:
                entries[id] = Entry(phase: .running(Running()))
                clear(id, leader: directory.leader)
            case .unstarted, .absent:
                // A dispatch begins it, a revoke forbids it; what neither names goes.
                break
            }
        }
    }

    /// Like ``finish(_:_:)``, but keeps the end for the effect that asks for it.
    private func finish(_ id: TaskID, _ directory: AttemptDirectory, foundEnded: Bool) {
        guard let outcome = directory.outcome else { return }
        if outcome.survivors > 0, outcome.kind != .lost {
            clear(id, leader: directory.leader)
        } else {
            entries[id]?.phase = .ended(observations(of: outcome, directory))
        }
    }

    /// Ends and forgets what the engine's records do not know as live.
    func dropUnwanted() {
        for name in Files.names(in: places.attempts) {
            let id = TaskID(name)
            guard places.isValid(id) else { continue }
            let directory = places.attempt(id)
            guard let entry = entries[id] else {
                if (try? directory.forbid()) == true { directory.remove() }
                continue
            }
            guard entry.workflowID == nil else { continue }
            switch entry.phase {
            case .ended(let observations): end(id, observations)
            case .running:
                logger.notice("ending attempt \(id), which no workflow waits for")
                try? directory.wishRevoke()
                Supervisor.revoke(directory, child: nil)
            case .waiting, .clearing: break
            }
        }
        // Those that are wanted and run: where they are by now.
        for (id, entry) in entries where entry.workflowID != nil {
            if case .running = entry.phase { refresh(id) }
        }
    }

    // MARK: Without a supervisor

    /// Ends what is left of an attempt before anything is said about its end.
    func clear(_ id: TaskID, leader: TaskLeader?) {
        entries[id]?.phase = .clearing(leader)
        guard clearingPause == nil else { return }
        clearingPause = Self.clearingPauseMin
        lane.async { self.clearLeftovers() }
    }

    private func clearLeftovers() {
        turn {
            var all: [TaskID: TaskLeader?] = [:]
            for (id, entry) in entries {
                if case .clearing(let leader) = entry.phase { all.updateValue(leader, forKey: id) }
            }
            let left = Leftovers.end(all)
            for id in all.keys where !left.contains(id) { nothingIsLeft(of: id) }
            guard !left.isEmpty, let pause = clearingPause else {
                clearingPause = nil
                return
            }
            clearingPause = min(pause * 2, Self.clearingPauseMax)
            lane.asyncAfter(deadline: .now() + .milliseconds(Int(pause.wholeMilliseconds))) { self.clearLeftovers() }
        }
    }

    /// Nothing is left of it: now its end may be told.
    private func nothingIsLeft(of id: TaskID) {
        let directory = places.attempt(id)
        var outcome = AttemptOutcome(kind: .lost)
        if let written = directory.outcome {
            outcome = written
        } else {
            outcome.startedAt = directory.startedAt
            outcome.ran = outcome.startedAt != nil
            outcome.endedAt = .wallClock
            do throws(LocalRunnerError) {
                try directory.write(outcome)
            } catch {
                // Should the server end now, the next one comes to the same conclusion.
                logger.warning("outcome of \(id): \(error)")
            }
        }
        end(id, observations(of: outcome, directory))
    }
}
