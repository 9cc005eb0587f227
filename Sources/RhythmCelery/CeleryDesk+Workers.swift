import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine

// MARK: What workers say

extension CeleryDesk {
    /// What a ticket is about.
    enum Question {
        /// What runs.
        case running
        /// Part of the census that began at that time.
        case census(Census.Part, begun: Duration)
        /// The tasks of a worker.
        case kinds
        /// The queues that it takes from.
        case queues
        /// Its settings.
        case settings
        /// Who is there.
        case roll
        /// Whether it sends task events from now on.
        case telling
        /// Part of the examination that began at that time.
        case examination(Examination.Part, begun: Duration)
        /// Whether workers still have attempts at work whose documents tell an end; by the numbers of the rounds.
        case ends([TaskID: Int])
        /// Whether some went on after an end that was believed; with their tasks.
        case audit([TaskID: String])
        /// Part of the inspection of this number.
        case inspection(LookAround.Part, number: Int)
    }

    /// A worker that has greeted waits so long for answers, and can say no goodbye meanwhile.
    private static let mingling: Duration = .milliseconds(500)
    /// Between two roll calls.
    private static let rollCall: Duration = .seconds(30)
    /// Between two looks whether all workers tell of their tasks.
    private static let tellingCheck: Duration = .milliseconds(50)
    /// Between two questions to a worker about its tasks.
    private static let kindsPause: Duration = .seconds(5)
    /// Between two questions to a worker that has just come up.
    private static let newcomerPause: Duration = .milliseconds(900)
    /// Tickets that nobody answers any more are dropped by then.
    private static let questionsMax = 1024

    /// Asks with a ticket, so that the answers come back.
    func ask(_ request: ControlRequest, _ question: Question) {
        lastTicket += 1
        let ticket = "\(ticketPrefix)-\(lastTicket)"
        if questions.count >= Self.questionsMax { questions.removeAll() }
        questions[ticket] = question
        links.tell(request, ticket: ticket)
    }

    /// Asks who is there, and for task events those that may have forgotten it.
    func callTheRoll() {
        nextRollCall = now + Self.rollCall
        guard isListening else { return }
        let wanted = telling.wanted
        if wanted != .all { ask(.ping, .roll) }
        askForEvents(of: wanted)
        ask(.registered, .kinds)
        ask(.queues, .queues)
        judgePlaces()
    }

    /// Asks for task events.
    func askForEvents(of workers: TellingRule.Workers) {
        guard isListening else { return }
        switch workers {
        case .all: ask(.enableEvents, .telling)
        case .some(let nodes): if !nodes.isEmpty { ask(.enableEvents.to(nodes.sorted()), .telling) }
        }
    }

    /// Workers that run something long tell of its end from now on, and those tell of its begin whose documents do not.
    func askForEventsOfLongAttempts() {
        guard telling.isOpen else { return }
        for entry in entries.values where entry.isSent {
            guard let begun = entry.begunAt, now - begun >= configuration.times.longAttempt else { continue }
            askForEvents(of: telling.want(entry.begunBy))
        }
        let tasks = Set(entries.values.lazy.compactMap { $0.isSent ? $0.dispatch?.task : nil })
        if tasks.contains(where: { kinds.tracksStart($0) == false }) { askForEvents(of: telling.wantAll()) }
    }

    /// The server hears what workers say, and can tell them something.
    var isListening: Bool { listeningSince != nil }

    /// It has listened long enough to know who is there.
    var isAcquainted: Bool {
        listeningSince.map { now - $0 >= configuration.times.acquaintance } ?? false
    }

