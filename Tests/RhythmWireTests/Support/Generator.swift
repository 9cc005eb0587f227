import RhythmCore
import RhythmWire

/// Makes arbitrary values of every type on the wire from a seed (SplitMix64).
struct Generator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func flip() -> Bool { below(2) == 0 }
    mutating func maybe<Value>(_ make: (inout Generator) -> Value) -> Value? { flip() ? make(&self) : nil }
    mutating func some<Value>(_ bound: Int, _ make: (inout Generator) -> Value) -> [Value] {
        (0..<below(bound + 1)).map { _ in make(&self) }
    }
    mutating func pick<Value: CaseIterable>(_: Value.Type) -> Value where Value.AllCases == [Value] {
        Value.allCases[below(Value.allCases.count)]
    }

    /// Any text without NUL: short ones, long ones, other scripts.
    mutating func text() -> String {
        switch below(6) {
        case 0: ""
        case 1: String(repeating: "x", count: below(300))
        case 2: "Grüße, 世界 \u{1F41A}\n\t\"\\"
        default: word()
        }
    }

    /// A text that is not empty.
    mutating func word() -> String {
        String((0..<(1 + below(24))).map { _ in "abcdefghijklmnopqrstuvwxyz-_.:é"[below(31)] })
    }

    mutating func number() -> Int {
        switch below(4) {
        case 0: 0
        case 1: below(128)
        default: below(Int(UInt32.max))
        }
    }

    mutating func u32() -> UInt32 { UInt32(number()) }
    mutating func u64() -> UInt64 { flip() ? next() : UInt64(number()) }
    mutating func version() -> Int64 { 1 + Int64(number()) }
    mutating func time() -> Timestamp { Timestamp(microseconds: 1 + Int64(below(1 << 52))) }
    mutating func duration() -> Duration { .milliseconds(1 + number()) }
    mutating func float() -> Double { flip() ? Double(number()) : Double.random(in: -1e12...1e12, using: &self) }
    mutating func callID() -> UInt64 { 1 &+ u64() >> 1 }
    mutating func workflowID() -> WorkflowID { WorkflowID(word()) }
    mutating func taskID() -> TaskID { TaskID(word()) }
    mutating func labels() -> [String: String] {
        Dictionary(some(4) { ($0.word(), $0.text()) }, uniquingKeysWith: { first, _ in first })
    }
    mutating func array() -> JSON { JSON(.array(some(3) { .string($0.text()) })) }
    mutating func object() -> JSON { JSON(.object(some(3) { .init($0.word(), .integer($0.number())) })) }
}

extension String {
    fileprivate subscript(offset: Int) -> Character { self[index(startIndex, offsetBy: offset)] }
}

// MARK: Records

extension Generator {
    mutating func spec() -> WorkflowSpec {
        WorkflowSpec(
            id: maybe { $0.workflowID() }, name: text(), appID: text(), description: text(), labels: labels(),
            args: array(), kwargs: object(), steps: some(5) { $0.stepSpec() })
    }

    mutating func stepSpec() -> StepSpec {
        StepSpec(
            name: text(), task: text(), queue: maybe { $0.word() }, priority: maybe { $0.below(20) - 5 },
            kwargs: object(), timeout: maybe { $0.duration() },
            startTimeout: maybe { $0.duration() }, retry: maybe { $0.retryPolicy() },
            maxLost: maybe { $0.below(2000) - 500 } ?? StepSpec.defaultMaxLost,
            inject: Injection(rawValue: UInt8(below(8))))
    }

    mutating func retryPolicy() -> RetryPolicy {
        RetryPolicy(
            maxAttempts: below(1000), backoff: .milliseconds(number()), factor: float(),
            maxBackoff: .milliseconds(number()))
    }

    mutating func workflow() -> Workflow {
        var spec = spec()
        spec.steps = []
        var workflow = Workflow(id: workflowID(), spec: spec, createdAt: time(), requestID: text())
        workflow.steps = some(4) { Step(spec: $0.stepSpec(), attempts: $0.some(3) { $0.attempt() }) }
        let plan = ResumePlan(from: maybe { $0.number() }, args: maybe { $0.array() })
        let controls: [Control] = [.running, .pausing, .paused, .cancelled, .resuming(plan)]
        workflow.control = controls[below(controls.count)]
        workflow.deletesWhenSettled = flip()
        workflow.version = version()
        workflow.updatedAt = time()
        workflow.startedAt = maybe { $0.time() }
        workflow.endedAt = maybe { $0.time() }
        return workflow
    }

