import RhythmAMQP
import RhythmCore
import RhythmEngine
import Testing

@testable import RhythmCelery

/// Rules that real workers cannot break on command; the others are in ``DoctorTests``.
@Suite struct DiagnosisTests {
    private static let settings = """
        {"result_backend": "mongodb://db/celery", "result_extended": true, "task_track_started": true,
        "result_serializer": "json", "result_compression": null, "result_expires": null, "task_acks_late": false,
        "worker_send_task_events": true, "worker_state_db": "/var/lib/celery/state"}
        """

    private func answers(_ settings: String = settings, pool: String = "prefork", tasks: String = "[]") throws
        -> Examination.Answers
    {
        var examination = Examination(
            for: [], queues: [], expected: [], begun: .zero, deadline: .seconds(2))
        func take(_ part: Examination.Part, _ text: String) throws {
            examination.take(part, from: "w1@host", try JSON(parsing: text).value, now: .milliseconds(9))
        }
        try take(.ping, #"{"ok": "pong"}"#)
        try take(.settings, settings)
        try take(
            .stats,
            #"""
            {"pool": {"implementation": "celery.concurrency.\#(pool):TaskPool", "max-concurrency": 2,
            "timeouts": [0, 0]}, "prefetch_count": 2}
            """#)
        try take(.queues, #"[{"name": "q", "queue_arguments": {"x-max-priority": 10}}]"#)
        try take(.tasks, tasks)
        return try #require(examination.answers["w1@host"])
    }

    private func worker(
        _ answers: Examination.Answers, _ standing: WorkerRoster.Standing = .live, version: String = "5.7.0"
    ) -> Diagnosis.Worker {
        var pulse = WorkerPulse()
        pulse.feel(.init(sentAt: nil, version: version), at: Timestamp(microseconds: 0))
        return Diagnosis.Worker(name: "w1@host", standing: standing, pulse: pulse, answers: answers)
    }

    private func evidence(_ workers: [Diagnosis.Worker]) -> Diagnosis.Evidence {
        var links: [Links.Name: AMQPConnectionState] = [:]
        for name in [Links.Name.tasks, .control, .events, .mailbox, .inspector] { links[name] = .ready(again: false) }
        return Diagnosis.Evidence(
            configuration: CeleryConfiguration(broker: "amqp://b", results: "mongodb://db/celery", serverID: "s"),
            broker: "amqp://guest@b:5672/", links: links, isListening: true, now: .seconds(100), workers: workers,
            queues: [:], results: "mongodb://db/celery", resultsDatabase: "celery",
            database: .answers(
                .init(
                    time: .milliseconds(3), isWritable: true, hasChangeStreams: true, results: 0, bareResults: 0)))
    }

    private func codes(_ evidence: Diagnosis.Evidence, _ needs: [TaskNeed] = []) -> Set<String> {
        Set(Diagnosis(evidence: evidence, needs: needs).findings().filter { $0.severity != .ok }.map(\.code))
    }

    @Test func nothingIsSaidOfWhatIsRight() throws {
        #expect(codes(evidence([worker(try answers())])).isEmpty)
    }

    @Test func everyFindingThatIsNotOkSaysWhatFollowsAndWhatToDo() throws {
        var all = evidence([
            worker(try answers("{}", pool: "solo")), worker(Examination.Answers(), .silent(since: .zero)),
        ])
        all.database = .fails("gone")
        for finding in Diagnosis(evidence: all, needs: []).findings() where finding.severity != .ok {
            #expect(!finding.consequence.isEmpty && !finding.remedy.isEmpty, "\(finding)")
        }
    }

    @Test func lateAcknowledgement() throws {
        let late = Self.settings.replacing("\"task_acks_late\": false", with: "\"task_acks_late\": true")
        #expect(
            codes(evidence([worker(try answers(late))])).isSuperset(of: ["consumer_timeout", "reject_on_worker_lost"]))
        let unsafe = late.dropLast() + ", \"worker_cancel_long_running_tasks_on_connection_loss\": false}"
        #expect(codes(evidence([worker(try answers(String(unsafe)))])).contains("connection_loss"))
        // The task's own word.
        let own = try answers(tasks: #"["a [acks_late=True reject_on_worker_lost=True track_started=True]"]"#)
        #expect(codes(evidence([worker(own)])) == ["consumer_timeout"])
    }

    @Test func versionsThatBehaveInAnotherWay() throws {
        for (version, isTold) in [
            ("5.2.6", true), ("5.2.7", false), ("5.6.3", true), ("5.7.9", false), ("5.8.0", true),
        ] {
            let codes = codes(evidence([worker(try answers(), version: version)]))
            #expect(codes.contains("version") == isTold, "\(version)")
        }
        let ignoring = try answers(tasks: #"["a [track_started=True ignore_result=True]"]"#)
        #expect(codes(evidence([worker(ignoring, version: "5.2.7")])) == ["ignore_result"])
        #expect(codes(evidence([worker(ignoring, version: "5.3.0")])).isEmpty)
    }

    @Test func poolsThatCannotStopATask() throws {
        #expect(codes(evidence([worker(try answers(pool: "threads"))])) == ["pool"])
    }

    @Test func whereResultsGo() throws {
        for (setting, isWrong) in [
            ("\"mongodb://u:secret@db/celery?x=1\"", false), ("\"mongodb://db\"", false),
            ("\"mongodb://db/other\"", true),
            ("\"redis://:secret@db\"", true), ("null", true),
        ] {
            let text = Self.settings.replacing("\"mongodb://db/celery\"", with: setting)
            let findings = Diagnosis(evidence: evidence([worker(try answers(text))]), needs: []).findings()
            #expect(findings.contains { $0.code == "result_backend" } == isWrong, "\(setting)")
            #expect(!findings.contains { "\($0)".contains("secret") })
        }
        let own = Self.settings.dropLast() + #", "mongodb_backend_settings": {"taskmeta_collection": "mine"}}"#
        #expect(codes(evidence([worker(try answers(String(own)))])) == ["result_backend"])
    }

    /// Whatever may be secret comes as asterisks, and Celery takes the name of a database for such.
    @Test(arguments: [
        // As 5.2.7, 5.6.3 and 5.7.0 answer.
        (#""mongodb://user:********@127.0.0.1:27018/db-name""#, ResultPlace.Comparison.same),
        (#""mongodb://user:********@127.0.0.1:27018,other:1/db%2Dname?authSource=admin""#, .same),
    ])
    func maskedSettingsAreNoOtherSettings(_ backend: String, _ wanted: ResultPlace.Comparison) throws {
        let text = #"""
            {"result_backend": \#(backend), "mongodb_backend_settings": {"database": "********",
            "taskmeta_collection": "meta.coll", "user": "u", "password": "********"}}
            """#
        let settings = try #require(WorkerSettings(try JSON(parsing: text).value))
        let place = try #require(settings.resultPlace)
        #expect(place.database == nil && place.collection == "meta.coll")
        let own = ResultPlace(
            hosts: ResultPlace.hosts(of: "mongodb://localhost:27018/x"), database: "x", collection: "meta.coll")
        #expect(place.compared(with: own) == wanted)
    }

    @Test func comparesPlaces() throws {
        func place(_ backend: String, _ own: String = "null") throws -> ResultPlace {
            ResultPlace(backend: backend, settings: try JSON(parsing: own).value)
        }
        func same(_ left: ResultPlace, _ right: ResultPlace) -> Bool { left.compared(with: right) == .same }
        let own = try place("mongodb://db1,db2:27018/my-db")
        #expect(try same(place("mongodb://u:p%40:s@DB2:27018/my%2Ddb?replicaSet=r"), own))
        #expect(try same(place("mongodb://db1:27017/my-db.coll"), own), "the collection is passed over")
        #expect(try same(place("mongodb+srv://cluster.example/my-db"), own), "the DNS is not asked")
        #expect(try same(place("mongodb://db1", #"{"database": "my-db"}"#), own))
        #expect(try same(place("mongodb://elsewhere/x", #"{"database": "my-db", "host": "db1"}"#), own))
        for other in ["mongodb://db1/other", "mongodb://db1", "mongodb://db9/other"] {
            guard case .other = try place(other).compared(with: own) else {
                Issue.record("\(other)")
                continue
            }
        }
        for perhaps in ["mongodb://db9/my-db", "mongodb://localhost/my-db", "mongodb://db1:27018/my-db"] {
            guard case .maybe = try place(perhaps).compared(with: own) else {
                Issue.record("\(perhaps)")
                continue
            }
        }
        #expect(try same(place("mongodb://127.0.0.1/a"), place("mongodb://localhost:27017/a")))
        #expect(try same(place("mongodb://[::1]:27017/a"), place("mongodb://localhost/a")))
    }

    /// What cannot be known from here is said so; what was read here was stored here.
    @Test func resultsThatMayBeAtAnotherHost() throws {
        let text = Self.settings.replacing("mongodb://db/celery", with: "mongodb://database/celery")
        var worker = worker(try answers(text))
        #expect(codes(evidence([worker])) == ["result_host"])
        worker.isRead = true
        #expect(codes(evidence([worker])).isEmpty)
        let other = self.worker(try answers(Self.settings.replacing("mongodb://db/celery", with: "mongodb://db/mine")))
        var evidence = evidence([other])
        evidence.queues = ["q": .found(ready: 0, consumers: 1)]
        func severity() -> Finding.Severity? {
            Diagnosis(evidence: evidence, needs: []).findings().first { $0.code == "result_backend" }?.severity
        }
        #expect(severity() == .error)
        // Another application's, as far as can be seen.
        evidence.queues = ["ours": .found(ready: 0, consumers: 1)]
        #expect(severity() == .notice)
    }

    @Test func whatHoldsStepsUp() throws {
        let limited = try answers(tasks: #"["a [track_started=True rate_limit=10/m]", "b [track_started=True]"]"#)
        #expect(codes(evidence([worker(limited)])) == ["rate_limit"])
        let off = Self.settings.dropLast() + #", "worker_disable_rate_limits": true}"#
        let unlimited = try answers(String(off), tasks: #"["a [track_started=True rate_limit=10/m]"]"#)
        #expect(codes(evidence([worker(unlimited)])).isEmpty)
        var quorum = try answers()
        quorum.queues = WorkerQueue.read(
            try JSON(parsing: #"[{"name": "q", "queue_arguments": {"x-queue-type": "quorum", "x-max-priority": 9}}]"#)
                .value)
        #expect(codes(evidence([worker(quorum)])) == ["delayed_delivery"])
        #expect(codes(evidence([worker(quorum, version: "5.4.0")])).isEmpty)
    }

    /// A pool that grows takes as many as it may come to run.
    @Test func growingPools() throws {
        func pool(_ stats: String) throws -> Set<String> {
            var answers = try answers()
            answers.pool = WorkerPool(try JSON(parsing: stats).value)
            return codes(evidence([worker(answers)]))
        }
        let autoscaler = #""autoscaler": {"max": 8, "min": 3, "current": 3, "qty": 0}"#
        #expect(try pool(#"{"pool": {"max-concurrency": 3}, "prefetch_count": 8, \#(autoscaler)}"#).isEmpty)
        #expect(try pool(#"{"pool": {"max-concurrency": 3}, "prefetch_count": 8, "autoscaler": null}"#) == ["prefetch"])
        #expect(try pool(#"{"pool": {"max-concurrency": 3}, "prefetch_count": 32, \#(autoscaler)}"#) == ["prefetch"])
    }

    /// Green threads can be ended where they wait.
    @Test(arguments: [
        ("gevent", "5.7.0", Finding.Severity.notice), ("gevent", "5.2.7", .warning), ("eventlet", "5.2.7", .notice),
        ("solo", "5.7.0", .warning),
    ])
    func greenThreads(_ pool: String, _ version: String, _ severity: Finding.Severity) throws {
        let evidence = evidence([worker(try answers(pool: pool), version: version)])
        let found = Diagnosis(evidence: evidence, needs: []).findings().filter { $0.code == "pool" }
        #expect(found.map(\.severity) == [severity])
    }

    /// This server sends to the queue of a step, whatever the settings of an application say of its task.
    @Test func routesOfTheApplication() throws {
        func found(_ extra: String, _ need: TaskNeed) throws -> Set<String> {
            let text = Self.settings.dropLast() + ", " + extra + "}"
            let answers = try answers(String(text), tasks: #"["a [track_started=True]", "b.c [track_started=True]"]"#)
            return codes(evidence([worker(answers)]), [need]).intersection(["task_routes", "default_queue"])
        }
        func need(_ task: String, _ queue: String?) -> TaskNeed {
            TaskNeed(task: task, queue: queue, isDue: true, example: "w")
        }
        let map = #""task_routes": {"a": {"queue": "q"}, "b.*": "q"}"#
        #expect(try found(map, need("a", nil)) == ["task_routes"])
        #expect(try found(map, need("b.c", "x")) == ["task_routes"])
        #expect(try found(map, need("a", "q")).isEmpty, "the step says so itself")
        #expect(try found(map, need("c", nil)).isEmpty, "no worker has it")
        let pairs = #""task_routes": [[["b.*", {"queue": "q"}]], ["a", "q"]]"#
        #expect(try found(pairs, need("b.c", nil)) == ["task_routes"])
        #expect(
            try found(#""task_routes": "<function route>", "task_default_queue": "q""#, need("a", nil))
                == ["default_queue"])
        #expect(try found(#""task_routes": null, "task_default_queue": "q""#, need("a", "x")).isEmpty)
    }

    /// One that takes from none of the queues of our steps need not answer.
    @Test func workersOfOthers() throws {
        var foreign = worker(Examination.Answers())
        #expect(codes(evidence([foreign])) == ["no_remote_control"])
        foreign.isNew = true
        #expect(codes(evidence([foreign])) == ["worker_new"], "it may be about to answer")
        foreign.isForeign = true
        #expect(codes(evidence([foreign])) == ["foreign_worker"])
        var ignoring = evidence([foreign])
        ignoring.configuration.ignoredWorkers = ["w1@*"]
        #expect(codes(ignoring).isEmpty)
        // Killed, not long ago and longer ago: no step of ours waits for it.
        foreign.standing = .silent(since: .seconds(50))
        #expect(codes(evidence([foreign])) == ["foreign_worker"])
        foreign.isForeign = false
        #expect(codes(evidence([foreign])) == ["worker_silent"])
    }

    @Test func workersThatNobodyHasHeardOf() throws {
        var strange = evidence([worker(try answers())])
        strange.strange = ["q"]
        let findings = Diagnosis(evidence: strange, needs: []).findings().filter { $0.severity != .ok }
        #expect(findings.map(\.code) == ["unknown_worker"] && findings[0].subject == "queue q", "\(findings)")
    }

    /// One that has answered before does have remote control: it is busy, or was killed a moment ago.
    @Test func workersThatHaveAnsweredBefore() throws {
        var busy = worker(Examination.Answers())
        busy.hasAnsweredBefore = true
        #expect(codes(evidence([busy])) == ["no_answer"])
        busy.isForeign = true
        #expect(codes(evidence([busy])) == ["foreign_worker"])
    }

    /// A task that no worker knows is told although somebody else's worker keeps its tasks to itself.
    @Test func unknownTasksBesideWorkersOfOthers() throws {
        var foreign = worker(Examination.Answers())
        foreign.name = "foreign@host"
        let need = TaskNeed(task: "absent", queue: "q2", isDue: true, example: "w")
        func found(_ other: Diagnosis.Worker) throws -> Bool {
            codes(evidence([worker(try answers()), other]), [need]).contains("task_unknown")
        }
        #expect(try !found(foreign), "it may know it")
        foreign.isForeign = true
        #expect(try found(foreign))
    }

    @Test func howLongResultsStay() throws {
        let expected: [(String, Duration?)] = [
            ("null", .zero), ("0", .zero), ("3600", .seconds(3600)), ("\"1 day, 0:00:00\"", .seconds(86_400)),
            ("\"0:30:00\"", .seconds(1800)), ("\"3 days, 1:00:01.5\"", .seconds(3 * 86_400 + 3601.5)),
            ("\"soon\"", nil), ("1e30", nil), ("-1e300", nil), ("\"99999999999999999 days, 0:00:00\"", nil),
        ]
        for (text, duration) in expected {
            #expect(WorkerSettings.duration(try JSON(parsing: text).value) == duration, "\(text)")
        }
    }

    @Test func theSameOfSeveralWorkersIsSaidOnce() {
        let findings = (1...5).map { Finding(.notice, "c", "worker w\($0)@h", "seen") }
        #expect(Diagnosis.joined(findings).map(\.subject) == ["workers w1@h, w2@h, w3@h and 2 more"])
        #expect(Diagnosis.joined([findings[0]]).map(\.subject) == ["worker w1@h"])
    }

    @Test func aClockThatIsOff() throws {
        func lag(_ sent: [Double], received: [Double]) -> Duration? {
            var pulse = WorkerPulse()
            for (sent, received) in zip(sent, received) {
                pulse.feel(
                    .init(sentAt: Timestamp(microseconds: Int64(sent * 1e6)), version: nil),
                    at: Timestamp(microseconds: Int64(received * 1e6)))
            }
            return pulse.lag
        }
        #expect(lag([100], received: [160]) == nil)
        #expect(lag([100, 102], received: [160, 162]) == .seconds(60))
        #expect(lag([100, 102], received: [90, 92]) == .seconds(-10))
        // They lay in a queue while the server was away.
        #expect(lag([100, 102, 104], received: [160, 160, 104]) == .zero)
    }

    @Test func whatCannotBeSeenIsNotReportedAsMissing() throws {
        let need = TaskNeed(task: "a", queue: "q", isDue: true, example: "w")
        var evidence = evidence([worker(try answers(tasks: #"["b"]"#))])
        evidence.queues = ["q": .found(ready: 0, consumers: 1)]
        #expect(codes(evidence, [need]).contains("task_unknown"))
        // A silent worker may know it, but it takes from another queue for all we know.
        evidence.links[.control] = .down(reason: "refused", retryIn: .seconds(1))
        #expect(codes(evidence, [need]) == ["broker_away"])
    }

    @Test func needsAreWhatIsStillBeforeTheWorkflows() throws {
        let spec = WorkflowSpec(
            name: "n", appID: "a",
            steps: [
                StepSpec(name: "1", task: "t1"), StepSpec(name: "2", task: "t2", queue: "q"),
                StepSpec(name: "3", task: "t1"),
            ])
        var first = Workflow(id: "w1", spec: spec, createdAt: Timestamp(microseconds: 0), requestID: "")
        let second = Workflow(id: "w2", spec: spec, createdAt: Timestamp(microseconds: 0), requestID: "")
        var done = Attempt(
            restoring: "t", number: 1, retry: 0, args: .emptyArray, kwargs: .emptyObject,
            createdAt: Timestamp(microseconds: 0))
        done.status = .success
        first.steps[0].attempts = [done]
        #expect(
            TaskNeed.all(of: [first, second]) == [
                TaskNeed(task: "t1", queue: nil, isDue: true, workflows: 2, example: "w2"),
                TaskNeed(task: "t2", queue: "q", isDue: true, workflows: 2, example: "w1"),
            ])
    }
}