    func linkChanged(_ name: Links.Name, _ state: AMQPConnectionState) {
        linkStates[name] = state
        if case .down(let reason, _) = state { logger.debug("\(name): \(reason)") }
        let needed: [Links.Name] = configuration.usesEvents ? [.control, .events, .mailbox] : [.control, .mailbox]
        let listens = needed.allSatisfy {
            switch linkStates[$0] {
            case .ready, .blocked: true
            case nil, .connecting, .down, .closed: false
            }
        }
        if listens, !isListening {
            listeningSince = now
            // Nobody could be heard in between; their silence says nothing.
            roster.restart(at: now)
            abandonCensus()
            for id in revoking { entries[id]?.revoke?.tellAgain() }
            tellOfTombs()
            polls.wakeAll(now: now)
            callTheRoll()
            examineAnew()
        } else if !listens {
            listeningSince = nil
        }
        checkTelling()
        if name == .tasks, case .ready = state { sendAnew() }
    }

    /// Documents are read often only as long as some worker might not tell when it begins or ends something.
    func checkTelling() {
        nextTellingCheck = now + Self.tellingCheck
        polls.isTold = configuration.usesEvents && isListening && allTellOfTasks
        toldSince = polls.isTold ? toldSince ?? now : nil
    }

    // MARK: Events

    func take(_ event: EventBatch.Event) {
        switch event {
        case .online(let node, let pulse):
            hear(node)
            pulses[node, default: WorkerPulse()].feel(pulse, at: .wallClock)
            kinds.forget(node)
            takers.forget(node)
            writers.remove(node)
            places.forget(node)
            kindsAsked[node] = nil
            cameUp[node] = now
            roster.tellsOfTasks(node, false)
            welcome(node)
        case .alive(let node, let pulse):
            hear(node)
            pulses[node, default: WorkerPulse()].feel(pulse, at: .wallClock)
        case .offline(let node):
            // Events come another way than its greeting, and may be later.
            if let greeting = greeted[node], now - greeting < Self.mingling { return }
            roster.leaves(node, at: now)
        case .received(let id, let node):
            hear(node, .work)
            entries[id]?.note(holder: node)
            entries[id]?.hear(at: now)
        case .started(let id, let node, let at):
            hear(node, .work)
            guard let entry = entries[id], !entry.isEnded else { return }
            entries[id]?.hear(at: now)
            // Events may have waited for a restarted server; the document of a later run is there at once.
            if let document = entry.document, document.status == .started, !document.node.isEmpty, document.node != node
            {
                return polls.wake(id, now: now)
            }
            entries[id]?.runIsOver = false
            entries[id]?.endIsTold = false
            entries[id]?.isBetweenRuns = false
            entries[id]?.toldEnd = nil
            entries[id]?.begunBy = node
            begin(id, worker: node, at: at)
        case .finished(let id, let end, let node):
            hear(node, .work)
            finished(id, end, by: node)
        case .changed(let id):
            entries[id]?.hear(at: now)
            polls.wake(id, now: now)
        }
    }

    /// A worker has said that a run is over.
    private func finished(_ id: TaskID, _ end: EventBatch.End, by node: String) {
        guard let entry = entries[id], !entry.isEnded else { return }
        entries[id]?.runIsOver = true
        entries[id]?.hasBegun = true
        entries[id]?.begunBy = node
        entries[id]?.isBetweenRuns = end == .retried
        if end != .retried { entries[id]?.endIsTold = true }
        switch end {
        case .succeeded: entries[id]?.toldEnd = Evidence.ToldEnd(worker: node, at: now)
        case .failed(let exception):
            entries[id]?.toldEnd = Evidence.ToldEnd(worker: node, exception: exception, at: now)
        case .retried: entries[id]?.toldEnd = nil
        }
        entries[id]?.hear(at: now)
        // Its document ought to be there; if it is not by then, somebody has to look why.
        entries[id]?.nextLook = now + configuration.times.result
        polls.wake(id, now: now)
        if entries[id]?.ending != nil, entry.revoke == nil, end != .retried { confirm([id]) }
    }

    /// What a worker is heard by.
    private enum Sign { case pulse, work, answer }

