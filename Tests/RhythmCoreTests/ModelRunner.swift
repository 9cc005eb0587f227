import RhythmCore

/// What a runner truly does, and what it tells: the two may be far apart in time.
struct ModelRunner: Hashable {
    /// How an attempt truly ends.
    enum End: Hashable, CaseIterable {
        case success, wrongForm, failure, fatal, revoked, lost
        /// Stopped as it succeeded: both ends are reported, in any order.
        case revokedAndSuccess
    }

    /// What it tells of an attempt.
    enum Word: Hashable {
        case started, progress, retrying, success, wrongForm, failure, fatal, revoked, lost

        var isEnd: Bool {
            switch self {
            case .started, .progress, .retrying: false
            case .success, .wrongForm, .failure, .fatal, .revoked, .lost: true
            }
        }
    }

    enum Phase: Hashable { case queued, running, ended }

    /// A report on its way: delivered at most `copies` times more, whenever it likes.
    struct Message: Hashable {
        var word: Word
        var copies: Int
        var delivered = false
    }

    struct Task: Hashable {
        var step: String
        var phase = Phase.queued
        var stopAsked = false
        var forgotten = false
        var retried = false
        var mail: [Message] = []

        var runs: Bool { phase != .ended }
    }

    var tasks: [TaskID: Task] = [:]
    /// How often each report may arrive.
    let copies: Int

    init(copies: Int) { self.copies = copies }

    var ids: [TaskID] {
        tasks.keys.sorted { $0.rawValue.count == $1.rawValue.count ? $0 < $1 : $0.rawValue.count < $1.rawValue.count }
    }
    var running: [TaskID] { ids.filter { tasks[$0]?.runs == true } }

    /// Performs an effect; harmless to repeat.
    mutating func perform(_ effect: Effect) {
        switch effect {
        case .dispatch(let dispatch):
            if tasks[dispatch.taskID] == nil { tasks[dispatch.taskID] = Task(step: dispatch.step) }
        case .revoke(let id, of: _, begunBy: _, queue: _): tasks[id]?.stopAsked = true
        case .settle(let id): tasks[id]?.forgotten = true
        case .bury, .release: break
        }
    }

    mutating func say(_ word: Word, of id: TaskID) { tasks[id]?.mail.append(Message(word: word, copies: copies)) }

    mutating func begin(_ id: TaskID) {
        tasks[id]?.phase = .running
        say(.started, of: id)
    }

    mutating func retry(_ id: TaskID) {
        tasks[id]?.retried = true
        say(.retrying, of: id)
    }

    mutating func end(_ id: TaskID, _ end: End) {
        tasks[id]?.phase = .ended
        switch end {
        case .success: say(.success, of: id)
        case .wrongForm: say(.wrongForm, of: id)
        case .failure: say(.failure, of: id)
        case .fatal: say(.fatal, of: id)
        case .revoked: say(.revoked, of: id)
        case .lost: say(.lost, of: id)
        case .revokedAndSuccess:
            say(.revoked, of: id)
            say(.success, of: id)
        }
    }

    mutating func takeMail(_ id: TaskID, _ index: Int) -> Word? {
        guard let message = tasks[id]?.mail[index] else { return nil }
        tasks[id]?.mail[index].copies -= 1
        tasks[id]?.mail[index].delivered = true
        return message.word
    }
}

extension ModelRunner.Word {
    func observation(at now: Timestamp) -> Observation {
        switch self {
        case .started: .started(at: now, worker: "w")
        case .progress: .progress(ProgressReport(done: 1, total: 2, at: now))
        case .retrying: .retrying(retries: 1, Failure(type: "Flaky", message: "again"))
        case .success: .succeeded(result: JSON.array(of: [.string("r")]), at: now)
        case .wrongForm: .succeeded(result: .emptyObject, at: now)
        case .failure: .failed(Failure(type: "Boom", message: "it broke"), at: now)
        case .fatal: .failed(Failure(type: "Poison", message: "hopeless", isRetriable: false), at: now)
        case .revoked: .revoked(detail: "stopped", at: now)
        case .lost: .lost(detail: "no trace of it", at: now)
        }
    }
}
