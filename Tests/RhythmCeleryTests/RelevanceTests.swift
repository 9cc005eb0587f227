import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmLane
import RhythmMongo
import RhythmTesting
import Synchronization
import Testing

@testable import RhythmCelery

/// Which workers count, by the rule alone.
@Suite struct RelevanceRuleTests {
    private var rule: RelevanceRule

    /// Two workers that have told their queues; nobody knows what "mute" takes.
    init() {
        rule = RelevanceRule(ignored: ["ignored"], answering: ["w1"], consumers: ["a": 1, "b": 2])
        rule.takers.learn(.queues("a", "b"), of: "w1")
        rule.takers.learn(.queues("b"), of: "killed")
    }

    /// One of another application, and one that was killed, count where they may take something, and nowhere else.
    @Test func onlyWhereTheyTakeFrom() {
        func counts(_ worker: String, _ queues: String...) -> Bool {
            rule.counts(worker, for: .init(queues: Set(queues)))
        }
        #expect(!counts("mute", "a"), "w1 accounts for the one consumer")
        #expect(counts("mute", "b"), "somebody has the second")
        #expect(counts("mute", "a", "b"))
        #expect(counts("mute", "c"), "nobody has looked")
        #expect(!counts("killed", "a") && counts("killed", "b"))
        #expect(!counts("killed"), "there is nothing to be had")
        #expect(!counts("ignored", "b") && !counts("ignored", "c"))
    }

    @Test func whoWasSeenToHaveIt() {
        let seen = RelevanceRule.Subject(queues: ["a"], seenBy: ["mute", "ignored"])
        #expect(rule.counts("mute", for: seen))
        #expect(!rule.counts("ignored", for: seen))
        #expect(!rule.counts("killed", for: seen))
        // Once that one has answered, the others have nothing that begins.
        let decided = RelevanceRule.Subject(queues: ["b", "c"], seenBy: ["w1"], isDecided: true)
        #expect(!rule.counts("mute", for: decided) && !rule.counts("killed", for: decided))
        #expect(rule.counts("w1", for: decided))
    }

    /// Somebody takes from a queue who has told nothing of himself yet.
    @Test mutating func whomNobodyHasHeardOf() {
        rule.strange = ["b", "c"]
        #expect(rule.stranger(for: .init(queues: ["a", "c", "b"])) == "b")
        #expect(rule.stranger(for: .init(queues: ["a"])) == nil)
        #expect(rule.stranger(for: .init(queues: ["b"], hasNotBegun: true)) == "b", "it may be about to begin it")
        #expect(rule.stranger(for: .init(queues: ["b"], seenBy: ["w1"], isDecided: true)) == nil)
    }

    /// The broker has given back what one without a connection had not begun.
    @Test mutating func whoHasNoConnection() {
        rule.cutOff = ["killed"]
        var subject = RelevanceRule.Subject(queues: ["b"], seenBy: ["killed"])
        #expect(rule.counts("killed", for: subject), "it may have begun it")
        subject.hasNotBegun = true
        #expect(!rule.counts("killed", for: subject))
        #expect(rule.counts("w1", for: subject))
    }
}

/// What is made of the answers to one question about workflows of the library.
@Suite struct LookAroundTests {
    private let subjects: [WorkflowID: Inspection.Subject] = [
        "unsent": .init(queues: ["a"], begun: .nothing),
        "runs": .init(queues: ["a"], begun: .by("w1")),
        "unnamed": .init(queues: ["b"], begun: .bySomebody),
        "default": .init(queues: [nil], workers: ["mute"], begun: .bySomebody),
    ]

    private func look() -> LookAround {
        var look = LookAround(
            number: 1, deadline: .seconds(9), subjects: subjects, defaultQueue: "celery", answer: { _ in })
        look.asked(["w1", "w2", "mute", "cut"], awaited: ["w1", "w2"], strangersUntil: .seconds(1))
        return look
    }

    private func answer(_ look: inout LookAround, _ node: String) {
        for part in LookAround.Part.allCases { look.take(part, from: node, .array([])) }
    }

    private var takers: QueueTakers {
        var takers = QueueTakers()
        takers.learn(.queues("a", "celery"), of: "w1")
        takers.learn(.queues("b"), of: "w2")
        takers.learn(.queues("a", "b"), of: "cut")
        return takers
    }

    private func silent(_ look: LookAround) -> [WorkflowID: Set<Inspection.Silent>] {
        let inspection = look.inspection { answering, consumers, _ in
            RelevanceRule(takers: takers, cutOff: ["cut"], answering: answering, consumers: consumers)
        }
        return inspection.silent.mapValues { Set($0) }
    }