    private func hear(_ node: String, _ sign: Sign = .pulse) {
        let isNew =
            switch sign {
            case .pulse: roster.heard(node, at: now)
            case .work: roster.worked(node, at: now)
            case .answer: roster.answered(node, at: now)
            }
        if isNew { welcome(node) } else if !kinds.knows(node) || !places.knows(node) { askKinds(node) }
    }

    /// A worker is there that was not before: what waited for one may go on.
    private func welcome(_ node: String) {
        guard isListening else { return }
        checkTelling()
        if telling.wants(node) { askForEvents(of: .some([node])) }
        askKinds(node)
        sendAnew()
        nextQueueCheck = now
    }

    private func askKinds(_ node: String) {
        if let asked = kindsAsked[node], now - asked < Self.kindsPause { return }
        askKinds([node])
    }

    private func askKinds(_ nodes: [String]) {
        for node in nodes { kindsAsked[node] = now }
        ask(ControlRequest.registered.to(nodes), .kinds)
        ask(ControlRequest.queues.to(nodes), .queues)
        let strange = nodes.filter { !places.knows($0) }
        if !strange.isEmpty { ask(ControlRequest.settings.to(strange), .settings) }
    }

    /// Asks those again that came up a moment ago: one that greets has no mailbox yet, and what is sent to it then is lost.
    /// Its first task may keep it from answering, so it is asked before that begins.
    func askNewcomers() {
        guard isListening else { return }
        let nodes = cameUp.keys.filter { node in
            guard let up = cameUp[node], now - up < configuration.times.newcomer, let asked = kindsAsked[node] else {
                return false
            }
            return now - asked >= Self.newcomerPause && !(kinds.knows(node) && places.knows(node) && takers.knows(node))
        }
        if !nodes.isEmpty { askKinds(nodes.sorted()) }
    }

    /// A worker is starting, or has a new connection: it is told what it must not run, before it takes tasks.
    ///
    /// The first thing that a new connection carries is the goodbye for the one that was lost; its worker is there.
    func greet(_ node: String, ticket: String, _ address: ControlRequest.ReplyAddress) {
        if !node.isEmpty {
            greeted[node] = now
            cameUp[node] = now
            hear(node)
        }
        if !revoked.isEmpty { links.answerHello(revoked, ticket: ticket, to: address) }
    }

    // MARK: Answers

    func take(_ reply: ControlReply) {
        hear(reply.node, .answer)
        guard let question = questions[reply.ticket] else { return }
        switch question {
        case .roll: break
        case .running:
            for (id, holding) in Holding.read(running: reply.value) where entries[id]?.hasBegun == false {
                begin(id, worker: reply.node, at: holding.begunAt ?? time)
            }
        case .telling: if reply.value["ok"] != nil { roster.tellsOfTasks(reply.node, true) }
        case .examination(let part, let begun): answered(part, begun: begun, reply)
        case .kinds:
            kinds.learn(reply.value, of: reply.node)
            if !unsent.isEmpty { sendAnew() }
        case .ends(let rounds): take(rounds, reply)
        case .audit(let tasks): take(tasks, reply)
        case .settings: learn(settings: reply.value, of: reply.node)
        case .inspection(let part, let number): take(part, number: number, from: reply.node, reply.value)
        case .queues:
            takers.learn(reply.value, of: reply.node)
            if !unsent.isEmpty { sendAnew() }
        case .census(let part, let begun):
            switch part {
            case .tasks: kinds.learn(reply.value, of: reply.node)
            case .queues: takers.learn(reply.value, of: reply.node)
            case .query, .scheduled, .stats, .before, .active: break
            }
            guard census?.begun == begun else { return }
            census?.take(part, from: reply.node, reply.value)
        }
    }

    /// A look for a worker's mailbox is back.
    func saw(mailboxOf node: String, _ found: QueueInspection) {
        switch found {
        case .missing: roster.mailbox(of: node, isThere: false)
        case .locked, .found: roster.mailbox(of: node, isThere: true)
        case .unknown: break
        }
    }
}
