import HeapModule
import RhythmCore

/// When to read the document of each open attempt.
///
/// The interval is a tenth of the attempt's age, so a short step is noticed within a fraction of its own length and a
/// long one costs little. Young attempts are read every few milliseconds, old ones once a second, and more rarely where
/// thousands are open. While all workers tell when they begin and end an attempt, documents are read for the rare case
/// only that they told in vain: each read costs the database time that it owes to the workers' own writes. The first read
/// of a short step comes when such steps have usually ended (``ShortSteps``). Times are counted from when the runner
/// began. A value; no clock.
struct PollSchedule {
    /// The shortest and the longest interval.
    var shortest: Duration = .milliseconds(1)
    var longest: Duration = .seconds(1)
    /// The shortest interval while ``isTold``: this, and up to a hundred milliseconds with how many are open.
    var shortestWhenTold: Duration = .milliseconds(20)
    var longestWhenTold: Duration = .milliseconds(100)
    /// All workers tell when they begin or end something. What is planned already stays as it is.
    var isTold = false
    /// So many open attempts are read as often as that; with twice as many the longer intervals double.
    var comfortable = 1000
    /// The longest pause after a read that is made because the read took long.
    static let longestRest: Duration = .milliseconds(20)
    /// For each attempt that waits in a queue the pause after a read is so much longer, up to ``longestGathering``.
    static let gathering: Duration = .microseconds(250)
    static let longestGathering: Duration = .milliseconds(25)
    /// An attempt before which no more than this waited when it was sent, in whatever queues, waits for nobody. Where no
    /// more than this are open, the database has little else to do.
    static let few = 2

    private struct Entry {
        /// When it was sent, or began: its age counts from then.
        var since: Duration
        var due: Duration
        /// The heap holds earlier plans of the same attempt; only the one of this number counts.
        var plan: UInt64
        /// A read of it is under way.
        var isBeingRead = false
        /// It is to be read again as soon as that read is back.
        var again = false
        /// It has begun; else it waits in its queue.
        var hasBegun = false
        /// What is learnt from how long it takes, and from when on; nil if nothing is.
        var lesson: (kind: ShortSteps.Kind, sent: Duration)?
        /// Not looked at before that.
        var firstLook: Duration
        /// Reads of it so far, and when the last began.
        var looks = 0
        var lastLook: Duration = .zero
    }

    private struct Plan: Comparable {
        let due: Duration
        let number: UInt64
        let id: TaskID

        static func < (lhs: Plan, rhs: Plan) -> Bool { (lhs.due, lhs.number) < (rhs.due, rhs.number) }
        static func == (lhs: Plan, rhs: Plan) -> Bool { lhs.number == rhs.number }
    }

    private var entries: [TaskID: Entry] = [:]
    private var plans = Heap<Plan>()
    private var lastPlan: UInt64 = 0
    private var shortSteps = ShortSteps()

    /// How many attempts are open.
    var count: Int { entries.count }

    /// How many of them nobody has begun.
    private(set) var waiting = 0

    /// When the next read is due; nil if nothing is open, or all of it is being read.
    var nextDue: Duration? {
        mutating get {
            dropOutdated()
            return plans.min?.due
        }
    }

    /// Begins to follow an attempt that was sent at `since`. One that is followed already keeps its place.
    ///
    /// - Parameter kind: what it is, if it was sent only now.
    mutating func insert(_ id: TaskID, since: Duration, kind: ShortSteps.Kind? = nil) {
        guard entries[id] == nil else { return }
        let kind = waiting <= Self.few ? kind : nil
        // A message takes a few milliseconds to a worker, and the worker as many to begin.
        let first = since + (kind.flatMap { shortSteps[$0] } ?? max(least, shortest * 4))
        entries[id] = Entry(since: since, due: since, plan: 0, lesson: kind.map { ($0, since) }, firstLook: first)
        waiting += 1
        plan(id, at: first)
    }

    /// Stops following.
    mutating func remove(_ id: TaskID) {
        if entries.removeValue(forKey: id)?.hasBegun == false { waiting -= 1 }
    }