    /// Only those are waited for whose answers can be expected.
    @Test func isCompleteWithoutThoseThatNeverAnswer() {
        var look = look()
        for queue in ["a", "b", "celery"] { look.saw(queue: queue, .waiting(0), consumers: 1) }
        answer(&look, "w1")
        #expect(!look.isComplete(now: .seconds(5)))
        answer(&look, "w2")
        #expect(look.isComplete(now: .zero) && look.silent == ["mute", "cut"])
        look.take(.active, from: "stranger", .array([]))
        #expect(!look.isComplete(now: .seconds(5)), "it has begun to answer")
        answer(&look, "stranger")
        #expect(look.isComplete(now: .zero))
    }

    @Test func whoseSilenceCounts() {
        var look = look()
        answer(&look, "w1")
        look.saw(queue: "a", .waiting(0), consumers: 1)
        look.saw(queue: "b", .missing, consumers: 0)
        look.saw(queue: "celery", .waiting(0), consumers: 1)
        // w2 may take "b". What "cut" had taken was given back; an attempt of "b" that it has begun it may be at.
        #expect(
            silent(look) == [
                "unsent": [], "runs": [],
                "unnamed": [.init(who: "worker w2", mayRun: true), .init(who: "worker cut", mayRun: true)],
                "default": [.init(who: "worker mute", mayRun: true)],
            ])
        answer(&look, "w2")
        #expect(silent(look)["unnamed"] == [.init(who: "worker cut", mayRun: true)])
    }

    /// A worker of which nobody has heard may have any message of its queue, and what has been begun by somebody.
    @Test func strangersCount() {
        var look = look()
        for node in ["w1", "w2"] { answer(&look, node) }
        let inspection = look.inspection { _, _, _ in RelevanceRule(takers: takers, strange: ["a", "b"]) }
        let silent = inspection.silent.mapValues { $0.filter { $0.who.hasPrefix("an unknown") } }
        #expect(
            silent == [
                "unsent": [.init(who: "an unknown worker of queue a", mayRun: false)],
                "runs": [.init(who: "an unknown worker of queue a", mayRun: false)],
                "unnamed": [.init(who: "an unknown worker of queue b", mayRun: true)], "default": [],
            ])
    }

    /// While the one that is known to have begun it is silent, it counts, and so does everybody who may have got it since.
    @Test func whoeverHasBegunDecides() {
        var look = look()
        answer(&look, "w2")
        look.saw(queue: "a", .waiting(0), consumers: 2)
        #expect(
            silent(look)["runs"] == [
                .init(who: "worker w1", mayRun: true), .init(who: "worker cut", mayRun: true),
                .init(who: "worker mute", mayRun: true),
            ])
        #expect(
            silent(look)["unsent"] == [
                .init(who: "worker w1", mayRun: false), .init(who: "worker mute", mayRun: false),
            ])
    }
}