    mutating func attempt() -> Attempt {
        var attempt = Attempt(
            restoring: taskID(), number: number(), retry: number(), args: array(), kwargs: object(),
            createdAt: time())
        attempt.status = pick(TaskStatus.self)
        attempt.notBefore = maybe { $0.time() }
        attempt.dispatchedAt = maybe { $0.time() }
        attempt.startedAt = maybe { $0.time() }
        attempt.endedAt = maybe { $0.time() }
        attempt.result = maybe { $0.array() }
        attempt.failure = maybe {
            Failure(
                type: $0.text(), message: $0.text(), module: $0.text(), traceback: $0.text(), isRetriable: $0.flip())
        }
        attempt.worker = maybe { $0.word() }
        attempt.queue = maybe { $0.word() }
        attempt.retries = number()
        attempt.progress = maybe { $0.progress() }
        attempt.revocation = maybe { Revocation(reason: $0.pick(Revocation.Reason.self), requestedAt: $0.time()) }
        attempt.superseded = flip()
        attempt.lateReport = maybe {
            LateReport(status: $0.pick(TaskStatus.self), at: $0.time(), detail: $0.text())
        }
        return attempt
    }

    /// Only what survives the wire: the weights behind the rate do not (see `DerivedProgressTests`).
    mutating func progress() -> Progress {
        let rate = maybe { $0.float() }
        let reported = maybe { generator in
            JSON(.object([.init("done", .integer(1)), .init("own", .string(generator.text()))]))
        }
        return Progress(
            restoring: Progress.State(
                name: text(), units: text(), done: float(), total: maybe { 1 + Double($0.number()) },
                firstAt: time(), updatedAt: time(), firstDone: float(), weightedSum: rate ?? 0,
                weight: rate == nil ? 0 : 1, reported: reported))
    }

    mutating func summary() -> WorkflowSummary {
        WorkflowSummary(
            id: workflowID(), name: text(), appID: text(), labels: labels(), status: pick(WorkflowStatus.self),
            isPaused: flip(), isCancelled: flip(), stepsDone: number(), totalSteps: number(), pendingStep: text(),
            version: version(), createdAt: time(), updatedAt: time(), startedAt: maybe { $0.time() },
            endedAt: maybe { $0.time() })
    }

    mutating func filter() -> WorkflowFilter {
        WorkflowFilter(
            statuses: Set(some(3) { $0.pick(WorkflowStatus.self) }), appID: maybe { $0.word() },
            name: maybe { $0.word() }, ids: maybe { $0.some(3) { $0.workflowID() } }, labels: labels(),
            createdFrom: maybe { $0.time() }, createdBefore: maybe { $0.time() })
    }

    mutating func error() -> RhythmError {
        let codes = RhythmError.Code.allCases.filter { $0 != .ok }
        return RhythmError(
            codes[below(codes.count)], reason: text(), text(), field: text(), effect: pick(RhythmError.Effect.self),
            retryAfter: maybe { $0.duration() })
    }

    mutating func commandReply() -> CommandReply {
        let summaries = some(2) { AttemptSummary(taskID: TaskID($0.text()), task: $0.text(), step: $0.text()) }
        return CommandReply(
            receipt: Receipt(
                command: pick(Receipt.Command.self), accepted: flip(), already: flip(), reason: text(),
                message: text(), revokedStep: summaries.first, restartedStep: summaries.dropFirst().first,
                quiesced: flip(), status: pick(WorkflowStatus.self), version: version()),
            replayed: flip())
    }
}

// MARK: Frames

extension Generator {
    mutating func clientFrame() -> ClientFrame { clientFrame(kind: below(Self.clientKinds)) }
    mutating func serverFrame() -> ServerFrame { serverFrame(kind: below(Self.serverKinds)) }

    static let clientKinds = 21

    mutating func clientFrame(kind: Int) -> ClientFrame {
        let body: ClientBody =
            switch kind {
            case 0:
                .hello(Hello(protocolVersion: u32(), clientName: text(), clientVersion: text(), token: text()))
            case 1: .cancel
            case 2: .ping(u64())
            case 3: .pong(u64())
            default: .call(request(kind: kind - 4))
            }
        return ClientFrame(
            callID: callID(), timeoutMilliseconds: u32(),
            metadata: some(3) { Metadata(key: $0.word(), value: $0.text()) }, body: body)
    }

