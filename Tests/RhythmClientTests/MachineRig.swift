import RhythmClient
import RhythmCore
import RhythmWire
import Testing

/// A state machine without a world: the test is the socket, the clock and the program.
struct MachineRig {
    var machine: ClientStateMachine
    var now = Moment(nanoseconds: 1_000_000_000)
    private var lastKey: UInt64 = 0

    init(patience: Duration? = nil, endpoints: [String] = ["test:1"], first: Int = 0) {
        var configuration = ClientStateMachine.Configuration(
            hello: Hello(clientName: "test", clientVersion: "1"), endpoints: endpoints, patience: patience)
        configuration.first = first
        machine = ClientStateMachine(configuration: configuration, random: { 0.5 })
    }

    mutating func say(_ event: ClientStateMachine.Event) -> [ClientStateMachine.Action] {
        machine.handle(event, at: now)
    }

    mutating func open(
        _ request: Request, timeout: Duration? = .seconds(30)
    ) -> (CallKey, [ClientStateMachine.Action]) { open(.unary(request), timeout: timeout) }

    mutating func open(_ kind: CallKind, timeout: Duration? = nil) -> (CallKey, [ClientStateMachine.Action]) {
        lastKey += 1
        let key = CallKey(rawValue: lastKey)
        return (key, say(.open(key, kind, timeout: timeout, slack: .zero)))
    }

    mutating func pass(_ duration: Duration) -> [ClientStateMachine.Action] {
        now = now + duration
        return say(.timePassed)
    }

    mutating func receive(_ callID: UInt64, _ body: ServerBody) -> [ClientStateMachine.Action] {
        say(.received(ServerFrame(callID: callID, body: body)))
    }

    /// Brings the connection up.
    mutating func connect(maxCalls: UInt32 = 100) -> [ClientStateMachine.Action] {
        say(.connected) + receive(0, .helloReply(Self.hello(maxCalls: maxCalls)))
    }

    /// Brings the connection up to a server of this store, which others share.
    mutating func connect(store: String) -> [ClientStateMachine.Action] {
        var hello = Self.hello()
        hello.storeID = store
        hello.features = [Feature.sharedStore]
        return say(.connected) + receive(0, .helloReply(hello))
    }

    static func hello(maxCalls: UInt32 = 100, pingInterval: UInt32 = 15_000) -> HelloReply {
        HelloReply(
            serverName: "peer", serverVersion: "1",
            limits: ConnectionLimits(
                maxRequestBytes: 1 << 20, maxResponseBytes: 1 << 20, maxCalls: maxCalls,
                pingIntervalMilliseconds: pingInterval),
            serverID: "store", epoch: 1)
    }
}

extension [ClientStateMachine.Action] {
    /// The frames that are written, as (call id, what).
    var written: [String] {
        compactMap { action in
            guard case .write(let frame) = action else { return nil }
            return switch frame.body {
            case .hello: "hello"
            case .cancel: "cancel \(frame.callID)"
            case .ping(let data): "ping \(data)"
            case .pong(let data): "pong \(data)"
            case .call(let request): "call \(frame.callID) \(Self.name(request))"
            }
        }
    }

    private static func name(_ request: Request) -> String {
        switch request {
        case .startWorkflow: "start"
        case .pauseWorkflow: "pause"
        case .resumeWorkflow: "resume"
        case .cancelWorkflow: "cancel"
        case .deleteWorkflow: "delete"
        case .getStatus(let get):
            "status" + (get.atLeastVersion.map { " >=\($0)" } ?? "") + (get.current ? " current" : "")
        case .listWorkflows: "list"
        case .resolveID: "resolve"
        case .watchProgress(let watch):
            "watch " + (watch.filter == nil ? "" : "filter")
                + watch.targets.map { "\($0.workflowID)>\($0.afterVersion.map { "\($0)" } ?? "-")" }.joined(
                    separator: ",")
        case .tailLog(let log): "log \(log.offset)"
        case .getServerInfo: "info"
        case .diagnose: "diagnose"
        case .getConnections: "connections"
        case .getStats: "stats"
        case .listServers: "servers"
        case .drainServer: "drain"
        case .adoptWorkflows: "adopt"
        }
    }

    var connects: Bool { contains { if case .connect = $0 { true } else { false } } }
    /// Which addresses are tried.
    var tried: [Int] { compactMap { if case .connect(let index) = $0 { index } else { nil } } }
    var disconnects: Bool { contains { if case .disconnect = $0 { true } else { false } } }

