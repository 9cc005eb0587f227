import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmCelery

/// When documents are read.
@Suite struct PollScheduleTests {
    /// Plays a schedule on its own: every read takes `lag`.
    private func reads(of schedule: PollSchedule, until end: Duration, lag: Duration = .zero) -> [Duration] {
        var schedule = schedule
        var reads: [Duration] = []
        while let due = schedule.nextDue, due <= end {
            for id in schedule.takeDue(now: due, limit: 100) {
                reads.append(due)
                schedule.wasRead(id, now: due + lag)
            }
        }
        return reads
    }

    /// An end is seen within a tenth of the attempt's age, and in no more than a second.
    @Test func looksInProportionToTheAge() {
        var schedule = PollSchedule()
        schedule.insert("a", since: .seconds(5))
        let reads = reads(of: schedule, until: .seconds(35))
        #expect(reads.first == .seconds(5) + .milliseconds(4), "no worker is quicker")
        for (earlier, later) in zip(reads, reads.dropFirst()) {
            let age = earlier - .seconds(5)
            #expect(later - earlier <= max(.milliseconds(1), min(.seconds(1), age / 10)))
        }
        #expect(reads.count < 140, "\(reads.count) reads in 30 s")
    }

    /// What waited for long and begins now is watched as closely as what was sent now.
    @Test func beginsAnew() {
        var schedule = PollSchedule()
        schedule.insert("a", since: .zero)
        _ = schedule.takeDue(now: .seconds(100), limit: 1)
        schedule.wasRead("a", now: .seconds(100))
        same(schedule.nextDue, .seconds(101))
        schedule.begin("a", since: .milliseconds(100_500))
        same(schedule.nextDue, .milliseconds(100_501))
    }

    /// While workers tell, the database is left in peace; what they do not tell is seen all the same.
    @Test func leavesToTheWorkersWhatTheyTell() {
        func told(open: Int, isTold: Bool = true) -> PollSchedule {
            var schedule = PollSchedule()
            schedule.isTold = isTold
            for number in 0..<open { schedule.insert(TaskID("t\(number)"), since: .zero) }
            return schedule
        }
        let young = Duration.milliseconds(5)
        same(told(open: 50, isTold: false).interval(age: young), .milliseconds(1))
        same(told(open: 1).interval(age: young), .milliseconds(20))
        same(told(open: 50).interval(age: young), .milliseconds(50))
        same(told(open: 500).interval(age: young), .milliseconds(100))
        same(told(open: 1).interval(age: .seconds(60)), .seconds(1))
        var schedule = told(open: 1)
        same(schedule.nextDue, .milliseconds(20))
        schedule.begin("t0", since: .milliseconds(3))
        same(schedule.nextDue, .milliseconds(20), "that it has begun is no reason to look sooner")
        schedule.wake("t0", now: .milliseconds(7))
        same(schedule.nextDue, .milliseconds(7), "a worker told of its end")
        _ = schedule.takeDue(now: .milliseconds(7), limit: 1)
        schedule.wasRead("t0", now: .milliseconds(8))
        same(schedule.nextDue, .milliseconds(28))
    }

    /// While workers have more to do than they can, ends are gathered; otherwise only a slow database is spared.
    @Test func gathersWhileAttemptsWait() {
        var schedule = PollSchedule()
        for id: TaskID in ["a", "b", "c"] {
            schedule.insert(id, since: .zero)
            schedule.begin(id, since: .zero)
        }
        same(schedule.rest(after: .milliseconds(2)), .milliseconds(2))
        same(schedule.rest(after: .seconds(3)), .milliseconds(20))
        schedule.remove("c")
        same(schedule.rest(after: .milliseconds(2)), .zero, "the others do not suffer")
        schedule = PollSchedule()
        for number in 0..<40 { schedule.insert(TaskID("t\(number)"), since: .zero) }
        same(schedule.rest(after: .milliseconds(2)), .milliseconds(10))
        for number in 40..<400 { schedule.insert(TaskID("t\(number)"), since: .zero) }
        same(schedule.rest(after: .milliseconds(2)), .milliseconds(25))
        // What runs waits for nobody.
        for number in 0..<398 { schedule.begin(TaskID("t\(number)"), since: .milliseconds(5)) }
        for number in 390..<399 { schedule.remove(TaskID("t\(number)")) }
        same(schedule.waiting, 1)
        same(schedule.rest(after: .milliseconds(2)), .milliseconds(2))
    }

