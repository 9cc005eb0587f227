import CRhythmShims
import Glibc
import RhythmCore

/// The directory of one attempt, shared with its supervisor. The files are the truth: this type keeps nothing.
struct AttemptDirectory {
    let path: String

    /// What the directory says about the attempt.
    enum State {
        /// There is an outcome.
        case finished
        /// A supervisor holds the lock.
        case supervised
        /// It was begun, and its supervisor died without an outcome.
        case abandoned
        /// Nothing was begun, and no supervisor holds the lock (yet).
        case unstarted
        /// There is no such directory.
        case absent
    }

    private func file(_ name: String) -> String { path + "/" + name }

    /// Makes the directory and the files that a supervisor needs. Harmless if they are there already.
    func prepare(_ spec: AttemptSpec) throws(LocalRunnerError) {
        try Files.makeDirectory(path)
        try Files.replace(file("invocation"), with: spec.invocationBytes)
        try Files.replace(file("spec"), with: spec.specBytes)
    }

    /// Looks in the order that leaves no gap. A supervisor takes the lock, creates `started`, writes the outcome, lets
    /// go of the lock: so whoever finds the lock free after `started` was there, and then no outcome, finds it dead.
    func state() -> State {
        guard Files.exists(path) else { return .absent }
        let wasBegun = Files.exists(file("started"))
        if Files.exists(file("outcome")) { return .finished }
        switch rhythm_lock_probe(file("lock")) {
        case RHYTHM_LOCK_HELD, RHYTHM_LOCK_UNKNOWN: return .supervised
        default: break
        }
        if Files.exists(file("outcome")) { return .finished }
        return wasBegun ? .abandoned : .unstarted
    }

    /// Makes sure that an unstarted attempt never begins, whatever supervisor may still be on its way.
    /// False: one was faster.
    func forbid() throws(LocalRunnerError) -> Bool {
        let lock = rhythm_lock_take(file("lock"))
        guard lock >= 0 else {
            if errno == EWOULDBLOCK { return false }
            throw Files.failure("lock", file("lock"))
        }
        defer { close(lock) }
        let started = open(file("started"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard started >= 0 else {
            if errno == EEXIST { return false }
            throw Files.failure("create", file("started"))
        }
        close(started)
        return true
    }

    /// Whether it is over, as far as the supervisor could tell.
    var isFinished: Bool { Files.exists(file("outcome")) }

    // MARK: What the supervisor wrote

    /// When the task was begun; nil if it was not. The file's own time only if nothing better is known: it is that of
    /// the kernel's last tick, which may lie before the end that made room for this task.
    var startedAt: Timestamp? {
        leader?.startedAt ?? Files.info(file("started")).flatMap { $0.size > 0 ? $0.modified : nil }
    }

    /// How to find the task's processes without their supervisor; nil if there never were any.
    var leader: TaskLeader? { Files.readText(file("started")).flatMap(TaskLeader.init(parsing:)) }

    /// The process that holds the lock, as it wrote itself.
    var supervisor: pid_t? {
        Files.readText(file("lock"))?.split(separator: " ").first.flatMap { pid_t($0) }
    }

    /// The latest progress line and when it was written; nil if there is none that makes sense.
    var progress: ProgressReport? {
        guard let info = Files.info(file("progress")), let text = Files.readText(file("progress")),
            let line = try? JSON(parsing: text), let value = line.value["progress"]
        else { return nil }
        return ProgressReport(reported: value, at: info.modified)
    }

    /// The line that begins with `{"result":`; nil if it cannot be read.
    var result: [UInt8]? { Files.read(file("result"), limit: 1 << 30) }

    /// The last lines of standard error; empty if there are none.
    var lastErrors: String { Files.readText(file("stderr_tail")) ?? "" }

    /// How it ended; nil if nobody has said yet.
    var outcome: AttemptOutcome? { Files.readText(file("outcome")).map(AttemptOutcome.init(parsing:)) }

    /// The queue it was begun for.
    var queue: String? { Files.read(file("spec")).flatMap(AttemptSpec.queue(inSpec:)) }

    // MARK: What the runner writes

    /// Puts down the wish to stop, before anybody is signalled: a supervisor that starts later finds it.
    func wishRevoke() throws(LocalRunnerError) { try Files.touch(file("revoke")) }

    /// Writes the outcome that a dead supervisor owes.
    func write(_ outcome: AttemptOutcome) throws(LocalRunnerError) {
        try Files.replace(file("outcome"), with: Array(outcome.text.utf8), durable: true)
    }

    /// Keeps the logs, if there are any, under another name and drops the rest.
    func settle(into kept: String) {
        var hasLog = false
        for name in Files.names(in: path) {
            if name.hasPrefix("log.") { hasLog = true } else { unlink(file(name)) }
        }
        if !hasLog || rename(path, kept) != 0 { remove() }
    }

    /// Deletes everything.
    func remove() {
        for name in Files.names(in: path) { unlink(file(name)) }
        rmdir(path)
    }
}
