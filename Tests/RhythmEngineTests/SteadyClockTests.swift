import RhythmCore
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmEngine

/// Time that nobody sets.
@Suite struct SteadyClockTests {
    /// A machine whose clocks a test moves.
    private final class Machine: Sendable {
        private let state = Mutex<(boot: Int64, wall: Int64)>((5_000_000, 1_800_000_000_000_000))
        var boot: Int64 { state.withLock { $0.boot } }
        var wall: Timestamp { Timestamp(microseconds: state.withLock { $0.wall }) }
        func pass(_ duration: Duration) {
            state.withLock { state in
                state.boot += duration.wholeMicroseconds
                state.wall += duration.wholeMicroseconds
            }
        }
        /// Somebody sets the wall clock.
        func set(by duration: Duration) { state.withLock { $0.wall += duration.wholeMicroseconds } }
        func clock() -> SteadyClock { SteadyClock(boot: { self.boot }, wall: { self.wall }) }
        /// What a database says whose clock is this much ahead of this machine's at the beginning.
        func sample(ahead: Duration, uncertainty: Duration = .milliseconds(1)) -> SteadyClock.Sample {
            let time = Timestamp(microseconds: 1_800_000_000_000_000 - 5_000_000 + boot) + ahead
            return SteadyClock.Sample(time: time, boot: boot, uncertainty: uncertainty)
        }
    }

    @Test(arguments: [Duration.seconds(600), .seconds(-600)])
    func aClockThatIsSetMovesNothingAtOnce(_ jump: Duration) {
        let machine = Machine()
        let clock = machine.clock()
        let begun = clock.now()
        #expect(begun == machine.wall)
        machine.set(by: jump)
        var last = begun
        for _ in 0..<60 {
            machine.pass(.seconds(1))
            let now = clock.now()
            let step = now.since(last)
            #expect(step >= .milliseconds(950) && step <= .milliseconds(1050), "\(step)")
            last = now
        }
        // But people read it: it gets there, and stays there.
        for _ in 0..<13_000 {
            machine.pass(.seconds(1))
            _ = clock.now()
        }
        #expect(abs(clock.now().microseconds - machine.wall.microseconds) < 100_000)
    }

    @Test func itNeverStandsStillHoweverOftenItIsAsked() {
        let machine = Machine()
        let clock = machine.clock()
        _ = clock.now()
        machine.set(by: .seconds(-3))
        machine.pass(.seconds(2))
        let begun = clock.now()
        for _ in 0..<100_000 {
            let before = clock.now()
            machine.pass(.microseconds(10))
            #expect(clock.now() > before)
        }
        // A second in which it lost one part in twenty.
        let passed = clock.now().since(begun)
        #expect(passed > .milliseconds(949) && passed < .milliseconds(951), "\(passed)")
    }

    @Test func serversWithWrongClocksMeanTheSameByATime() {
        var clocks: [(Machine, SteadyClock)] = []
        for wrong in [Duration.seconds(600), .seconds(-600), .zero] {
            let machine = Machine()
            machine.set(by: wrong)
            let clock = machine.clock()
            clock.follow(machine.sample(ahead: .seconds(2)))
            clocks.append((machine, clock))
        }
        let times = clocks.map { $0.1.now() }
        #expect(Set(times).count == 1)
        for (machine, clock) in clocks {
            // Whatever somebody does to one machine's clock now is of no consequence.
            machine.set(by: .seconds(Int64.random(in: -1000...1000)))
            machine.pass(.seconds(5))
            #expect(clock.now() == times[0] + .seconds(5))
            #expect(clock.wallAhead == .microseconds(machine.wall.microseconds - clock.now().microseconds))
        }
    }

    @Test func aStoreWhoseClockIsSetIsFollowedSlowly() {
        let machine = Machine()
        let clock = machine.clock()
        clock.follow(machine.sample(ahead: .zero))
        let begun = clock.now()
        clock.follow(machine.sample(ahead: .seconds(-30)))
        #expect(clock.now() >= begun)
        machine.pass(.seconds(100))
        #expect(clock.now() == begun + .seconds(95))
        machine.pass(.seconds(900))
        #expect(clock.now() == begun + .seconds(970))
    }

    @Test func whatMayBeAnErrorOfTheMeasurementIsNone() {
        let machine = Machine()
        let clock = machine.clock()
        clock.follow(machine.sample(ahead: .zero))
        let begun = clock.now()
        clock.follow(machine.sample(ahead: .milliseconds(90), uncertainty: .milliseconds(100)))
        machine.pass(.seconds(10))
        #expect(clock.now() == begun + .seconds(10))
    }
}
