import RhythmCore
import RhythmTesting
import Testing

@Suite struct ProgressTests {
    static func report(_ done: Double, of total: Double? = 100, second: Double, name: String = "copy") -> ProgressReport
    {
        ProgressReport(
            name: name, done: done, total: total, units: "MB", at: Timestamp(microseconds: Int64(second * 1_000_000)))
    }

    /// The mean the replaced library keeps: s = a*s + (1-a)*x, w = w*a, mean = s / (1 - w).
    struct Reference {
        var s = 0.0
        var w = 1.0
        mutating func add(_ x: Double) -> Double {
            s = 0.9 * s + 0.1 * x
            w *= 0.9
            return s / (1 - w)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func ratesAreThoseOfTheReplacedLibrary(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var reference = Reference()
        var second = 0.0
        var done = 0.0
        var progress = Progress(Self.report(0, of: 1e6, second: 0))
        #expect(progress.weightedRate == nil)
        #expect(progress.timeRemaining == nil)
        for _ in 0..<200 {
            let elapsed = Double(Int.random(in: 1...5_000, using: &random)) / 1000
            let step = Double.random(in: 0...50, using: &random)
            second += elapsed
            done += step
            progress.take(Self.report(done, of: 1e6, second: second))
            let rate = reference.add(step / elapsed)
            #expect(abs(try #require(progress.weightedRate) - rate) <= 1e-6 * max(1, rate), "seed \(seed)")
            #expect(abs(try #require(progress.averageRate) - done / second) <= 1e-6 * max(1, rate))
            #expect(abs(try #require(progress.timeRemaining) - (1e6 - done) / rate) <= 1e-6 * (1e6 / rate))
        }
    }

    @Test func firstEstimateIsNotBiased() {
        var progress = Progress(Self.report(0, second: 0))
        _ = progress.update(Self.report(10, second: 1))
        // Without the correction it would read 1 a second and 90 s.
        #expect(abs((progress.weightedRate ?? 0) - 10) < 1e-9)
        #expect(abs((progress.timeRemaining ?? 0) - 9) < 1e-9)
        #expect(progress.fractionDone == 0.1)
    }

    @Test func lastUpdateArrives() {
        var progress = Progress(Self.report(99, second: 0))
        progress.take(Self.report(100, second: 0))
        #expect(progress.fractionDone == 1)
        #expect(progress.timeRemaining == 0)
        progress.take(Self.report(120, second: 1))
        #expect(progress.fractionDone == 1)
        #expect(progress.timeRemaining == 0)
    }

    @Test func unknownIsAbsent() {
        var open = Progress(Self.report(5, of: nil, second: 0))
        _ = open.update(Self.report(10, of: nil, second: 1))
        #expect(open.fractionDone == nil)
        #expect(open.timeRemaining == nil)
        #expect(open.weightedRate.map { abs($0 - 5) < 1e-9 } == true)
        var stuck = Progress(Self.report(5, second: 0))
        _ = stuck.update(Self.report(5, second: 1))
        #expect(stuck.weightedRate == 0)
        #expect(stuck.timeRemaining == nil)
        for nonsense in [0, -1, .nan, .infinity] {
            #expect(Progress(Self.report(1, of: nonsense, second: 0)).total == nil, "\(nonsense)")
        }
    }

    @Test func backwardsStartsAnew() {
        var progress = Progress(Self.report(0, second: 0))
        _ = progress.update(Self.report(50, second: 1))
        progress.take(Self.report(10, second: 2))
        #expect(progress.done == 10)
        #expect(progress.weightedRate == nil)
        #expect(progress.timeRemaining == nil)
        _ = progress.update(Self.report(20, second: 3))
        #expect(progress.weightedRate.map { abs($0 - 10) < 1e-9 } == true)
        // Something else is counted from now on.
        progress.take(Self.report(30, second: 4, name: "verify"))
        #expect(progress.name == "verify")
        #expect(progress.weightedRate == nil)
    }

    @Test func sameTimeTwice() {
        var progress = Progress(Self.report(0, second: 0))
        _ = progress.update(Self.report(10, second: 1))
        progress.take(Self.report(20, second: 1))
        #expect(progress.done == 20)
        #expect(progress.weightedRate.map { $0.isFinite } == true)
        _ = progress.update(Self.report(30, second: 2))
        // No rate can be told of no time; the next sample counts from the last report on.
        #expect(progress.weightedRate.map { abs($0 - 10) < 1e-9 } == true)
        #expect(progress.averageRate == 15)
    }

    @Test func olderOnesAndNonsenseAreDropped() {
        var progress = Progress(Self.report(10, second: 5))
        let before = progress
        progress.drop(Self.report(11, second: 4))
        for nonsense in [Double.nan, .infinity, -.infinity] {
            progress.drop(Self.report(nonsense, second: 6))
        }
        #expect(progress == before)
        #expect(Progress(Self.report(.nan, second: 0)).done == 0)
    }

    @Test func hugeNumbersGiveNoInfiniteRates() {
        var progress = Progress(Self.report(-1e308, of: 1e308, second: 0))
        _ = progress.update(Self.report(1e308, of: 1.5e308, second: 0.000_001))
        for value in [progress.weightedRate, progress.averageRate, progress.timeRemaining, progress.fractionDone] {
            #expect(value.map(\.isFinite) != false)
        }
    }

    @Test func stateRoundTrip() {
        var progress = Progress(Self.report(0, second: 0))
        _ = progress.update(Self.report(10, second: 1))
        var copy = Progress(restoring: progress.state)
        #expect(copy == progress)
        _ = progress.update(Self.report(30, second: 2))
        _ = copy.update(Self.report(30, second: 2))
        #expect(copy == progress)
    }
}

extension RhythmCore.Progress {
    fileprivate mutating func take(_ report: ProgressReport) {
        let changed = update(report)
        #expect(changed, "\(report)")
    }

    fileprivate mutating func drop(_ report: ProgressReport) {
        let changed = update(report)
        #expect(!changed, "\(report)")
    }
}
