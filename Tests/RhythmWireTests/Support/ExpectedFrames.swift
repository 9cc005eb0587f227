import RhythmCore
import RhythmWire

/// What the recorded frames mean, by name.
enum ExpectedFrames {
    static let client: [String: ClientFrame] = [
        "hello": ClientFrame(callID: 0, body: .hello(Hello(clientName: "demo", clientVersion: "0.1", token: "secret"))),
        "ping": ClientFrame(callID: 0, body: .ping(7)),
        "pong": ClientFrame(callID: 0, body: .pong(.max)),
        "start": ClientFrame(
            callID: 1, timeoutMilliseconds: 30_000, metadata: [Metadata(key: "traceparent", value: "00-01")],
            body: .call(.startWorkflow(StartWorkflow(spec: spec, requestID: "r-1")))),
        "start_inject": call(
            303,
            .startWorkflow(
                StartWorkflow(
                    spec: WorkflowSpec(
                        name: "import", appID: "demo",
                        steps: [
                            StepSpec(
                                name: "none", task: "plain", kwargs: JSON(.object([.init("step", .integer(1))])),
                                maxLost: 0, inject: []),
                            StepSpec(name: "some", task: "plain", maxLost: 1000, inject: [.workflowID, .appID]),
                        ])))),
        "pause": call(2, .pauseWorkflow(PauseWorkflow(workflowID: "w1", requestID: "r-2", expectedVersion: 5))),
        "pause_after_step": call(3, .pauseWorkflow(PauseWorkflow(workflowID: "w1", mode: .afterStep))),
        "resume": call(
            4,
            .resumeWorkflow(
                ResumeWorkflow(
                    workflowID: "w1", args: JSON(.array([.integer(1)])), fromStep: "inspect", force: true))),
        "cancel_workflow": call(5, .cancelWorkflow(CancelWorkflow(workflowID: "w1"))),
        "delete": call(6, .deleteWorkflow(DeleteWorkflow(workflowID: "w1", cancelFirst: true))),
        "get_status_wait": call(7, .getStatus(GetStatus(workflowID: "w1", waitAfterVersion: 0))),
        "list": call(
            8,
            .listWorkflows(
                ListWorkflows(
                    query: ListQuery(
                        filter: WorkflowFilter(statuses: [.failure, .revoked], appID: "demo"), sort: .updatedAt,
                        limit: 20, cursor: ListCursor(key: Timestamp(microseconds: 1_700_000_000_000_000), id: "w1")),
                    withCounts: true))),
        "resolve": call(9, .resolveID(ResolveID(prefix: "w"))),
        "watch_new": call(
            10, .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: "w1")], untilDone: true))),
        "watch_again": call(
            11, .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: "w1", afterVersion: 0)]))),
        "tail": call(12, .tailLog(TailLog(workflowID: "w1", step: "copy", offset: -4096, follow: true))),
        "adopt": call(
            13, .adoptWorkflows(AdoptionRequest(filter: WorkflowFilter(), dryRun: true, quietFor: .zero))),
        "server_info": call(300, .getServerInfo),
        "diagnose": call(301, .diagnose),
        "get_connections": call(301, .getConnections),
        "get_stats": call(302, .getStats),
        "status_at_least": call(303, .getStatus(GetStatus(workflowID: "w1", atLeastVersion: 7))),
        "status_current": call(304, .getStatus(GetStatus(workflowID: "w1", current: true, withFollower: true))),
        "watch_limited": call(305, .watchProgress(WatchProgress(filter: WorkflowFilter(), tellLimit: true))),
        "list_servers": call(306, .listServers),
        "drain_server": call(307, .drainServer(undo: false)),
        "drain_undo": call(308, .drainServer(undo: true)),
        "cancel": ClientFrame(callID: 10, body: .cancel),
    ]

    static let server: [String: ServerFrame] = [
        "hello_reply": ServerFrame(
            callID: 0,
            body: .helloReply(
                HelloReply(
                    serverName: "rhythmd", serverVersion: "1.0.0", features: ["logs"],
                    limits: ConnectionLimits(
                        maxRequestBytes: 1 << 20, maxResponseBytes: 4 << 20, maxCalls: 128,
                        pingIntervalMilliseconds: 30_000),
                    serverID: "s-1", epoch: 3))),
        "hello_shared": ServerFrame(
            callID: 0,
            body: .helloReply(
                HelloReply(
                    serverName: "rhythmd", serverVersion: "1.0.0", features: [Feature.sharedStore],
                    limits: ConnectionLimits(
                        maxRequestBytes: 1 << 20, maxResponseBytes: 4 << 20, maxCalls: 128,
                        pingIntervalMilliseconds: 30_000),
                    serverID: "s-1", epoch: 3, storeID: "store-1"))),
        "watch_limited": ServerFrame(
            callID: 305, body: .watchEvent(.limited(maxWorkflows: 10_000, leftOut: 2))),
        "server_list": ServerFrame(
            callID: 306,
            body: .reply(
                .listServers([
                    ServerEntry(
                        id: "s-1", isAnswering: true, addresses: ["10.0.0.1:7744"], version: "1.0.0", host: "h1",
                        startedAt: Timestamp(microseconds: 1_700_000_000_000_000), silence: .milliseconds(400),
                        lease: .seconds(15), followed: 12),
                    ServerEntry(
                        id: "s-2", silence: .seconds(9), lease: .seconds(15), isDraining: true,
                        differences: [
                            SettingDifference(
                                name: "default_queue", theirs: "other", ours: "celery", isDangerous: true,
                                consequence: "steps wait")
                        ]),
                ]))),
        "drain_reply": ServerFrame(
            callID: 307, body: .reply(.drainServer(DrainReply(isDraining: true, followedWorkflows: 3)))),
        "go_away": ServerFrame(
            callID: 0,
            body: .goAway(
                GoAway(
                    reason: "SHUTDOWN", message: "the server is being stopped", graceMilliseconds: 5000,
                    lastCallID: 12))),
        "status_error": ServerFrame(
            callID: 1,
            body: .status(
                RhythmError(.invalidArgument, reason: "EMPTY", "must not be empty", field: "steps[2].name"))),
        "status_unknown": ServerFrame(
            callID: 1,
            body: .status(
                RhythmError(
                    .unavailable, reason: "STORE_UNAVAILABLE", "the store is away", effect: .unknown,
                    retryAfter: .seconds(1)))),
        "status_end": ServerFrame(callID: 10, body: .status(nil)),
        "pause_reply": ServerFrame(
            callID: 2,
            body: .reply(
                .pauseWorkflow(
                    CommandReply(
                        receipt: Receipt(
                            command: .pause, accepted: true,
                            revokedStep: AttemptSummary(taskID: "t-1", task: "tasks.copy", step: "copy"),
                            quiesced: false, status: .revoked, version: 6),
                        replayed: false)))),
        "get_status_reply": ServerFrame(
            callID: 7, body: .reply(.getStatus(GetStatusReply(workflow: workflow)))),
        "delete_reply": ServerFrame(callID: 6, body: .reply(.deleteWorkflow(.pending))),
        "list_reply": ServerFrame(
            callID: 8,
            body: .reply(.listWorkflows(ListReply(page: ListPage(rows: [row], next: nil), counts: [.failure: 1])))),
        "transition": event(
            .transition(
                Event(
                    workflowID: "w1", version: 4, at: time(500), kind: .started, status: .started, stepsDone: 1,
                    step: "copy", taskID: "t-1", attempt: 1))),
        "progress": event(
            .progress(
                ProgressUpdate(
                    workflowID: "w1", step: "copy", taskID: "t-1",
                    progress: Progress(
                        restoring: Progress.State(
                            name: "files", units: "files", done: 50, total: 100, firstAt: time(0), updatedAt: time(0),
                            firstDone: 50, weightedSum: 2.5, weight: 1))))),
        "gap": event(.gap("w1", oldestVersion: 40)),
        "deleted": event(.deleted("w1")),
        "bookmark": event(.bookmark(at: time(10_000))),
        "log_data": ServerFrame(
            callID: 12,
            body: .logData(
                LogData(taskID: "t-1", offset: 10, data: [0xFF, 0, 0x0A], endOffset: 13, isComplete: true))),
        "adopt_reply": ServerFrame(
            callID: 13,
            body: .reply(
                .adoptWorkflows(
                    AdoptionReply(outcomes: [
                        AdoptionOutcome(
                            workflowID: "w1", kind: .adopted, reason: "NEXT_NEVER_SENT",
                            defect: "step 'b' never began", detail: "step 'b' is sent")
                    ])))),
        "server_info": ServerFrame(
            callID: 300,
            body: .reply(
                .getServerInfo(
                    ServerInfo(
                        serverVersion: "1.0.0", uptimeMilliseconds: 1000, activeWorkflows: 2, connections: 1,
                        calls: 1, watches: 1, health: .degraded, healthDetail: "the disk is full",
                        runners: ["local"], serverID: "s-1", epoch: 3)))),
        "diagnose": ServerFrame(
            callID: 301,
            body: .reply(
                .diagnose(
                    DiagnoseReply(findings: [
                        Finding(
                            .error, "no_consumer", "queue q2", "no worker takes from it",
                            consequence: "steps wait", remedy: "start a worker"),
                        Finding(.ok, "store", "store", "it works"),
                    ])))),
        "connection_list": ServerFrame(
            callID: 301,
            body: .reply(
                .getConnections([
                    ConnectionInfo(
                        id: 7, peer: "127.0.0.1:5000", clientName: "demo", identity: "token 'ci' (0123)",
                        ageMilliseconds: 61_000, silentMilliseconds: 5, openCalls: 2, watches: 1, calls: 40,
                        bytesIn: 1000, bytesOut: 2000, waitingBytes: 3)
                ]))),
        "server_stats": ServerFrame(
            callID: 302,
            body: .reply(
                .getStats(
                    ServerStats(
                        metrics: [.init("connections", 1, help: "Connections that are open.")],
                        calls: [
                            .init(name: "get_status", ended: [0: 2, 5: 1], durations: [0, 0, 3], totalMicroseconds: 9)
                        ])))),
    ]

    private static func call(_ id: UInt64, _ request: Request) -> ClientFrame {
        ClientFrame(callID: id, body: .call(request))
    }

    private static func event(_ event: WatchEvent) -> ServerFrame {
        ServerFrame(callID: 10, body: .watchEvent(event))
    }

    /// So many milliseconds after the moment that all recorded frames begin with.
    private static func time(_ milliseconds: Int64) -> Timestamp {
        Timestamp(microseconds: 1_700_000_000_000_000 + milliseconds * 1000)
    }

    private static let spec = WorkflowSpec(
        name: "import", appID: "demo", labels: ["site": "Zürich"], args: JSON(.array([.string("/data/a")])),
        steps: [
            StepSpec(name: "inspect", task: "tasks.inspect"),
            StepSpec(
                name: "copy", task: "tasks.copy", queue: "disk", priority: 0,
                kwargs: JSON(.object([.init("fast", .bool(true))])), timeout: .seconds(60),
                retry: RetryPolicy(maxAttempts: 3, backoff: .zero)),
        ])

    private static let row = WorkflowSummary(
        id: "w1", name: "import", appID: "demo", labels: [:], status: .failure, isPaused: false, isCancelled: false,
        stepsDone: 1, totalSteps: 2, pendingStep: "copy", version: 9, createdAt: time(0), updatedAt: time(1000),
        startedAt: time(500), endedAt: time(1000))

    private static let workflow: Workflow = {
        let one = JSON(.array([.integer(1)]))
        var first = Attempt(
            restoring: "t-0", number: 1, retry: 0, args: .emptyArray, kwargs: .emptyObject, createdAt: time(0))
        first.status = .success
        first.dispatchedAt = time(0)
        first.startedAt = time(100)
        first.endedAt = time(200)
        first.result = one
        first.worker = "local"
        var second = Attempt(
            restoring: "t-1", number: 2, retry: 1, args: one, kwargs: .emptyObject, createdAt: time(200))
        second.notBefore = time(1200)
        var workflow = Workflow(
            id: "w1",
            spec: WorkflowSpec(
                name: "import", appID: "demo",
                steps: [
                    StepSpec(name: "inspect", task: "tasks.inspect"), StepSpec(name: "copy", task: "tasks.copy"),
                ]),
            createdAt: time(0), requestID: "r-1")
        workflow.steps[0].attempts = [first]
        workflow.steps[1].attempts = [second]
        workflow.version = 8
        workflow.updatedAt = time(300)
        workflow.startedAt = time(100)
        return workflow
    }()
}
