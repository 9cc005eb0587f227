import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmLane
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmCelery

/// A desk that is told by hand what workers and links say; there is no broker and no database.
@Suite(.timeLimit(.minutes(1))) struct DeskTellingTests {
    private let desk: CeleryDesk

    init() throws {
        var configuration = CeleryConfiguration(
            broker: "amqp://127.0.0.1:1//", results: "mongodb://127.0.0.1:1/celery", serverID: "s1")
        configuration.times.longAttempt = .zero
        // However slow this machine is, nobody counts as one that never answers, or as one that is there for long.
        configuration.times.acquaintance = .seconds(3600)
        configuration.times.newcomer = .seconds(3600)
        let lane = Lane(label: "desk")
        let inbox = DeskInbox(lane: lane)
        let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let broker = try AMQPBrokers(parsing: configuration.broker)
        desk = CeleryDesk(
            configuration, lane: lane, links: Links(broker, configuration, inbox: inbox, logger: quiet),
            results: ResultBackend(
                try MongoPool(uri: configuration.results), configuration,
                collection: MongoCollectionName(configuration.resultsCollection), inbox: inbox),
            logger: quiet)
    }

    /// How long an attempt among 200 is left alone, 5 ms after it was sent.
    private func pause() async -> Duration {
        var polls = await desk.polls
        for number in 0..<200 { polls.insert(TaskID("t\(number)"), since: .zero) }
        return polls.interval(age: .milliseconds(5))
    }

    /// Waits until that is as long as wanted; the desk looks at it every few visits.
    private func wait(for wanted: Duration, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while await pause() != wanted {
            try #require(ContinuousClock.now < deadline, "not \(wanted)", sourceLocation: sourceLocation)
            await desk.process([])
            await Task.yield()
        }
    }

    private func ticket(of isMeant: (CeleryDesk.Question) -> Bool) async throws -> String {
        try #require(await desk.questions.first { isMeant($0.value) }?.key)
    }

    /// A worker answers that it tells of its tasks.
    private func confirm(_ node: String) async throws {
        let ticket = try await ticket { if case .telling = $0 { true } else { false } }
        let reply = ControlReply(
            headers: ["ticket": .string(ticket)],
            body: Array(#"{"\#(node)": {"ok": "task events enabled"}}"#.utf8))
        await desk.process([.reply(try #require(reply))])
    }

    /// Documents are read often until all of them have said that they tell of their tasks, and again as soon
    /// as one is there that has not.
    @Test func readsRarelyOnceAllWorkersTell() async throws {
        let often = Duration.milliseconds(1)
        let rarely = Duration.milliseconds(100)
        let links: [Links.Name] = [.control, .events, .mailbox]
        await desk.process(links.map { .link($0, .ready(again: false)) })
        await desk.process([.events([.alive("w1", .init()), .alive("w2", .init())])])
        await desk.wantAll()
        try await confirm("w1")
        try await stays(often)
        try await confirm("w2")
        try await wait(for: rarely)
        // A new one, and one that has begun anew.
        for event: EventBatch.Event in [.alive("w3", .init()), .online("w1", .init())] {
            await desk.process([.events([event])])
            try await wait(for: often)
            try await confirm(event == .alive("w3", .init()) ? "w3" : "w1")
            try await wait(for: rarely)
        }
        // Whatever was told while the events were away is lost.
        await desk.process([.link(.events, .down(reason: "cut", retryIn: .seconds(1)))])
        try await wait(for: often)
    }

    /// A worker is asked for events once it runs something long, and all are once documents do not tell that a task has
    /// begun.
    @Test(arguments: [true, false]) func asksForEventsWhenTheyAreWorthIt(_ tracksStart: Bool) async throws {
        let links: [Links.Name] = [.control, .events, .mailbox]
        await desk.process(links.map { .link($0, .ready(again: false)) })
        await desk.process([.events([.alive("w1@host", .init()), .alive("w2@host", .init())])])
        let tasks = ControlReply(
            headers: ["ticket": .string(try await ticket { if case .kinds = $0 { true } else { false } })],
            body: Array(#"{"w1@host": ["task [track_started=\#(tracksStart ? "True" : "False")]"]}"#.utf8))
        await desk.process([.reply(try #require(tasks))])
        func dispatch(_ id: TaskID, _ startedAt: Timestamp? = nil, by worker: String? = nil) -> Effect {
            .dispatch(
                Dispatch(
                    taskID: id, workflowID: "w", step: "s", task: "task", isRepeated: true,
                    queuedAt: Timestamp(microseconds: 1), startedAt: startedAt, worker: worker))
        }
        await desk.process([.perform([dispatch("waits")])])
        await desk.askForEventsOfLongAttempts()
        #expect(await desk.telling.wanted == (tracksStart ? .some([]) : .all))
        await desk.process([.perform([dispatch("runs", Timestamp(microseconds: 2), by: "w2@host")])])
        await desk.askForEventsOfLongAttempts()
        #expect(await desk.telling.wanted == (tracksStart ? .some(["w2@host"]) : .all))
        _ = try await ticket { if case .telling = $0 { true } else { false } }
    }

    /// The record knows who began an attempt that another server has followed until now.
    @Test func knowsFromTheRecordWhoBeganAnAttempt() async throws {
        let dispatch = Dispatch(
            taskID: "t", workflowID: "w", step: "s", task: "task", isRepeated: true, worker: "w1@host")
        await desk.process([.perform([.dispatch(dispatch), .revoke("u", of: "w", begunBy: "w2@host")])])
        #expect(await desk.entries["t"]?.begunBy == "w1@host")
        #expect(await desk.entries["u"]?.begunBy == "w2@host")
    }

    /// A worker that lost its connection says goodbye for it over the next one, in either order with its greeting.
    @Test(arguments: [false, true]) func takesAGreetingForASignOfLife(_ greetsFirst: Bool) async throws {
        let address = ControlRequest.ReplyAddress(exchange: "reply.celery.pidbox", routingKey: "k")
        await desk.process([.events([.alive("w1", .init()), .alive("w2", .init())])])
        let goodbyes = DeskInbox.Input.events([.offline("w1"), .offline("w2")])
        let greeting = DeskInbox.Input.call(.hello(node: "w1", ticket: "t", replyTo: address))
        await desk.process(greetsFirst ? [greeting, goodbyes] : [goodbyes, greeting])
        let (roster, now) = await (desk.roster, desk.now)
        #expect(roster.standing(of: "w1", at: now) == .live)
        #expect(roster.standing(of: "w2", at: now) == .leaving(since: now))
    }

    /// Whoever greets has no mailbox yet, and does not hear what it is asked: it is asked again soon, until it has told.
    @Test func asksAgainWhoHasJustComeUp() async throws {
        let links: [Links.Name] = [.control, .events, .mailbox]
        await desk.process(links.map { .link($0, .ready(again: false)) })
        let address = ControlRequest.ReplyAddress(exchange: "reply.celery.pidbox", routingKey: "k")
        await desk.process([.call(.hello(node: "w1", ticket: "t", replyTo: address))])
        #expect(await desk.settingsQuestions == 1)
        let deadline = ContinuousClock.now + .seconds(30)
        while await desk.settingsQuestions < 2 {
            try #require(ContinuousClock.now < deadline)
            await desk.process([])
            await Task.yield()
        }
    }

    /// Documents may name a worker less than those before them; what was seen first still tells who may have it.
    @Test func remembersWhoBeganAnAttempt() async throws {
        let dispatch = Dispatch(
            taskID: "t", workflowID: "w", step: "s", task: "task", isRepeated: true,
            queuedAt: Timestamp(microseconds: 1))
        await desk.process([.perform([.dispatch(dispatch)])])
        let started = try #require(
            ResultDocument(["_id": "t", "status": "STARTED", "result": #"{"pid": 7, "hostname": "w1@host"}"#]))
        let revoked = try #require(ResultDocument(["_id": "t", "status": "REVOKED"]))
        await desk.process([.polled(["t"], .found(["t": started])), .polled(["t"], .found(["t": revoked]))])
        #expect(await desk.entries["t"]?.document == revoked)
        #expect(await desk.entries["t"]?.begunBy == "w1@host")
    }

    /// That an attempt is lost may be an error of a server that no longer follows it: workers are told to drop it only
    /// once that is stored.
    @Test(arguments: [false, true]) func bansWhatIsLostOnceThatIsStored(_ isStored: Bool) async throws {
        let dispatch = Dispatch(taskID: "t", workflowID: "w", step: "s", task: "task", isRepeated: true)
        await desk.process([.perform([.dispatch(dispatch)])])
        await desk.lose("t", "gone")
        #expect(await desk.revoked == [])
        await desk.process([.perform([isStored ? .settle("t") : .release("t")] + (isStored ? [.bury("t")] : []))])
        #expect(await desk.revoked == (isStored ? ["t"] : []))
        #expect(await desk.entries["t"] == nil)
    }

    /// After a crash the broker is not there yet when it is known again what is lost: workers are told once it is.
    @Test func tellsOfLossesOnceItCan() async throws {
        await desk.process([.perform([.bury("t")])])
        #expect(await desk.revoked == ["t"], "those that say hello are told")
        #expect(await desk.tombs == ["t"])
        let links: [Links.Name] = [.control, .events, .mailbox]
        await desk.process(links.map { .link($0, .ready(again: false)) })
        #expect(await desk.tombs == [])
    }

    /// What is to be stopped is looked at first, because it may have ended; a database that is silent holds that up for
    /// half a second and no longer.
    @Test func stopsWhatItCannotReadFirst() async throws {
        let links: [Links.Name] = [.control, .events, .mailbox]
        await desk.process(links.map { .link($0, .ready(again: false)) })
        let dispatch = Dispatch(
            taskID: "t", workflowID: "w", step: "s", task: "task", isRepeated: true,
            queuedAt: Timestamp(microseconds: 1))
        await desk.process([.perform([.dispatch(dispatch)])])
        let told = ContinuousClock.now
        await desk.process([.perform([.revoke("t", of: "w")])])
        #expect(await desk.forethought?.ids == ["t"])
        #expect(await desk.census == nil, "no worker is told yet")
        let deadline = told + .seconds(10)
        while await desk.census == nil {
            try #require(ContinuousClock.now < deadline)
            await desk.process([])
            await Task.yield()
        }
        #expect(ContinuousClock.now - told >= .milliseconds(500))
        #expect(await desk.census?.ids == ["t"])
    }

    /// While attempts wait in queues the next read is put off, so that it serves several; those that an earlier life of
    /// the server has seen to begin wait for nobody.
    @Test(arguments: [false, true]) func gathersEndsWhileAttemptsWait(_ haveBegun: Bool) async throws {
        let long = Timestamp(microseconds: 1)
        let dispatches = (0..<200).map {
            Effect.dispatch(
                Dispatch(
                    taskID: TaskID("t\($0)"), workflowID: "w", step: "s", task: "task", isRepeated: true,
                    queuedAt: long, startedAt: haveBegun ? long : nil))
        }
        await desk.process([.perform(dispatches)])
        #expect(await desk.polls.waiting == (haveBegun ? 0 : 200))
        await desk.process([.polled([], .found([:]))])
        let pause = await desk.nextRead - desk.now
        #expect(haveBegun ? pause <= PollSchedule.longestRest : pause == PollSchedule.longestGathering)
    }

    /// Many looks later nothing has changed.
    private func stays(_ wanted: Duration) async throws {
        let looks = ContinuousClock.now + .milliseconds(200)
        while ContinuousClock.now < looks {
            await desk.process([])
            try #require(await pause() == wanted)
            await Task.yield()
        }
    }

    /// Another application on the virtual host stores its results elsewhere: it has no say, not even while it is alone.
    @Test func onlyOurWorkersSayWhereResultsAre() async throws {
        func settings(_ collection: String) throws -> JSONValue {
            try JSON(
                parsing: #"""
                    {"result_backend": "mongodb://h/celery", "event_exchange": "celeryev",
                     "mongodb_backend_settings": {"taskmeta_collection": "\#(collection)"}}
                    """#
            ).value
        }
        func queues(_ name: String) throws -> JSONValue { try JSON(parsing: #"[{"name": "\#(name)"}]"#).value }
        func hear(_ worker: String, _ queue: String, _ task: String, _ collection: String) async throws {
            let (settings, queues) = (try settings(collection), try queues(queue))
            await desk.assume { desk in
                desk.takers.learn(queues, of: worker)
                desk.kinds.learn(.array([.string(task)]), of: worker)
                desk.learn(settings: settings, of: worker)
            }
        }
        func used() async -> String? { await desk.places.used[.resultsCollection] }

        try await hear("theirs@h", "their-queue", "their.task", "theirs")
        #expect(await used() == "celery_taskmeta")
        try await hear("ours@h", "celery", "our.task", "ours")
        #expect(await used() == "ours", "it takes from our own queue")
        await desk.assume { $0.see(task: "our.task") }
        try await hear("elsewhere@h", "rhythm", "our.task", "moved")
        #expect(await used() == "ours", "they do not agree")
        try await hear("ours@h", "celery", "our.task", "moved")
        #expect(await used() == "moved")
    }
}

extension CeleryDesk {
    /// All workers are to send events.
    fileprivate func wantAll() { askForEvents(of: telling.wantAll()) }

    /// How often some worker was asked for its settings.
    fileprivate var settingsQuestions: Int { questions.values.count { if case .settings = $0 { true } else { false } } }
}

extension CeleryDesk {
    fileprivate func assume(_ body: @Sendable (isolated CeleryDesk) -> Void) { body(self) }
}
