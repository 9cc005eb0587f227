import Logging
import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmEngine

/// What a server remembers of workflows that others took over while it could not ask the store.
@Suite struct LastKnownTests {
    private func workflow(_ id: WorkflowID, bytes: Int = 0) -> Workflow {
        var transition = Transition(now: Timestamp(microseconds: 1)) { "t" }
        var spec = EngineRig.spec()
        spec.description = String(repeating: "x", count: bytes)
        return Workflow.start(id: id, spec: spec, in: &transition)
    }

    @Test func whatIsOldestGoesFirst() {
        let size = workflow("1", bytes: 10_000).roughSize
        #expect(size > 10_000 && size < 15_000)
        var known = LastKnown(limit: size * 3)
        for id in ["1", "2", "3"] as [WorkflowID] { known.keep(workflow(id, bytes: 10_000)) }
        #expect(known.count == 3 && known.bytes == size * 3)
        // Kept again, it is the newest.
        known.keep(workflow("1", bytes: 10_000))
        #expect(known.count == 3 && known.bytes == size * 3)
        known.keep(workflow("4", bytes: 10_000))
        #expect(known["2"] == nil && known["1"] != nil && known["3"] != nil && known["4"] != nil)
        known.forget("3")
        #expect(known.count == 2 && known.bytes == size * 2)
        // Too large to be kept at all: it takes nobody's place.
        known.keep(workflow("5", bytes: 50_000))
        #expect(known["5"] == nil && known.count == 2)
        known.forgetAll()
        #expect(known.count == 0 && known.bytes == 0)
    }

    @Test func manyThatComeAndGo() {
        var known = LastKnown(limit: 40_000)
        var random = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            let id = WorkflowID("w\(Int.random(in: 0..<30, using: &random))")
            if random.once(in: 3) {
                known.forget(id)
                #expect(known[id] == nil)
            } else {
                known.keep(workflow(id, bytes: Int.random(in: 0...9_000, using: &random)))
                #expect(known[id] != nil)
            }
            #expect(known.bytes <= 40_000 && (known.bytes == 0) == (known.count == 0))
        }
    }

    @Test func itIsToldUntilTheStoreAnswers() {
        let board = Board()
        let (kept, left, gone) = (workflow("kept"), workflow("left"), workflow("gone"))
        var news = Publication()
        news.changes = [kept, left, gone].map { .init(workflow: $0, events: []) }
        board.publish(news)
        // With the store at hand nothing needs to be remembered.
        var release = Publication()
        release.released = ["left"]
        board.publish(release)
        #expect(board.lastKnown("left") == nil)
        release = Publication()
        release.released = ["kept", "gone"]
        release.storeIsAway = true
        board.publish(release)
        board.trouble = StoreError(.unavailable, "it is away")
        #expect(board.workflow("kept") == nil && board.lastKnown("kept") == kept && board.count == 0)
        var deletion = Publication()
        deletion.deleted = ["gone"]
        board.publish(deletion)
        #expect(board.lastKnown("gone") == nil && board.lastKnown("kept") != nil)
        board.trouble = nil
        #expect(board.lastKnown("kept") == nil)
    }
}
