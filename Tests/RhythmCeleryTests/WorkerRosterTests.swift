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

    /// Documents need not be read often only if every worker that may run something tells of its tasks.
    @Test func allTellOrNot() {
        var roster = WorkerRoster()
        #expect(!roster.allTellOfTasks(at: .zero), "nobody is known")
        _ = roster.heard("a", at: .zero)
        _ = roster.heard("b", at: .zero)
        same(roster.worked("a", at: .zero), false)
        #expect(!roster.allTellOfTasks(at: .zero))
        roster.tellsOfTasks("b", true)
        #expect(roster.allTellOfTasks(at: .zero))
        _ = roster.heard("b", at: .seconds(1))
        #expect(roster.allTellOfTasks(at: .seconds(1)), "a heartbeat changes nothing")
        roster.tellsOfTasks("b", false)
        #expect(!roster.allTellOfTasks(at: .seconds(1)))
        roster.leaves("b", at: .seconds(2))
        #expect(roster.allTellOfTasks(at: .seconds(2)), "who leaves begins nothing")
        roster.restart(at: .seconds(3))
        #expect(!roster.allTellOfTasks(at: .seconds(3)), "what was told meanwhile is lost")
    }
}
