import RhythmCore
import Testing

@testable import RhythmCelery

/// Which worker is told to have an attempt.
@Suite struct CeleryEntryTests {
    @Test func twoWorkersThatTakeTurnsAreNotToldEachTime() {
        var entry = CeleryEntry(
            workflowID: "w", dispatch: nil, queue: "q", phase: .sent, now: .zero, serial: 1,
            lost: LostRule(pause: .seconds(1), patience: .seconds(1)))
        #expect(!entry.isNews(of: "", at: .zero))
        #expect(entry.isNews(of: "a", at: .zero))
        entry.tellOf("a", at: .zero)
        #expect(!entry.isNews(of: "a", at: .seconds(100)))
        #expect(entry.isNews(of: "b", at: .zero), "the broker has given it to another")
        entry.tellOf("b", at: .zero)
        #expect(!entry.isNews(of: "a", at: .seconds(59)), "both are at it")
        #expect(entry.isNews(of: "a", at: .seconds(60)))
    }
}
