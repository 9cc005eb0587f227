import RhythmCore
import RhythmEngine
import Testing

// MARK: Restarts

extension RunnerContract {
    /// What ran goes on, or runs anew if it died with its runner; in both cases it ends once.
    package func goesOnAfterARestart() async throws {
        let first = try begin()
        let running = dispatch(.hold, queue: "narrow")
        let waiting = dispatch(.pass, queue: "narrow")
        first.perform([.dispatch(running), .dispatch(waiting)])
        try await place.marks.waitForRun(of: running.taskID)
        first.stop()

        let second = try begin(outstanding: [.dispatch(waiting), .dispatch(running)])
        defer { second.stop() }
        if !place.attemptsOutliveRunners {
            // Both wait anew, in the order in which the engine named them.
            try await second.expectSuccess(of: waiting.taskID, nil)
        }
        try await place.marks.wait {
            $0.runs(of: running.taskID) == (self.place.attemptsOutliveRunners ? 1 : 2)
        }
        place.marks.openGate(of: running.taskID)
        try await second.expectSuccess(of: running.taskID, #"["held"]"#)
        try await second.expectSuccess(of: waiting.taskID, nil)
        if place.attemptsOutliveRunners {
            let freed = try #require(second.endTime(of: running.taskID))
            let begun = second.startTime(of: waiting.taskID)
            // Where others run it, a short one may be over before anybody could say that it has begun.
            #expect(begun != nil || place.queuesAreElsewhere)
            if let begun { #expect(begun >= freed, "what was found running has its place in the queue") }
        }
        #expect(place.marks.runs(of: running.taskID) == (place.attemptsOutliveRunners ? 1 : 2))
        #expect(first.ends(of: running.taskID).isEmpty)
    }

    /// An end that nobody has settled is told again after a restart, and the attempt does not run again.
    package func tellsAnEndAgain() async throws {
        let first = try begin()
        let dispatches = [dispatch(.pass), dispatch(.fail)]
        first.perform(dispatches.map { .dispatch($0) })
        for dispatch in dispatches { _ = try await first.end(of: dispatch.taskID) }
        first.stop()

        let second = try begin(outstanding: dispatches.map { .dispatch($0) })
        defer { second.stop() }
        try await second.expectSuccess(of: dispatches[0].taskID, nil)
        guard case .failed = try await second.end(of: dispatches[1].taskID) else {
            Issue.record("another end: \(second.reports(of: dispatches[1].taskID))")
            return
        }
        let runs = place.attemptsOutliveRunners ? 1 : 2
        for dispatch in dispatches { #expect(place.marks.runs(of: dispatch.taskID) == runs) }
    }

    /// A revoke that is outstanding after a restart is carried out, whatever there is of the attempt.
    package func revokesAfterARestart() async throws {
        let first = try begin()
        let running = dispatch(.hold)
        first.perform([.dispatch(running)])
        try await place.marks.waitForRun(of: running.taskID)
        first.stop()

        let unknown = TaskID.random()
        let second = try begin(outstanding: [.revoke(running.taskID, of: "w-1"), .revoke(unknown, of: "w-2")])
        defer { second.stop() }
        try await second.expectRevoked(of: running.taskID)
        try await second.expectRevoked(of: unknown)
        let named = second.all.first { $0.taskID == unknown }?.workflowID
        #expect(named == "w-2")
    }

    /// A settled attempt is nobody's business any more.
    package func forgetsWhatIsSettled() async throws {
        let first = try begin()
        let dispatch = dispatch(.pass)
        first.perform([.dispatch(dispatch)])
        _ = try await first.end(of: dispatch.taskID)
        first.perform([.settle(dispatch.taskID), .settle(dispatch.taskID), .settle(.random())])
        first.stop()

        let second = try begin(outstanding: [])
        defer { second.stop() }
        let later = self.dispatch(.pass)
        second.perform([.dispatch(later)])
        try await second.expectSuccess(of: later.taskID, nil)
        #expect(second.reports(of: dispatch.taskID).isEmpty)
    }

    /// Nothing is reported after a stop.
    package func isSilentAfterAStop() async throws {
        let first = try begin()
        let dispatch = dispatch(.hold)
        first.perform([.dispatch(dispatch)])
        try await place.marks.waitForRun(of: dispatch.taskID)
        first.stop()
        place.marks.openGate(of: dispatch.taskID)

        let second = try begin(outstanding: [.dispatch(dispatch)])
        defer { second.stop() }
        try await second.expectSuccess(of: dispatch.taskID, #"["held"]"#)
        #expect(first.ends(of: dispatch.taskID).isEmpty)
    }
}
