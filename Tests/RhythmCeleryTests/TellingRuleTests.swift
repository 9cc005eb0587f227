import Testing

@testable import RhythmCelery

/// Which workers are asked for task events.
@Suite struct TellingRuleTests {
    @Test func asksWhoRunsSomethingLong() {
        var rule = TellingRule(.auto)
        #expect(rule.wanted == .some([]) && !rule.wants("w1"))
        #expect(rule.want("w1") == .some(["w1"]))
        #expect(rule.want("w1") == .some([]), "once")
        #expect(rule.want("") == .some([]))
        #expect(rule.wants("w1") && !rule.wants("w2"), "also when it comes back")
        #expect(rule.wanted == .some(["w1"]))
        rule.forget("w1")
        #expect(!rule.wants("w1"))
    }

    @Test func asksAllForGood() {
        var rule = TellingRule(.auto)
        #expect(rule.wantAll() == .all)
        #expect(rule.wantAll() == .some([]) && rule.want("w1") == .some([]), "they are asked already")
        rule.forget("w1")
        #expect(rule.wanted == .all && rule.wants("w1"))
    }

    @Test func goesByWhatItIsTold() {
        var always = TellingRule(.always)
        #expect(always.wanted == .all && always.wants("w1"))
        #expect(always.want("w1") == .some([]) && always.wantAll() == .some([]))
        var never = TellingRule(.never)
        #expect(never.want("w1") == .some([]) && never.wantAll() == .some([]))
        #expect(never.wanted == .some([]) && !never.wants("w1"))
    }
}