/// A desk that is told by hand what workers, links and queues say.
@Suite(.timeLimit(.minutes(1))) struct RelevantWorkersTests {
    private let desk: CeleryDesk

    init() async throws {
        var configuration = CeleryConfiguration(
            broker: "amqp://127.0.0.1:1//", results: "mongodb://127.0.0.1:1/celery", serverID: "s1")
        // Whoever is there and has not answered counts as mute.
        configuration.times.acquaintance = .zero
        let lane = Lane(label: "desk")
        let inbox = DeskInbox(lane: lane)
        let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        desk = CeleryDesk(
            configuration, lane: lane,
            links: Links(
                try AMQPBrokers(parsing: configuration.broker), configuration, inbox: inbox, logger: quiet),
            results: ResultBackend(
                try MongoPool(uri: configuration.results), configuration,
                collection: MongoCollectionName(configuration.resultsCollection), inbox: inbox),
            logger: quiet)
        let links: [Links.Name] = [.control, .events, .mailbox]
        await desk.process(links.map { .link($0, .ready(again: false)) })
        await desk.process([.events([.alive("ours", .init()), .alive("foreign", .init())])])
        try await reply("ours", "[]") { if case .kinds = $0 { true } else { false } }
        try await reply("ours", #"[{"name": "a"}]"#) { if case .queues = $0 { true } else { false } }
    }

    private func reply(_ node: String, _ value: String, to isMeant: (CeleryDesk.Question) -> Bool) async throws {
        let ticket = try #require(await desk.questions.first { isMeant($0.value) }?.key)
        let reply = ControlReply(headers: ["ticket": .string(ticket)], body: Array(#"{"\#(node)": \#(value)}"#.utf8))
        await desk.process([.reply(try #require(reply))])
    }

    /// An adoption waits for no worker of another application, and is told of none.
    @Test(arguments: [1, 2]) func anInspection(_ consumers: Int) async throws {
        let answer = Mutex<Inspection?>(nil)
        let subject = Inspection.Subject(queues: ["a"], begun: .bySomebody)
        await desk.process([.inspect(["w": subject], { found in answer.withLock { $0 = found } })])
        for part in LookAround.Part.allCases {
            try await reply("ours", part == .queues ? #"[{"name": "a"}]"# : "[]") {
                if case .inspection(part, number: _) = $0 { true } else { false }
            }
        }
        #expect(answer.withLock { $0 } == nil, "nobody has looked at the queue")
        await desk.process([.queue("a", .found(ready: 0, consumers: consumers))])
        let found = try #require(answer.withLock { $0 })
        #expect(found.silent == ["w": consumers == 1 ? [] : [.init(who: "worker foreign", mayRun: true)]])
        #expect(found.trouble == nil && found.queues == ["a": .waiting(0)])
    }

    /// One that is heard of only while the others answer was not asked: it is one more that may have something.
    @Test func aWorkerThatComesTooLateToBeAsked() async throws {
        let answer = Mutex<Inspection?>(nil)
        let subject = Inspection.Subject(queues: ["a"], begun: .nothing)
        await desk.process([.inspect(["w": subject], { found in answer.withLock { $0 = found } })])
        await desk.process([.events([.alive("late", .init())])])
        await desk.process([.queue("a", .found(ready: 0, consumers: 3))])
        for part in LookAround.Part.allCases {
            try await reply("ours", part == .queues ? #"[{"name": "a"}]"# : "[]") {
                if case .inspection(part, number: _) = $0 { true } else { false }
            }
        }
        let found = try #require(answer.withLock { $0 })
        #expect(
            found.silent["w"] == [
                .init(who: "worker foreign", mayRun: false),
                .init(who: "an unknown worker of queue a", mayRun: false),
            ])
    }

    /// What is stopped, and known only from its revoke, waits for no such worker either: it says where it was sent to.
    @Test(arguments: [1, 2]) func aRevoke(_ consumers: Int) async throws {
        await desk.process([.queue("a", .found(ready: 0, consumers: consumers))])
        await desk.process([.perform([.revoke("t", of: "w", queue: "a")])])
        let entry = try #require(await desk.entries["t"])
        var finding = Census.Finding()
        finding.silent = ["foreign"]
        finding.answered = ["ours"]
        #expect(await desk.silent(of: entry, finding, consumers: consumers) == (consumers == 1 ? [] : ["foreign"]))
    }

    /// Consumers beyond all workers that are known are those of somebody who has yet to answer; not of one without a
    /// connection.
    @Test func unknownWorkers() async throws {
        let desk = desk
        func strange(_ consumers: Int) async -> Set<String> {
            await desk.relevance(answering: ["ours"], consumers: ["a": consumers]).strange
        }
        #expect(await strange(2) == [], "it may be the foreign one's")
        #expect(await strange(3) == ["a"])
        await desk.process([.mailbox("foreign", .missing)])
        #expect(await strange(2) == ["a"])
        #expect(await strange(1) == [])
    }

    /// Workers that cannot be asked to send events count only where they may begin something of ours.
    @Test func whoTellsOfItsTasks() async throws {
        await desk.askAllForEvents()
        try await reply("ours", #"{"ok": "task events enabled"}"#) { if case .telling = $0 { true } else { false } }
        let dispatch = Dispatch(
            taskID: "t", workflowID: "w", step: "s", task: "task", queue: "a", isRepeated: true,
            queuedAt: Timestamp(microseconds: 1))
        await desk.process([.perform([.dispatch(dispatch)])])
        #expect(await !desk.allTellOfTasks, "nobody has looked at the queue")
        await desk.process([.queue("a", .found(ready: 0, consumers: 1))])
        #expect(await desk.allTellOfTasks)
        await desk.process([.queue("a", .found(ready: 0, consumers: 2))])
        #expect(await !desk.allTellOfTasks)
    }
}

extension CeleryDesk {
    /// The rule with what has just been seen of queue `a`.
    fileprivate func silent(of entry: CeleryEntry, _ finding: Census.Finding, consumers: Int) -> Set<String> {
        silent(
            finding, for: subject(entry, finding),
            by: relevance(answering: finding.answered, consumers: ["a": consumers]))
    }

    fileprivate func askAllForEvents() { askForEvents(of: telling.wantAll()) }
}

extension JSONValue {
    /// What a worker says of its queues.
    fileprivate static func queues(_ names: String...) -> JSONValue {
        .array(names.map { .object([.init("name", .string($0))]) })
    }
}
