import RhythmClient
import RhythmCore
import Testing

@Suite struct UpdateBufferTests {
    private func transition(_ version: Int64) -> WatchUpdate {
        .transition(
            Event(
                workflowID: "a", version: version, at: Timestamp(microseconds: 1), kind: .started, status: .started,
                stepsDone: 0))
    }

    private func progress(_ done: Double) -> WatchUpdate {
        .progress(
            StepProgress(
                workflowID: "a", step: "s", taskID: "t",
                progress: Progress(ProgressReport(done: done, at: Timestamp(microseconds: 1)))))
    }

    @Test func progressIsConflatedAndTransitionsAreNot() async throws {
        let buffer = UpdateBuffer<WatchUpdate>(limit: 100)
        for index in 1...3 {
            #expect(buffer.push(transition(Int64(index))) == .goOn)
            #expect(buffer.push(progress(Double(index))) == .goOn)
        }
        buffer.finish(nil)
        var read: [WatchUpdate] = []
        while let update = try await buffer.next(advise: { _ in }).get() { read.append(update) }
        #expect(read == [transition(1), progress(3), transition(2), transition(3)])
    }

    @Test func progressAfterOneThatWasReadIsNewAgain() async throws {
        let buffer = UpdateBuffer<WatchUpdate>(limit: 100)
        _ = buffer.push(progress(1))
        #expect(try await buffer.next(advise: { _ in }).get() == progress(1))
        _ = buffer.push(transition(1))
        _ = buffer.push(progress(2))
        #expect(try await buffer.next(advise: { _ in }).get() == transition(1))
        #expect(try await buffer.next(advise: { _ in }).get() == progress(2))
    }

    @Test func aFullBufferParksOnceAndUnparksWhenHalfIsRead() async throws {
        let buffer = UpdateBuffer<WatchUpdate>(limit: 4)
        #expect((1...6).map { buffer.push(transition($0)) } == [.goOn, .goOn, .goOn, .park, .goOn, .goOn])
        let advice = Advised()
        for _ in 1...6 { _ = await buffer.next { advice.add($0) } }
        #expect(advice.all == [.unpark])
    }

    @Test func anErrorComesAfterWhatWaits() async throws {
        let buffer = UpdateBuffer<WatchUpdate>(limit: 4)
        _ = buffer.push(transition(1))
        let error = RhythmError(.notFound, reason: "X", "x")
        buffer.finish(error)
        #expect(try await buffer.next(advise: { _ in }).get() == transition(1))
        #expect(await buffer.next(advise: { _ in }) == .failure(error))
    }

    @Test(.timeLimit(.minutes(1))) func aCancelledReaderGoesAtOnce() async throws {
        let buffer = UpdateBuffer<WatchUpdate>(limit: 4)
        for _ in 0..<200 {
            let reader = Task { await buffer.next(advise: { _ in }) }
            await Task.yield()
            reader.cancel()
            #expect(await reader.value == .success(nil))
        }
    }
}

private final class Advised: @unchecked Sendable {
    // SAFETY: used by one task of one test.
    private(set) var all: [UpdateAdvice] = []
    func add(_ advice: UpdateAdvice) { all.append(advice) }
}