    /// Of a short step the first look comes when its like have ended, in a queue where it does not have to wait.
    @Test func looksAtShortStepsWhenTheyAreOver() {
        let kind = ShortSteps.Kind(queue: "q", task: "t")
        var schedule = PollSchedule()
        func end(_ id: TaskID, after age: Duration) {
            _ = schedule.takeDue(now: age, limit: 5)
            schedule.end(id)
        }
        schedule.insert("a", since: .zero, kind: kind)
        same(schedule.nextDue, .milliseconds(4), "nothing is known")
        end("a", after: .milliseconds(12))
        schedule.insert("b", since: .zero, kind: kind)
        same(schedule.nextDue, .milliseconds(12))
        schedule.begin("b", since: .milliseconds(3))
        same(schedule.nextDue, .milliseconds(12), "that it has begun is no reason to look sooner")
        schedule.wake("b", now: .milliseconds(5))
        same(schedule.nextDue, .milliseconds(5), "that something has changed is")
        end("b", after: .milliseconds(5))
        schedule.insert("c", since: .zero, kind: kind)
        same(schedule.nextDue, .milliseconds(12), "and says nothing about how long it takes")
        _ = schedule.takeDue(now: .milliseconds(12), limit: 5)
        schedule.begin("c", since: .milliseconds(13))
        schedule.wasRead("c", now: .milliseconds(13))
        same(schedule.nextDue, .milliseconds(14), "it has only begun: it is watched closely")
        schedule.remove("c")
        for id in ["d", "e", "f"] as [TaskID] { schedule.insert(id, since: .seconds(1), kind: kind) }
        same(schedule.nextDue, .milliseconds(1012))
        schedule.insert("g", since: .seconds(1), kind: kind)
        same(schedule.nextDue, .milliseconds(1004), "three are before it")
        schedule.insert("h", since: .zero)
        same(schedule.nextDue, .milliseconds(4), "nobody knows how long this one is on its way")
    }

    @Test func isWokenUp() {
        var schedule = PollSchedule()
        for id in ["a", "b"] as [TaskID] { schedule.insert(id, since: .zero) }
        same(schedule.takeDue(now: .seconds(10), limit: 5).count, 2)
        same(schedule.nextDue, nil, "both are being read")
        schedule.wake("a", now: .seconds(10.01))
        same(schedule.nextDue, nil, "a read under way may have missed it, but two at once would help nobody")
        schedule.wasRead("a", now: .seconds(10.02))
        schedule.wasRead("b", now: .seconds(10.02))
        same(schedule.takeDue(now: .seconds(10.02), limit: 5), ["a"], "so it is read again at once")
        schedule.wake("b", now: .seconds(10.5))
        schedule.wake("nobody", now: .zero)
        same(schedule.takeDue(now: .seconds(10.5), limit: 5), ["b"])
        schedule.wasNotRead("b", retryAt: .seconds(12))
        same(schedule.nextDue, .seconds(12))
        schedule.remove("b")
        same(schedule.nextDue, nil)
        #expect(schedule.count == 1)
    }

    /// With thousands open the reads a second stay bounded.
    @Test func staysCheapWithThousands() {
        var schedule = PollSchedule()
        for number in 0..<8000 { schedule.insert(TaskID("t\(number)"), since: .zero) }
        var read = 0
        var now = Duration.seconds(60)
        while now < .seconds(76) {
            let due = schedule.takeDue(now: now, limit: 1000)
            read += due.count
            for id in due { schedule.wasRead(id, now: now) }
            if due.isEmpty { now = schedule.nextDue ?? .seconds(100) }
        }
        #expect((16_000...24_000).contains(read), "\(read) reads of 8000 attempts in 16 s")
    }

    /// Against a plain list, step by step.
    @Test(arguments: 1...20) func keepsItsPlans(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var schedule = PollSchedule()
        var reading: Set<TaskID> = []
        var known: Set<TaskID> = []
        var waiting: Set<TaskID> = []
        var now = Duration.zero
        for _ in 0..<400 {
            now += .milliseconds(Int.random(in: 0...30, using: &random))
            let id = TaskID("t\(Int.random(in: 0..<12, using: &random))")
            switch Int.random(in: 0..<7, using: &random) {
            case 0, 1:
                schedule.insert(id, since: now)
                if known.insert(id).inserted { waiting.insert(id) }
            case 2: schedule.wake(id, now: now)
            case 3:
                schedule.remove(id)
                known.remove(id)
                waiting.remove(id)
                reading.remove(id)
            case 4:
                let due = schedule.takeDue(now: now, limit: 3)
                #expect(reading.isDisjoint(with: due) && known.isSuperset(of: due), "seed \(seed)")
                reading.formUnion(due)
            case 5:
                schedule.begin(id, since: now)
                waiting.remove(id)
            default:
                for id in reading { schedule.wasRead(id, now: now) }
                reading = []
            }
            #expect(schedule.count == known.count && schedule.waiting == waiting.count, "seed \(seed)")
            same(schedule.nextDue != nil, !known.subtracting(reading).isEmpty, "seed \(seed)")
        }
    }
}