    private mutating func request(kind: Int) -> Request {
        switch kind {
        case 0: return .startWorkflow(StartWorkflow(spec: spec(), requestID: text()))
        case 1:
            return .pauseWorkflow(
                PauseWorkflow(
                    workflowID: workflowID(), mode: pick(PauseMode.self), requestID: text(),
                    expectedVersion: maybe { $0.version() }, force: flip()))
        case 2:
            return .resumeWorkflow(
                ResumeWorkflow(
                    workflowID: workflowID(), requestID: text(), expectedVersion: maybe { $0.version() },
                    args: maybe { $0.array() }, fromStep: maybe { $0.word() }, force: flip()))
        case 3:
            return .cancelWorkflow(
                CancelWorkflow(
                    workflowID: workflowID(), requestID: text(), expectedVersion: maybe { $0.version() },
                    force: flip()))
        case 4: return .deleteWorkflow(DeleteWorkflow(workflowID: workflowID(), cancelFirst: flip(), force: flip()))
        case 5:
            return .getStatus(
                GetStatus(
                    workflowID: workflowID(), includePreviousAttempts: flip(), omitResults: flip(),
                    waitAfterVersion: maybe { Int64($0.number()) }, atLeastVersion: maybe { $0.version() },
                    current: flip(),
                    withFollower: flip()))
        case 6:
            return .listWorkflows(
                ListWorkflows(
                    query: ListQuery(
                        filter: filter(), sort: pick(ListQuery.Sort.self), ascending: flip(), limit: 1 + number(),
                        cursor: maybe { ListCursor(key: $0.time(), id: $0.workflowID()) }),
                    withCounts: flip()))
        case 7: return .resolveID(ResolveID(prefix: text(), limit: 1 + number()))
        case 8:
            return .watchProgress(
                WatchProgress(
                    targets: some(3) {
                        WatchTarget(workflowID: $0.workflowID(), afterVersion: $0.maybe { Int64($0.number()) })
                    },
                    filter: maybe { $0.filter() }, untilDone: flip(), withoutProgress: flip(),
                    minProgressIntervalMilliseconds: u32(), tellLimit: flip()))
        case 9:
            return .tailLog(
                TailLog(
                    workflowID: workflowID(), step: maybe { $0.word() }, taskID: maybe { $0.taskID() },
                    offset: Int64(bitPattern: u64()), maxBytes: Int64(number()), follow: flip()))
        case 10: return .getConnections
        case 11: return .getStats
        case 12: return .diagnose
        case 14: return .listServers
        case 15: return .drainServer(undo: flip())
        case 13:
            return .adoptWorkflows(
                AdoptionRequest(
                    ids: some(3) { $0.workflowID() }, filter: maybe { $0.filter() }, dryRun: flip(), force: flip(),
                    args: maybe { JSON(.array([.string($0.text())])) }, quietFor: .milliseconds(number())))
        default: return .getServerInfo
        }
    }

    static let serverKinds = 29

    mutating func serverFrame(kind: Int) -> ServerFrame {
        let body: ServerBody =
            switch kind {
            case 0:
                .helloReply(
                    HelloReply(
                        protocolVersion: u32(), serverName: text(), serverVersion: text(),
                        features: some(4) { $0.text() },
                        limits: ConnectionLimits(
                            maxRequestBytes: u32(), maxResponseBytes: u32(), maxCalls: u32(),
                            pingIntervalMilliseconds: u32(), maxWatchedWorkflows: u32(),
                            frameTimeoutMilliseconds: u32(), stallTimeoutMilliseconds: u32(),
                            defaultTimeoutMilliseconds: u32(), maxPingsPerSecond: u32(),
                            maxCancelsPerSecond: u32()),
                        serverID: text(), epoch: u64(), storeID: text()))
            case 1:
                .goAway(GoAway(reason: text(), message: text(), graceMilliseconds: u32(), lastCallID: u64()))
            case 2: .ping(u64())
            case 3: .pong(u64())
            case 4: .status(maybe { $0.error() })
            case 5...11: .watchEvent(watchEvent(kind: kind - 5))
            case 12:
                .logData(
                    LogData(
                        taskID: TaskID(text()), offset: Int64(number()),
                        data: some(100) { UInt8(truncatingIfNeeded: $0.next()) }, endOffset: Int64(number()),
                        isComplete: flip()))
            default: .reply(reply(kind: kind - 13))
            }
        return ServerFrame(callID: callID(), body: body)
    }

    private mutating func connectionInfo() -> ConnectionInfo {
        ConnectionInfo(
            id: u64(), peer: text(), clientName: text(), identity: text(), ageMilliseconds: u64(),
            silentMilliseconds: u64(), openCalls: u32(), watches: u32(), calls: u64(), bytesIn: u64(), bytesOut: u64(),
            waitingBytes: u64())
    }

    mutating func follower() -> Follower {
        Follower(
            serverID: text(), addresses: some(2) { $0.text() }, isAnswering: flip(), silence: .milliseconds(number()),
            lease: maybe { $0.duration() }, isGone: flip())
    }

