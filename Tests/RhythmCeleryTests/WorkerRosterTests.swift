import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmCelery

/// Which workers are there, as far as is known.
@Suite struct WorkerRosterTests {
    /// A goodbye stands whatever the worker still tells of its tasks or answers, until it comes up again.
    @Test func aGoodbyeStands() {
        var roster = WorkerRoster()
        same(roster.heard("w", at: .zero), true)
        roster.leaves("w", at: .seconds(1))
        same(roster.answered("w", at: .seconds(2)), false)
        same(roster.worked("w", at: .seconds(3)), false)
        #expect(roster.standing(of: "w", at: .seconds(3)) == .leaving(since: .seconds(1)))
        #expect(roster.expected(at: .seconds(3)).isEmpty)
        same(roster.heard("w", at: .seconds(4)), true)
        #expect(roster.standing(of: "w", at: .seconds(4)) == .live)
    }

    /// Who sends events of its tasks, as far as that has been heard.
    @Test func tellsOrNot() {
        var roster = WorkerRoster()
        #expect(!roster.tellsOfTasks("a"), "nobody is known")
        _ = roster.heard("a", at: .zero)
        _ = roster.heard("b", at: .zero)
        same(roster.worked("a", at: .zero), false)
        #expect(roster.tellsOfTasks("a") && !roster.tellsOfTasks("b"))
        roster.tellsOfTasks("b", true)
        _ = roster.heard("b", at: .seconds(1))
        #expect(roster.tellsOfTasks("b"), "a heartbeat changes nothing")
        roster.tellsOfTasks("b", false)
        #expect(!roster.tellsOfTasks("b"))
        roster.leaves("b", at: .seconds(2))
        #expect(roster.expected(at: .seconds(2)) == ["a"], "who leaves begins nothing")
        roster.restart(at: .seconds(3))
        #expect(!roster.tellsOfTasks("a"), "what was told meanwhile is lost")
    }
}
