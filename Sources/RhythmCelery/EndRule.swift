import RhythmCore

/// Decides whether the end that an attempt's document tells is one.
///
/// A task can store SUCCESS, FAILURE or REVOKED itself (`update_state`) and go on. What follows such an end, the next
/// step or the next attempt, would run beside it. So an end counts when a worker's event has told it, or when the worker
/// that has the task at work says that it has it no longer; the document alone is enough where nothing speaks against
/// it. One that is doubted (``Doubt``) is held back meanwhile, and the attempt still runs.
///
/// A value, one for each end that is held back; times count from when the runner began.
struct EndRule {
    /// How much speaks against an end.
    enum Doubt: Comparable, Sendable {
        /// Nothing: the document is enough.
        case none
        /// Nothing, but a question costs little: whoever does not answer agrees.
        case slight
        /// It looks as if the task had written it, or its worker says that it is at it: it has to be confirmed.
        case strong
    }

    /// What follows.
    enum Verdict: Hashable, Sendable {
        /// To be asked again then.
        case wait(until: Duration)
        /// It is over, unless its document says something else by now.
        case confirmed
    }

    /// The times that the rule goes by.
    struct Patience: Sendable {
        /// For answers.
        var reply: Duration = .seconds(1)
        /// A worker that never answers remote control is believed to be done after this time without a change.
        var mute: Duration = .seconds(30)
        /// One that has answered before, and is silent.
        var silent: Duration = .seconds(300)
        /// The longest time between two questions.
        var longest: Duration = .seconds(5)
    }

    /// Workers whose answer is waited for, and what is known of them.
    struct Expected: Hashable, Sendable {
        /// Those that may have it at work.
        var workers: Set<String>
        /// Those of them that have answered remote control at some time.
        var talkative: Set<String>
        /// Nobody else can have it.
        var isAll: Bool
    }

    private static let firstPause: Duration = .milliseconds(10)
    /// A worker may hold for so long what it has just ended: after that the task goes on.
    private static let handBack: Duration = .milliseconds(500)
    /// `ready` is what a worker calls a task that it is just about to forget.
    private static let readyPatience: Duration = .seconds(2)

    let patience: Patience
    private(set) var doubt: Doubt
    private let since: Duration
    private var changed: Duration
    private var rounds = 0
    private var round: (number: Int, begun: Duration, expected: Expected)?
    private var denied: Set<String> = []
    /// Some worker has said that it has it no longer.
    var isDenied: Bool { !denied.isEmpty }
    /// The worker that said in the present round that it is at it.
    private(set) var atWork: String?
    /// Whoever said so did it long after the end was seen.
    private(set) var wentOn = false
    private(set) var nextAsk: Duration

    init(_ doubt: Doubt, patience: Patience = Patience(), now: Duration) {
        self.doubt = doubt
        self.patience = patience
        since = now
        changed = now
        nextAsk = now
    }

    /// How much speaks against the end that a document tells.
    ///
    /// - Parameters:
    ///   - isTold: an event of the worker has told it.
    ///   - isOdd: this attempt has stored an end before that was none.
    ///   - age: how long the attempt has run, as far as is known.
    static func doubt(
        _ document: ResultDocument, isTold: Bool, isOdd: Bool, word: TaskEnds.Word, age: Duration, long: Duration
    ) -> Doubt {
        if isTold || document.isWrittenByWorker { return .none }
        if isOdd || word == .writesThemItself || document.endedAt == nil || document.status == .revoked {
            return .strong
        }
        if document.status == .failure, document.traceback.isEmpty { return .strong }
        return word == .unknown || age >= long ? .slight : .none
    }

    /// The document tells another end.
    mutating func changed(_ doubt: Doubt, now: Duration) {
        self.doubt = max(self.doubt, doubt)
        changed = now
        round = nil
        nextAsk = now
    }

    /// The workers are asked now.
    ///
    /// - Returns: the number of the round.
    mutating func ask(_ expected: Expected, now: Duration) -> Int {
        rounds += 1
        round = (rounds, now, expected)
        denied = []
        atWork = nil
        nextAsk = now + patience.reply
        return rounds
    }