    private mutating func serverEntry() -> ServerEntry {
        ServerEntry(
            id: text(), isAnswering: flip(), addresses: some(2) { $0.text() }, version: text(), host: text(),
            startedAt: maybe { $0.time() }, silence: .milliseconds(number()), lease: maybe { $0.duration() },
            followed: number(), isDraining: flip(),
            differences: some(2) {
                SettingDifference(
                    name: $0.text(), theirs: $0.text(), ours: $0.text(), isDangerous: $0.flip(),
                    consequence: $0.text())
            })
    }

    private mutating func serverStats() -> ServerStats {
        ServerStats(
            metrics: some(4) { .init($0.word(), $0.u64(), help: $0.text()) },
            calls: some(3) {
                .init(
                    name: $0.word(), ended: [0: $0.u64(), 5: $0.u64()], durations: $0.some(5) { $0.u64() },
                    totalMicroseconds: $0.u64())
            })
    }

    private mutating func reply(kind: Int) -> Reply {
        switch kind {
        case 0: return .startWorkflow(StartReply(workflow: workflow(), replayed: flip()))
        case 1: return .pauseWorkflow(commandReply())
        case 2: return .resumeWorkflow(commandReply())
        case 3: return .cancelWorkflow(commandReply())
        case 4: return .deleteWorkflow(pick(DeleteReply.self))
        case 5, 6:
            return .getStatus(
                GetStatusReply(
                    workflow: workflow(), follower: maybe { $0.follower() }, staleness: maybe { $0.duration() }))
        case 7:
            return .listWorkflows(
                ListReply(
                    page: ListPage(
                        rows: some(4) { $0.summary() },
                        next: maybe { ListCursor(key: $0.time(), id: $0.workflowID()) }),
                    counts: maybe { [.success: $0.number(), .pending: $0.number()] }))
        case 8: return .resolveID(ResolveReply(workflowIDs: some(4) { $0.workflowID() }))
        case 9:
            return .diagnose(
                DiagnoseReply(
                    findings: some(4) {
                        Finding(
                            $0.pick(Finding.Severity.self), $0.text(), $0.text(), $0.text(), consequence: $0.text(),
                            remedy: $0.text())
                    }))
        case 10: return .getConnections(some(3) { $0.connectionInfo() })
        case 11: return .getStats(serverStats())
        case 13: return .listServers(some(3) { $0.serverEntry() })
        case 14: return .drainServer(DrainReply(isDraining: flip(), followedWorkflows: u64()))
        case 12:
            return .adoptWorkflows(
                AdoptionReply(
                    outcomes: some(4) {
                        AdoptionOutcome(
                            workflowID: $0.workflowID(), kind: $0.pick(AdoptionOutcome.Kind.self), reason: $0.text(),
                            defect: $0.text(), detail: $0.text())
                    }, hasMore: flip()))
        default:
            return .getServerInfo(
                ServerInfo(
                    serverVersion: text(), uptimeMilliseconds: u64(), activeWorkflows: u64(), connections: u64(),
                    calls: u64(), watches: u64(), health: pick(ServerInfo.Health.self), healthDetail: text(),
                    runners: some(3) { $0.text() }, serverID: text(), epoch: u64(),
                    authenticationFailures: u64(), storeID: text(), isDraining: flip(),
                    followedWorkflows: u64()))
        }
    }

    private mutating func watchEvent(kind: Int) -> WatchEvent {
        switch kind {
        case 0:
            return .snapshot(
                Snapshot(
                    summary: summary(),
                    steps: some(4) {
                        StepState(
                            name: $0.text(), task: $0.text(), status: $0.pick(TaskStatus.self),
                            taskID: $0.maybe { $0.taskID() }, attempt: $0.number(), startedAt: $0.maybe { $0.time() },
                            endedAt: $0.maybe { $0.time() }, progress: $0.maybe { $0.progress() },
                            failureType: $0.text(), failureMessage: $0.text())
                    }))
        case 1:
            return .transition(
                Event(
                    workflowID: workflowID(), version: version(), at: time(), kind: pick(Event.Kind.self),
                    status: pick(WorkflowStatus.self), stepsDone: number(), step: text(),
                    taskID: maybe { $0.taskID() }, attempt: number(), detail: text()))
        case 2:
            return .progress(
                ProgressUpdate(workflowID: workflowID(), step: text(), taskID: taskID(), progress: progress()))
        case 3: return .gap(workflowID(), oldestVersion: version())
        case 4: return .deleted(workflowID())
        case 5: return .bookmark(at: time())
        default: return .limited(maxWorkflows: u32(), leftOut: u64())
        }
    }
}
