import RhythmCore

/// The workers that are known, and what is known of their being alive. A value; times count from when the runner began.
struct WorkerRoster {
    /// How long a worker is waited for.
    struct Patience: Sendable {
        /// Silence for this long is worth a look at its mailbox. Workers send a heartbeat every two seconds.
        var quiet: Duration = .seconds(10)
        /// A silent worker without a mailbox is taken for dead after this long.
        var dead: Duration = .seconds(300)
        /// A worker that said goodbye may go on finishing what it runs for this long.
        var leaving: Duration = .seconds(6 * 3600)
    }

    /// What a worker is.
    enum Standing: Hashable, Sendable {
        /// Heard of not long ago.
        case live
        /// Not heard of for a while; whether it runs something nobody knows.
        case silent(since: Duration)
        /// It said goodbye: takes nothing any more, and finishes what it runs.
        case leaving(since: Duration)
        /// Neither heard of for a long time nor connected.
        case dead
    }

    private struct Worker {
        var firstHeard: Duration
        var lastHeard: Duration
        var goodbye: Duration?
        var mailboxIsGone = false
        /// It sends events of its tasks.
        var tellsOfTasks = false
        /// It has answered remote control.
        var answers = false
    }

    var patience = Patience()
    private var workers: [String: Worker] = [:]

    init(patience: Patience = Patience()) { self.patience = patience }

    var names: [String] { workers.keys.sorted() }
    var isEmpty: Bool { workers.isEmpty }

    /// It is there: it came up, or gave a sign of life.
    ///
    /// - Returns: whether it was not known, or believed to be away.
    @discardableResult
    mutating func heard(_ name: String, at now: Duration) -> Bool {
        let known = workers[name]
        workers[name] = Worker(
            firstHeard: known?.firstHeard ?? now, lastHeard: max(now, known?.lastHeard ?? now),
            tellsOfTasks: known?.tellsOfTasks ?? false,
            answers: known?.answers ?? false)
        return known == nil || known?.goodbye != nil || known?.mailboxIsGone == true
    }

    /// It sent an event of a task.
    ///
    /// - Returns: as ``heard(_:at:)``.
    mutating func worked(_ name: String, at now: Duration) -> Bool {
        defer { workers[name]?.tellsOfTasks = true }
        return spoke(name, at: now)
    }

    /// It answered. One that shuts down does so too, and answers travel another way than its goodbye: that stands.
    ///
    /// - Returns: as ``heard(_:at:)``.
    mutating func answered(_ name: String, at now: Duration) -> Bool {
        defer { workers[name]?.answers = true }
        return spoke(name, at: now)
    }

    private mutating func spoke(_ name: String, at now: Duration) -> Bool {
        guard workers[name]?.goodbye != nil else { return heard(name, at: now) }
        workers[name]?.lastHeard = now
        return false
    }

    /// Whether it has ever answered: one that has not may do so never, for want of remote control.
    func hasAnswered(_ name: String) -> Bool { workers[name]?.answers ?? false }

    /// It has been there for so long, and has never answered.
    func isMute(_ name: String, for patience: Duration, at now: Duration) -> Bool {
        workers[name].map { !$0.answers && now - $0.firstHeard >= patience } ?? false
    }

    /// It said that it sends events of its tasks, or it began anew and has yet to be told to.
    mutating func tellsOfTasks(_ name: String, _ tells: Bool) { workers[name]?.tellsOfTasks = tells }

    /// Whether it sends events of its tasks.
    func tellsOfTasks(_ name: String) -> Bool { workers[name]?.tellsOfTasks == true }

    /// Nobody could be heard until now: silence counts from here.
    mutating func restart(at now: Duration) {
        for name in workers.keys where workers[name]?.goodbye == nil {
            workers[name]?.lastHeard = now
            workers[name]?.mailboxIsGone = false
            workers[name]?.tellsOfTasks = false
        }
    }

    /// It said goodbye.
    mutating func leaves(_ name: String, at now: Duration) {
        let known = workers[name]
        workers[name] = Worker(
            firstHeard: known?.firstHeard ?? now, lastHeard: now, goodbye: known?.goodbye ?? now,
            answers: known?.answers ?? false)
    }

    /// A document names it: it counts as known, and as silent since `now`, unless it is known already.
    mutating func mention(_ name: String, at now: Duration) {
        if !name.isEmpty, workers[name] == nil { workers[name] = Worker(firstHeard: now, lastHeard: now) }
    }

    /// Its mailbox queue was looked for.
    mutating func mailbox(of name: String, isThere: Bool) { workers[name]?.mailboxIsGone = !isThere }

    /// It has no connection to the broker any more, as far as anybody knows: what it had not acknowledged was given back.
    func isCutOff(_ name: String) -> Bool { workers[name]?.mailboxIsGone == true }

    /// Those without a connection to the broker.
    var cutOff: Set<String> { Set(workers.lazy.filter { $0.value.mailboxIsGone }.map(\.key)) }

    /// What a worker is; dead if nothing is known of it.
    func standing(of name: String, at now: Duration) -> Standing {
        guard let worker = workers[name] else { return .dead }
        let silence = now - worker.lastHeard
        if let goodbye = worker.goodbye {
            return now - goodbye >= patience.leaving ? .dead : .leaving(since: goodbye)
        }
        if worker.mailboxIsGone, silence >= patience.dead { return .dead }
        return silence >= patience.quiet ? .silent(since: worker.lastHeard) : .live
    }

    /// Those that have to answer before anything can be said about all: alive, or silent without a known reason.
    func expected(at now: Duration) -> Set<String> {
        Set(
            workers.keys.filter {
                switch standing(of: $0, at: now) {
                case .live, .silent: true
                case .leaving, .dead: false
                }
            })
    }

    /// Those whose mailbox is worth a look.
    func quiet(at now: Duration) -> [String] {
        workers.keys.filter { if case .silent = standing(of: $0, at: now) { true } else { false } }.sorted()
    }

    /// Forgets the dead.
    ///
    /// - Returns: their names.
    mutating func bury(at now: Duration) -> [String] {
        let dead = workers.keys.filter { standing(of: $0, at: now) == .dead }
        for name in dead { workers[name] = nil }
        return dead
    }
}