    /// What errors say to people.
    var messages: [String] {
        compactMap { action in
            switch action {
            case .complete(_, .failure(let error)), .finish(_, .some(let error)): error.message
            default: nil
            }
        }
    }

    /// What calls were told, as words.
    var told: [String] {
        compactMap { action in
            switch action {
            case .complete(let key, .success): "\(key.rawValue) answered"
            case .complete(let key, .failure(let error)): "\(key.rawValue) \(error.reason) \(error.effect)"
            case .finish(let key, let error): "\(key.rawValue) \(error.map(\.reason) ?? "finished")"
            case .deliver(let key, .watch(let update)): "\(key.rawValue) \(update.word)"
            case .deliver(let key, .log(let chunk)): "\(key.rawValue) log \(chunk.offset)+\(chunk.bytes.count)"
            case .connect, .write, .setFrameLimit, .disconnect: nil
            }
        }
    }
}

extension WatchUpdate {
    var word: String {
        switch self {
        case .snapshot(let snapshot): "snapshot \(snapshot.summary.id) \(snapshot.summary.version)"
        case .transition(let event): "transition \(event.workflowID) \(event.version)"
        case .progress(let update): "progress \(update.workflowID)"
        case .gap(let id, let oldest): "gap \(id) \(oldest)"
        case .deleted(let id): "deleted \(id)"
        case .interrupted: "interrupted"
        case .limited(let most, let leftOut): "limited \(most) \(leftOut)"
        }
    }
}

/// Things the server says.
enum Say {
    static func summary(_ id: WorkflowID, _ version: Int64, _ status: WorkflowStatus = .started) -> WorkflowSummary {
        WorkflowSummary(
            id: id, name: "w", appID: "a", labels: [:], status: status, isPaused: false, isCancelled: false,
            stepsDone: 0, totalSteps: 1, pendingStep: "s", version: version,
            createdAt: Timestamp(microseconds: 1), updatedAt: Timestamp(microseconds: 1), startedAt: nil, endedAt: nil)
    }

    static func snapshot(_ id: WorkflowID, _ version: Int64, _ status: WorkflowStatus = .started) -> ServerBody {
        .watchEvent(.snapshot(Snapshot(summary: summary(id, version, status), steps: [])))
    }

    static func transition(_ id: WorkflowID, _ version: Int64, _ status: WorkflowStatus = .started) -> ServerBody {
        .watchEvent(
            .transition(
                Event(
                    workflowID: id, version: version, at: Timestamp(microseconds: version), kind: .started,
                    status: status, stepsDone: 0, step: "s", taskID: "t", attempt: 1)))
    }

    static func progress(_ id: WorkflowID, _ done: Double) -> ServerBody {
        .watchEvent(
            .progress(
                ProgressUpdate(
                    workflowID: id, step: "s", taskID: "t",
                    progress: Progress(ProgressReport(done: done, total: 100, at: Timestamp(microseconds: 1))))))
    }

    static func error(_ code: RhythmError.Code, _ reason: String, field: String = "") -> ServerBody {
        .status(RhythmError(code, reason: reason, "said the peer", field: field))
    }

    static func receipt(version: Int64) -> Receipt {
        Receipt(
            command: .pause, accepted: true, already: false, reason: "", message: "", revokedStep: nil,
            restartedStep: nil, quiesced: true, status: .revoked, version: version)
    }

    static let resolved: ServerBody = .reply(.resolveID(ResolveReply(workflowIDs: ["x"])))
    static func goAway(_ last: UInt64) -> ServerBody {
        .goAway(GoAway(reason: "SHUTDOWN", message: "", graceMilliseconds: 1000, lastCallID: last))
    }
}

extension Request {
    static let status = Request.getStatus(GetStatus(workflowID: "w"))
    static let resolve = Request.resolveID(ResolveID(prefix: "x"))
    static let delete = Request.deleteWorkflow(DeleteWorkflow(workflowID: "w"))
    static func pause(_ requestID: String) -> Request {
        .pauseWorkflow(PauseWorkflow(workflowID: "w", requestID: requestID))
    }
}

extension CallKind {
    static func watch(_ ids: WorkflowID...) -> CallKind {
        .watch(WatchTracker(WatchProgress(targets: ids.map { WatchTarget(workflowID: $0) })))
    }
}