    /// It is over: stops following.
    mutating func end(_ id: TaskID) {
        if let entry = entries[id], entry.isBeingRead, let (kind, sent) = entry.lesson {
            shortSteps.saw(endOf: kind, age: entry.lastLook - sent, isFirst: entry.looks == 1)
        }
        remove(id)
    }

    /// It has begun only now: its age counts from `since` on, so its first moments are watched closely.
    mutating func begin(_ id: TaskID, since: Duration) {
        guard let entry = entries[id] else { return }
        if !entry.hasBegun { waiting -= 1 }
        entries[id]?.hasBegun = true
        entries[id]?.since = since
        // What is being read is planned anew when that is back.
        if !entry.isBeingRead, since + least > entry.firstLook { hurry(id, to: since + least) }
    }

    /// Something may have happened to it: it is due now.
    mutating func wake(_ id: TaskID, now: Duration) {
        // Whoever says so says it the next time, too.
        entries[id]?.lesson = nil
        hurry(id, to: now)
    }

    /// It is due now, all of them are.
    mutating func wakeAll(now: Duration) {
        for id in entries.keys { hurry(id, to: now) }
    }

    private mutating func hurry(_ id: TaskID, to due: Duration) {
        guard let entry = entries[id] else { return }
        if entry.isBeingRead {
            entries[id]?.again = true
        } else if due < entry.due {
            plan(id, at: due)
        }
    }

    /// The attempts whose time has come, at most `limit`; they count as being read until ``wasRead(_:now:)``.
    mutating func takeDue(now: Duration, limit: Int) -> [TaskID] {
        var taken: [TaskID] = []
        while taken.count < limit {
            dropOutdated()
            guard let first = plans.min, first.due <= now else { break }
            plans.removeMin()
            entries[first.id]?.isBeingRead = true
            entries[first.id]?.looks += 1
            entries[first.id]?.lastLook = now
            taken.append(first.id)
        }
        return taken
    }

    /// A read of it is back: plans the next.
    mutating func wasRead(_ id: TaskID, now: Duration) {
        guard let entry = entries[id], entry.isBeingRead else { return }
        entries[id]?.isBeingRead = false
        entries[id]?.again = false
        plan(id, at: entry.again ? now : now + interval(age: now - entry.since))
    }

    /// A read of it failed: tries again after a while.
    mutating func wasNotRead(_ id: TaskID, retryAt: Duration) {
        guard entries[id]?.isBeingRead == true else { return }
        entries[id]?.isBeingRead = false
        plan(id, at: retryAt)
    }

    /// How long no document is read at all after a read that took so long. A busy database is asked less often, for more
    /// attempts at once, unless there are no more: a look that came a moment too early is repeated soon. And while
    /// attempts wait in queues, workers have enough to do without the next step of what they have just ended: such ends
    /// are gathered, so that one read, one commit and one turn serve several.
    func rest(after read: Duration) -> Duration {
        let relief = count <= Self.few ? .zero : min(Self.longestRest, read)
        return max(relief, min(Self.longestGathering, Self.gathering * waiting))
    }

    /// The pause between two reads of an attempt.
    func interval(age: Duration) -> Duration {
        let usual = min(longest, max(least, age / 10))
        guard entries.count > comfortable, comfortable > 0 else { return usual }
        return usual * (Double(entries.count) / Double(comfortable))
    }

    /// The more attempts are open, the less often they are read beside what workers tell.
    private var least: Duration {
        isTold ? max(shortest, shortestWhenTold, min(longestWhenTold, shortest * entries.count)) : shortest
    }

    private mutating func plan(_ id: TaskID, at due: Duration) {
        lastPlan += 1
        entries[id]?.due = due
        entries[id]?.plan = lastPlan
        plans.insert(Plan(due: due, number: lastPlan, id: id))
    }

    private mutating func dropOutdated() {
        while let first = plans.min {
            if let entry = entries[first.id], entry.plan == first.number, !entry.isBeingRead { return }
            plans.removeMin()
        }
    }
}
