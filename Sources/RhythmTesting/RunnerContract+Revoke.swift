import RhythmCore
import RhythmEngine
import Testing

// MARK: Revokes

extension RunnerContract {
    /// A running attempt that is revoked ends, and is reported when it is gone.
    package func revokesWhatRuns() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let dispatch = dispatch(.hold)
        runner.perform([.dispatch(dispatch)])
        try await place.marks.waitForRun(of: dispatch.taskID)
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        try await runner.expectRevoked(of: dispatch.taskID)
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        try await runner.wait { $0.ends(of: dispatch.taskID).count > 1 }
        #expect(runner.onlyRevokes(of: dispatch.taskID))
    }

    /// An attempt that waits in its queue is withdrawn and never runs.
    package func withdrawsWhatWaits() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let first = dispatch(.hold, queue: "narrow")
        let second = dispatch(.hold, queue: "narrow")
        let third = dispatch(.hold, queue: "narrow")
        runner.perform([.dispatch(first), .dispatch(second), .dispatch(third)])
        try await place.marks.waitForRun(of: first.taskID)
        runner.perform([.revoke(second.taskID, of: "w-1")])
        try await runner.expectRevoked(of: second.taskID)
        place.marks.openGate(of: first.taskID)
        place.marks.openGate(of: third.taskID)
        try await runner.expectSuccess(of: third.taskID, #"["held"]"#)
        #expect(place.marks.runs(of: second.taskID) == 0)
        #expect(place.marks.runs(of: third.taskID) == 1)
    }

    /// What is deleted by force is told to stop, given up and settled in one go. Nobody hears of its end, and it ends: the
    /// next one of its queue gets its place.
    package func endsWhatNobodyWaitsFor() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let first = dispatch(.hold, queue: "narrow")
        let next = dispatch(.pass, queue: "narrow")
        runner.perform([.dispatch(first)])
        try await place.marks.waitForRun(of: first.taskID)
        runner.perform([.dispatch(next)])
        let id = first.taskID
        runner.perform([.revoke(id, of: "w-1"), .bury(id), .settle(id)])
        runner.runner.purge([id])
        try await runner.expectSuccess(of: next.taskID, nil)
        #expect(runner.ends(of: id).isEmpty)
    }

    /// A revoke that comes first is answered, and the attempt never runs.
    package func revokesBeforeDispatch() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let dispatch = dispatch(.pass)
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        try await runner.expectRevoked(of: dispatch.taskID)
        runner.perform([.dispatch(dispatch)])
        try await runner.wait { $0.ends(of: dispatch.taskID).count > 1 }
        // Whatever was in the queue behind it has run by now.
        let later = self.dispatch(.pass)
        runner.perform([.dispatch(later)])
        try await runner.expectSuccess(of: later.taskID, nil)
        #expect(place.marks.runs(of: dispatch.taskID) == 0)
        #expect(runner.onlyRevokes(of: dispatch.taskID))
    }

    /// A success that the attempt reaches in spite of the revoke is a success.
    package func keepsALateSuccess() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let dispatch = dispatch(.stubborn)
        runner.perform([.dispatch(dispatch)])
        try await place.marks.waitForRun(of: dispatch.taskID)
        runner.perform([.revoke(dispatch.taskID, of: "w-1")])
        try await runner.expectSuccess(of: dispatch.taskID, #"["anyway"]"#)
    }

    /// Revokes at any moment of an attempt's life: exactly one kind of end, and it tells the truth.
    package func revokesAtAnyMoment(_ count: Int) async throws {
        let runner = try begin()
        defer { runner.stop() }
        for number in 0..<count {
            let dispatch = dispatch(.pass)
            runner.perform([.dispatch(dispatch)])
            for _ in 0..<(number * 37 % 400) { await Task.yield() }
            runner.perform([.revoke(dispatch.taskID, of: "w-1")])
            let end = try await runner.end(of: dispatch.taskID)
            #expect(end.isRevoked || end.isSuccess(nil), "\(end)")
            if end.isSuccess(nil) { #expect(place.marks.runs(of: dispatch.taskID) == 1) }
            runner.perform([.dispatch(dispatch)])
            try await runner.wait { $0.ends(of: dispatch.taskID).count > 1 }
            let kinds = Set(runner.ends(of: dispatch.taskID).map(\.isRevoked))
            #expect(kinds.count == 1, "an end never changes")
            #expect(place.marks.runs(of: dispatch.taskID) <= 1)
            runner.perform([.settle(dispatch.taskID)])
        }
    }
}

// MARK: Revokes and ends at once

extension RunnerContract {
    /// What was told of an attempt that came to its end while it was revoked.
    private struct RacedEnd {
        let id: TaskID
        let isSuccess: Bool
        /// The marks that it had left when its end was told.
        let runs: Int
        let finishes: Int
    }

