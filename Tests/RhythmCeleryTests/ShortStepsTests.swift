import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmCelery

/// When a short step is looked at first.
@Suite struct ShortStepsTests {
    private let kind = ShortSteps.Kind(queue: "q", task: "t")

    /// Plays steps that take what `time` says: a look that is too early is followed by others, a millisecond apart.
    ///
    /// - Returns: how late each end was seen, and how many first looks saw it.
    private func play(_ count: Int, _ steps: inout ShortSteps, time: () -> Duration) -> (late: [Duration], hits: Int) {
        var late: [Duration] = []
        var hits = 0
        for _ in 0..<count {
            let end = time()
            var age = steps[kind] ?? .milliseconds(4)
            let isFirst = age >= end
            while age < end { age += .milliseconds(1) }
            steps.saw(endOf: kind, age: age, isFirst: isFirst)
            late.append(age - end)
            if isFirst { hits += 1 }
        }
        return (late, hits)
    }

    /// Whatever the steps take, about half are over when they are looked at first, and not for long.
    @Test(arguments: 1...10) func looksWhenHalfAreOver(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var steps = ShortSteps()
        let least = Double.random(in: 2...20, using: &random)
        func time() -> Duration { .seconds((least + Double.random(in: 0...4, using: &random)) / 1000) }
        _ = play(100, &steps, time: time)
        let (late, hits) = play(1000, &steps, time: time)
        #expect((350...650).contains(hits), "seed \(seed): \(hits) of 1000")
        let middle = late.sorted()[500]
        #expect(middle < .milliseconds(2), "seed \(seed), from \(least) ms: \(middle)")
    }

    /// Steps that take less than before are soon seen in time again, those that take more at once.
    @Test func follows() {
        var steps = ShortSteps()
        _ = play(200, &steps) { .milliseconds(40) }
        var fast = steps
        #expect(play(16, &fast) { .milliseconds(15) }.late.last.map { $0 < .milliseconds(2) } == true)
        #expect(play(30, &steps) { .milliseconds(5) }.late.last.map { $0 < .milliseconds(2) } == true)
        #expect(play(40, &steps) { .milliseconds(40) }.late.dropFirst(30).allSatisfy { $0 < .milliseconds(5) })
    }

    /// A long step is looked at as if nothing were known, and so is what is like it.
    @Test func leavesLongOnesAlone() {
        var steps = ShortSteps()
        steps.saw(endOf: kind, age: .milliseconds(10), isFirst: false)
        same(steps[kind], .milliseconds(10))
        for _ in 0..<100 { steps.saw(endOf: kind, age: .milliseconds(30), isFirst: false) }
        same(steps[kind], ShortSteps.longest)
        same(steps[.init(queue: "other", task: "t")], nil)
        steps.saw(endOf: kind, age: .milliseconds(51), isFirst: false)
        same(steps[kind], nil)
    }

    @Test func forgetsRatherThanGrows() {
        var steps = ShortSteps()
        for number in 0...ShortSteps.kindsMax {
            steps.saw(endOf: .init(queue: "q", task: "t\(number)"), age: .milliseconds(10), isFirst: false)
        }
        same(steps[.init(queue: "q", task: "t0")], nil)
        same(steps[.init(queue: "q", task: "t\(ShortSteps.kindsMax)")], .milliseconds(10))
    }
}
