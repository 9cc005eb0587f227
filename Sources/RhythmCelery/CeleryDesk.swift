@preconcurrency import Dispatch
import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmLane

/// Everything that the runner knows about its attempts, and every decision about them.
///
/// An actor on a lane with synchronous entry points only: ``DeskInbox`` brings what came in, a timer brings what is due,
/// and every visit ends with one batch of reports.
actor CeleryDesk {
    let configuration: CeleryConfiguration
    let links: Links
    let results: ResultBackend
    let logger: Logger
    private let lane: Lane
    private let origin = ContinuousClock.now

    /// The attempts, from their dispatch until they are settled.
    var entries: [TaskID: CeleryEntry] = [:]
    var lastSerial: UInt64 = 0
    /// Those that are not sent, so that a change of circumstances can be tried on them.
    var unsent: Set<TaskID> = []
    /// Those that are being stopped, or that somebody else has revoked.
    var revoking: Set<TaskID> = []
    /// When the next of those that are not sent is due; may be too early.
    var nextSendDue: Duration?

    /// Since which opening attempts are sent; see ``TaskRunner/ask(_:)``.
    var opening = 0

    // Documents
    var polls = PollSchedule()
    var isPolling = false
    var readBegan: Duration = .zero
    /// No read before this time.
    var nextRead: Duration = .zero
    /// What is wrong with the database, and since when; nil if nothing is.
    var databaseTrouble: (reason: String, since: Duration)?
    /// Attempts whose private documents are stored with this visit's end.
    var toPrepare: [Dispatch] = []
    /// Private documents for steps that have not come yet.
    var spares = SpareDocuments()
    /// Private documents to delete, and when.
    var leftovers: [(due: Duration, document: String)] = []

    // Workers
    var roster: WorkerRoster
    var telling: TellingRule
    var kinds: TaskKinds
    var takers = QueueTakers()
    var kindsAsked: [String: Duration] = [:]
    /// Where they store results and send events.
    var places: WorkerPlaces
    /// Tasks of steps that came, whatever has become of these.
    var tasksSeen: Set<String> = []
    /// When workers have greeted the others last.
    var greeted: [String: Duration] = [:]
    /// When workers came up, or were connected again, last.
    var cameUp: [String: Duration] = [:]
    /// Since when all workers have told of their tasks without a gap; nil while they do not.
    var toldSince: Duration?
    /// A document of a run has been read: this is where workers store them.
    var documentsArrive = false
    /// Since when both what workers say and what they answer has been heard without a gap; nil while it is not.
    var listeningSince: Duration?
    var linkStates: [Links.Name: AMQPConnectionState] = [:]
    /// What open questions are about, by their tickets.
    var questions: [String: Question] = [:]
    var lastTicket: UInt64 = 0
    let ticketPrefix = RandomUUID.make()
    /// Ids that workers which start are told, the newest last.
    var revoked: [TaskID] = []
    var revokedSet: Set<TaskID> = []
    /// Lost attempts of which the workers are told when they can be.
    var tombs: Set<TaskID> = []

    // Examination
    /// Workers whose results were read.
    var writers: Set<String> = []
    /// What workers' signs of life say of them.
    var pulses: [String: WorkerPulse] = [:]
    var examination: Examination?
    /// Who asked while one was under way; the next one is for all of them.
    var examinees: [Examination.Caller] = []

    // Ends
    var taskEnds = TaskEnds()
    /// Attempts whose ends are held back.
    var endings: Set<TaskID> = []

    // Fate
    var census: Census?
    /// The census whose documents are being read.
    var lastCensus: Census?
    var isExamining = false
    /// Attempts whose documents are read before workers are told to stop them, and until when that is waited for.
    var forethought: (ids: [TaskID], deadline: Duration)?
    var censusQueues: Set<String> = []
    var wanted: Set<TaskID> = []
    var queues: [String: (state: Evidence.Queue, consumers: Int?, at: Duration)] = [:]
    /// When queues were asked about that nobody had looked at for a while.
    var looksAsked: [String: Duration] = [:]
    /// Those that attempts were sent to.
    var usedQueues: Set<String> = []
    var nextScan: Duration = .zero
    var nextRollCall: Duration = .zero
    var nextQueueCheck: Duration = .zero
    var nextTellingCheck: Duration = .zero
    var nextRunningLook: Duration = .zero

    // Inspections
    var inspections: [LookAround] = []
    var lastInspection = 0

    // Output
    private var report: (@Sendable ([Report]) -> Void)?
    private var outbox: [Report] = []
    private var timer: (any DispatchSourceTimer)?
    private var armedFor: Duration?
    private var isStopped = false
    private var clock: @Sendable () -> Timestamp = { .wallClock }
    /// What reports are dated by, and what times of dispatches are of.
    var time: Timestamp { clock() }
    /// The time of this visit.
    private(set) var now: Duration = .zero

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(_ configuration: CeleryConfiguration, lane: Lane, links: Links, results: ResultBackend, logger: Logger) {
        self.configuration = configuration
        self.lane = lane
        self.links = links
        self.results = results
        self.logger = logger
        let times = configuration.times
        polls.shortest = times.pollShortest
        polls.longest = times.pollLongest
        roster = WorkerRoster(
            patience: .init(quiet: times.workerQuiet, dead: times.workerLost, leaving: times.workerLeaving))
        telling = TellingRule(configuration.taskEvents)
        kinds = TaskKinds()
        places = WorkerPlaces(configuration)
    }

    // MARK: Visits

    /// Takes what came in.
    func process(_ inputs: [DeskInbox.Input]) {
        guard !isStopped else { return }
        now = origin.duration(to: .now)
        for input in inputs {
            take(input)
            if isStopped { return }
        }
        finishVisit()
    }

    private func take(_ input: DeskInbox.Input) {
        switch input {
        case .start(let outstanding, let report): start(outstanding, report)
        case .keepTime(let clock): self.clock = clock
        case .perform(let effects): effects.forEach { perform($0, isRepeated: false) }
        case .stop: stop()
        case .inspect(let subjects, let answer): inspect(subjects, answer)
        case .published(let id, let number, let outcome): published(id, number: number, outcome)
        case .events(let events): events.forEach(take)
        case .reply(let reply): take(reply)
        case .call(.hello(let node, let ticket, let address)): greet(node, ticket: ticket, address)
        case .link(let name, let state): linkChanged(name, state)
        case .polled(let ids, let reading): polled(ids, reading)
        case .examined(let ids, let reading): examined(ids, reading)
        case .confirmed(let ids, let reading): confirmed(ids, reading)
        case .foreseen(let reading, let deadline): foreseen(reading, deadline: deadline)
        case .changed(let ids): for id in ids { polls.wake(id, now: now) }
        case .feedBegan: polls.wakeAll(now: now)
        case .mayBegin(let opening): maySend(since: opening)
        case .prepared(let dispatches, let trouble): prepared(dispatches, trouble: trouble)
        case .revoked(let ids): remember(earlier: ids)
        case .queue(let name, let found): saw(queue: name, found)
        case .mailbox(let node, let found): saw(mailboxOf: node, found)
        case .examine(let caller): examine(for: caller)
        case .examinedQueue(let name, let found, let begun): examined(queue: name, found, begun: begun)
        case .examinedDatabase(let state, let begun): examined(state, begun: begun)
        }
    }

    private func timerFired() {
        armedFor = nil
        process([])
    }

    private func finishVisit() {
        doWhatIsDue()
        storePrivateDocuments()
        poll()
        let reports = outbox
        outbox = []
        if !reports.isEmpty { report?(reports) }
        arm()
    }

    private func start(_ outstanding: [Effect], _ report: @escaping @Sendable ([Report]) -> Void) {
        self.report = report
        let timer = DispatchSource.makeTimerSource(queue: lane.queue)
        timer.setEventHandler { [weak self] in self?.assumeIsolated { $0.timerFired() } }
        timer.activate()
        self.timer = timer
        links.connect()
        results.loadRevoked()
        results.sweep(now: time)
        results.watch()
        for effect in outstanding { perform(effect, isRepeated: true) }
    }

    private func stop() {
        isStopped = true
        timer?.cancel()
        report = nil
        endInspections()
        results.stop(removing: spares.giveUpAll())
        // Closing waits for the broker.
        DispatchQueue.global().async { [links] in links.close() }
    }

    private func arm() {
        guard !isStopped, let timer else { return }
        var due = min(nextScan, nextRollCall, nextQueueCheck)
        if !isPolling, let next = polls.nextDue { due = min(due, max(next, nextRead)) }
        if let next = nextFateDue { due = min(due, next) }
        if let next = nextEndDue { due = min(due, next) }
        if let examination { due = min(due, examination.deadline) }
        if let next = nextSendDue { due = min(due, next) }
        if let next = nextInspectionDue { due = min(due, next) }
        if let armedFor, armedFor <= due, armedFor > now { return }
        armedFor = due
        let wait = max(.zero, due - origin.duration(to: .now))
        timer.schedule(deadline: .now() + .microseconds(Int(wait.wholeMicroseconds)), leeway: .microseconds(200))
    }

    private func doWhatIsDue() {
        guard !isStopped else { return }
        retrySends()
        if nextTellingCheck <= now { checkTelling() }
        if nextRollCall <= now { callTheRoll() }
        if nextScan <= now { scan() }
        if nextQueueCheck <= now { checkQueues() }
        advanceEnds()
        advanceFate()
        advanceExamination()
        advanceInspections()
        leftovers += spares.giveUp(now: now).map { (now, $0) }
        // Many at once, or the database would get a request more for each short step.
        if let first = leftovers.first, first.due + configuration.times.privateDocument / 10 <= now {
            let due = leftovers.prefix { $0.due <= now }.map(\.document)
            leftovers.removeFirst(due.count)
            results.remove(privateDocuments: due)
        }
    }

    // MARK: Reports

    /// Reports something of an attempt, if anybody wants to hear of it.
    func tell(_ id: TaskID, _ observation: Observation) {
        guard let workflowID = entries[id]?.workflowID else { return }
        outbox.append(Report(workflowID: workflowID, taskID: id, observation))
    }

    /// Says why an attempt does not move, or nothing any more; only what is new.
    func tellWait(_ id: TaskID, _ reason: String?) {
        let reason = reason ?? ""
        guard let entry = entries[id], entry.waitTold != reason else { return }
        entries[id]?.waitTold = reason
        tell(id, .waiting(reason: reason))
    }

    /// The attempt is over: what is seen first counts.
    func end(_ id: TaskID, _ observation: Observation) {
        guard let entry = entries[id], !entry.isEnded else { return }
        entries[id]?.phase = .ended(observation)
        entries[id]?.document = nil
        entries[id]?.ending = nil
        polls.end(id)
        unsent.remove(id)
        revoking.remove(id)
        endings.remove(id)
        wanted.remove(id)
        if entry.workflowID == nil { forget(id) } else { tell(id, observation) }
    }

    /// When the private documents of what is forgotten now are deleted.
    var forgetDue: Duration { now + configuration.times.privateDocument }

    /// Nobody asks for it again.
    func forget(_ id: TaskID) {
        let entry = entries.removeValue(forKey: id)
        if let document = entry?.privateDocument { leftovers.append((forgetDue, document)) }
        if let workflow = entry?.dispatch?.workflowID { spares.end(id, of: workflow, due: forgetDue) }
        polls.remove(id)
        unsent.remove(id)
        revoking.remove(id)
        endings.remove(id)
        wanted.remove(id)
    }
}