    /// Revokes around the moment in which attempts end by themselves: one of the two is told and stays. A success means
    /// that the task ran to its end, once; after a revocation nothing of it runs any more.
    package func revokesAroundTheEnd(_ count: Int, lanes: Int = 4, seed: UInt64) async throws {
        let runner = try begin()
        defer { runner.stop() }
        let ends = try await withThrowingTaskGroup(of: [RacedEnd].self) { group in
            for lane in 0..<lanes {
                let share = count / lanes + (lane < count % lanes ? 1 : 0)
                group.addTask {
                    try await self.race(share, runner, SeededGenerator(seed: seed &+ UInt64(lane)))
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        // Whatever still ran when the last end was told is over by the time this one is.
        let later = dispatch(.brief)
        runner.perform([.dispatch(later)])
        try await runner.expectSuccess(of: later.taskID, nil)
        let successes = ends.filter(\.isSuccess).count
        print("seed \(seed): \(successes) successes, \(count - successes) revocations")
        #expect(
            ends.count == count && successes > 0 && successes < count, "seed \(seed): nothing was decided by a hair")
        for end in ends {
            #expect(end.runs <= 1 && (!end.isSuccess || end.finishes == 1), "seed \(seed): \(end)")
            let (runs, finishes) = (place.marks.runs(of: end.id), place.marks.finishes(of: end.id))
            #expect(runs == end.runs && finishes == end.finishes, "seed \(seed): it went on after its end: \(end)")
            let kinds = Set(runner.ends(of: end.id).map(\.isRevoked))
            #expect(kinds == [!end.isSuccess], "seed \(seed): an end never changes")
        }
    }

    /// One such attempt after the other.
    private func race(_ count: Int, _ runner: RunnerUnderTest, _ generator: SeededGenerator) async throws -> [RacedEnd]
    {
        var random = generator
        var ends: [RacedEnd] = []
        for _ in 0..<count {
            let dispatch = dispatch(.brief)
            let id = dispatch.taskID
            runner.perform([.dispatch(dispatch)])
            try await place.marks.waitForRun(of: id)
            try await Task.sleep(for: .microseconds(Int.random(in: 0...70_000, using: &random)))
            runner.perform([.revoke(id, of: "w-1")])
            let end = try await runner.end(of: id)
            let (runs, finishes) = (place.marks.runs(of: id), place.marks.finishes(of: id))
            #expect(end.isRevoked || end.isSuccess(nil), "seed \(generator.seed): \(end)")
            ends.append(RacedEnd(id: id, isSuccess: !end.isRevoked, runs: runs, finishes: finishes))
            let told = runner.ends(of: id).count
            runner.perform([.dispatch(dispatch)])
            try await runner.wait { $0.ends(of: id).count > told }
            runner.perform([.settle(id)])
        }
        return ends
    }
}

// MARK: Queues

extension RunnerContract {
    /// Within a queue the higher priority goes first, and among equals the one dispatched first.
    package func keepsTheOrder() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let first = dispatch(.hold, queue: "narrow", priority: 9)
        runner.perform([.dispatch(first)])
        try await place.marks.waitForRun(of: first.taskID)
        let waiting = [1, 5, 9, 0, 5, 1].map { dispatch(.pass, queue: "narrow", priority: $0) }
        runner.perform(waiting.map { .dispatch($0) })
        if place.queuesAreElsewhere {
            try await runner.wait { runner in waiting.allSatisfy { runner.isQueued($0.taskID) } }
        }
        place.marks.openGate(of: first.taskID)
        for dispatch in waiting { _ = try await runner.end(of: dispatch.taskID) }
        let expected = [2, 1, 4, 0, 5, 3].map { waiting[$0].taskID }
        // The place may have run others' attempts as well.
        let order = place.marks.order.filter { expected.contains($0) }
        #expect(order == expected)
    }

    /// No more attempts of a queue run at once than it allows, and a place that becomes free is used.
    package func keepsTheConcurrency() async throws {
        let runner = try begin()
        defer { runner.stop() }
        let all = (0..<5).map { _ in dispatch(.hold, queue: "pair") }
        let other = dispatch(.hold, queue: "another")
        runner.perform(all.map { .dispatch($0) } + [.dispatch(other)])
        for round in all.indices {
            let running = min(all.count, round + 2)
            try await place.marks.wait { marks in all.filter { marks.runs(of: $0.taskID) > 0 }.count >= running }
            let begun = all.filter { place.marks.runs(of: $0.taskID) > 0 }.count
            #expect(begun == running)
            place.marks.openGate(of: all[round].taskID)
            try await runner.expectSuccess(of: all[round].taskID, #"["held"]"#)
        }
        try await place.marks.waitForRun(of: other.taskID)
        place.marks.openGate(of: other.taskID)
        _ = try await runner.end(of: other.taskID)
    }
}