    /// A worker has answered; nil if it does not hold the attempt.
    mutating func answered(_ number: Int, by worker: String, _ holding: Holding?, now: Duration) -> Verdict? {
        guard let round, round.number == number else { return nil }
        let isAtWork =
            switch holding?.state {
            case .active: true
            case .ready: now - changed < Self.readyPatience
            // Another copy of its message, which has not begun.
            case .reserved, .scheduled, nil: false
            }
        if isAtWork {
            atWork = worker
            // Another worker may have got another copy of its message from the broker.
            if now - since >= Self.handBack, round.expected.workers.contains(worker) { wentOn = true }
            doubt = .strong
            return later(now)
        }
        denied.insert(worker)
        let expected = round.expected
        guard expected.isAll, !expected.workers.isEmpty, expected.workers.isSubset(of: denied) else { return nil }
        return confirm()
    }

    /// The time for answers is over.
    mutating func overdue(now: Duration) -> Verdict {
        guard let round, doubt == .strong else { return confirm() }
        if atWork != nil { return later(now) }
        let missing = round.expected.workers.subtracting(denied)
        if round.expected.isAll, missing.isEmpty, !denied.isEmpty { return confirm() }
        let isMute = missing.isDisjoint(with: round.expected.talkative)
        return now - changed >= (isMute ? patience.mute : patience.silent) ? confirm() : later(now)
    }

    /// Nobody can be asked.
    mutating func cannotAsk(now: Duration) -> Verdict { doubt == .strong ? later(now) : confirm() }

    /// The answers of a round are waited for until then; nil if none is under way.
    var deadline: Duration? { round.map { $0.begun + patience.reply } }

    private mutating func confirm() -> Verdict {
        round = nil
        // Until its document is read once more.
        nextAsk = .seconds(1 << 40)
        return .confirmed
    }

    private mutating func later(_ now: Duration) -> Verdict {
        round = nil
        let pause = max(Self.firstPause * (1 << min(rounds, 9)), (now - since) / 10)
        nextAsk = now + min(patience.longest, pause)
        return .wait(until: nextAsk)
    }

    /// It could not be read whether the document still says so.
    mutating func askAgain(at time: Duration) { nextAsk = time }

    /// Why the attempt has not ended, for people.
    func explanation(_ document: ResultDocument?) -> String {
        let word =
            switch document?.status {
            case .success: "SUCCESS"
            case .revoked: "REVOKED"
            default: "FAILURE"
            }
        guard let atWork else {
            return "its document says \(word), and no worker has confirmed yet that it is done with it"
        }
        return "its document says \(word), but worker \(atWork) is still at it"
    }
}

/// What is known of how tasks end, by their names. A value.
struct TaskEnds {
    /// What a task's stored ends are worth.
    enum Word: Hashable, Sendable {
        case unknown
        /// They were ends so far.
        case isGood
        /// It has gone on after one.
        case writesThemItself
    }

    private static let most = 10_000
    private static let auditPause: Duration = .seconds(60)
    /// A worker has forgotten by then what it has ended.
    private static let settled: Duration = .seconds(1)

    private var words: [String: Word] = [:]
    private var latest: [String: (id: TaskID, at: Duration)] = [:]
    private var audited: [String: Duration] = [:]

    subscript(task: String) -> Word { words[task] ?? .unknown }

    /// An end counts.
    ///
    /// - Parameter isConfirmed: a worker has said so.
    mutating func saw(endOf task: String, _ id: TaskID, isConfirmed: Bool, now: Duration) {
        if words.count >= Self.most, words[task] == nil { forgetAll() }
        if words[task] == nil, isConfirmed { words[task] = .isGood }
        latest[task] = (id, now)
    }

    /// A task has gone on after what looked like its end.
    ///
    /// - Returns: whether that is news.
    mutating func wentOn(_ task: String) -> Bool {
        words.updateValue(.writesThemItself, forKey: task) != .writesThemItself
    }

    /// The ends that are worth asking about after the fact: now and then the latest of each task whose word is good.
    mutating func takeAudit(now: Duration) -> [TaskID: String] {
        var found: [TaskID: String] = [:]
        for (task, end) in latest where now - end.at >= Self.settled {
            latest[task] = nil
            if let last = audited[task], now - last < Self.auditPause { continue }
            guard words[task] == .isGood else { continue }
            audited[task] = now
            found[end.id] = task
        }
        return found
    }

    private mutating func forgetAll() {
        words = words.filter { $0.value == .writesThemItself }
        if words.count >= Self.most { words = [:] }
        latest = [:]
        audited = [:]
    }
}
