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

    @Test func howLongResultsStay() throws {
        let expected: [(String, Duration?)] = [
            ("null", .zero), ("0", .zero), ("3600", .seconds(3600)), ("\"1 day, 0:00:00\"", .seconds(86_400)),
            ("\"0:30:00\"", .seconds(1800)), ("\"3 days, 1:00:01.5\"", .seconds(3 * 86_400 + 3601.5)),
            ("\"soon\"", nil),
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
