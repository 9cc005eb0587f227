import Dispatch
import RhythmCore
import RhythmEngine
import RhythmStoreSQLite
import Synchronization

/// What a store is to refuse, and with what.
final class Faults: Sendable {
    private let commitFault = Mutex<StoreError?>(nil)
    private let holds = Mutex((isOn: false, waiting: 0))
    private let released = DispatchSemaphore(value: 0)

    /// Lists wait from now on.
    func holdReads() { holds.withLock { $0.isOn = true } }

    func releaseReads() {
        let waiting = holds.withLock { holds in
            defer { holds = (false, 0) }
            return holds.waiting
        }
        for _ in 0..<waiting { released.signal() }
    }

    /// Readers wait here.
    func waitIfHeld() {
        let isHeld = holds.withLock { holds in
            if holds.isOn { holds.waiting += 1 }
            return holds.isOn
        }
        if isHeld { _ = released.wait(timeout: .now() + 20) }
    }

    var commit: StoreError? {
        get { commitFault.withLock { $0 } }
        set { commitFault.withLock { $0 = newValue } }
    }
}

/// The real store, which can be told to refuse.
final class FaultyStore: Store {
    private let inner: SQLiteStore
    private let faults: Faults

    init(inner: SQLiteStore, faults: Faults) {
        self.inner = inner
        self.faults = faults
    }

    var storeID: String { inner.storeID }
    func loadUnsettled() throws(StoreError) -> [Workflow] { try inner.loadUnsettled() }
    func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try inner.load(id) }
    func workflow(forRequest requestID: String) throws(StoreError) -> WorkflowID? {
        try inner.workflow(forRequest: requestID)
    }
    func commit(_ batch: CommitBatch) throws(StoreError) -> [WorkflowID] {
        if let fault = faults.commit { throw fault }
        return try inner.commit(batch)
    }
    var reader: any StoreReader { HeldReader(inner: inner.reader, faults: faults) }
}

/// The real reader, which can be told to take its time.
private struct HeldReader: StoreReader {
    let inner: any StoreReader
    let faults: Faults

    func load(_ id: WorkflowID) throws(StoreError) -> Workflow? { try inner.load(id) }
    func ids(withPrefix prefix: String, within scope: AppScope, limit: Int) throws(StoreError) -> [WorkflowID] {
        try inner.ids(withPrefix: prefix, within: scope, limit: limit)
    }
    func events(of id: WorkflowID, after version: Int64, limit: Int) throws(StoreError) -> [Event] {
        try inner.events(of: id, after: version, limit: limit)
    }
    func list(_ query: ListQuery) throws(StoreError) -> ListPage {
        faults.waitIfHeld()
        return try inner.list(query)
    }
    func counts(_ filter: WorkflowFilter) throws(StoreError) -> [WorkflowStatus: Int] { try inner.counts(filter) }
}

/// Logs that a test writes.
final class FakeLogs: LogSource {
    private struct Log {
        var bytes: [UInt8] = []
        var isComplete = false
    }

    private let logs = Mutex<[TaskID: Log]>([:])

    func write(_ text: String, to task: TaskID) {
        logs.withLock { $0[task, default: Log()].bytes += Array(text.utf8) }
    }

    func finish(_ task: TaskID) { logs.withLock { $0[task, default: Log()].isComplete = true } }

    func readLog(of task: TaskID, from offset: Int64, limit: Int) -> LogChunk? {
        logs.withLock { logs in
            guard let log = logs[task] else { return nil }
            let end = Int64(log.bytes.count)
            let start = max(0, min(end, offset < 0 ? end + offset : offset))
            let bytes = Array(log.bytes[Int(start)..<Int(min(end, start + Int64(limit)))])
            return LogChunk(offset: start, bytes: bytes, end: end, isComplete: log.isComplete)
        }
    }
}

/// Examinations that take as long as a test wants.
final class SlowExaminations: Sendable {
    private struct State {
        var isSlow = false
        var begun: [[TaskNeed]] = []
        var waiting: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    /// What each examination was asked to look at.
    var begun: [[TaskNeed]] { state.withLock { $0.begun } }

    func hold() { state.withLock { $0.isSlow = true } }

    /// Lets those go on that have begun.
    func letGo() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for goOn in waiting { goOn() }
    }

    func begin(_ needs: [TaskNeed], _ goOn: @escaping @Sendable () -> Void) {
        let isSlow = state.withLock { state in
            state.begun.append(needs)
            if state.isSlow { state.waiting.append(goOn) }
            return state.isSlow
        }
        if !isSlow { goOn() }
    }
}

/// The real runner, with logs.
final class LoggingRunner: TaskRunner {
    private let inner: any TaskRunner
    private let fakeLogs: FakeLogs
    private let examinations: SlowExaminations

    init(inner: any TaskRunner, logs: FakeLogs, examinations: SlowExaminations) {
        self.inner = inner
        fakeLogs = logs
        self.examinations = examinations
    }

    func examine(_ needs: [TaskNeed], answer: @escaping @Sendable ([Finding]) -> Void) {
        examinations.begin(needs) { [inner] in inner.examine(needs, answer: answer) }
    }

    func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        inner.start(outstanding: outstanding, report: report)
    }
    func perform(_ effects: [Effect]) { inner.perform(effects) }
    func purge(_ tasks: [TaskID]) { inner.purge(tasks) }
    func stop() { inner.stop() }
    var logs: (any LogSource)? { fakeLogs }
}
