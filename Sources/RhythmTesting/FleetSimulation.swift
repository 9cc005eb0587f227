import Logging
import RhythmCore
import RhythmEngine

/// Several servers over one store and the same workers, from one seed: commands reach any of them, processes are killed
/// or stopped for longer than their lease, notices between them come late or never, the store fails. The engines are
/// the real ones.
package final class FleetSimulation {
    struct Problem: Error { let text: String }

    private final class Server {
        let name: String
        var fuse = SimulationFuse()
        var engine: Engine?
        var runner: FleetRunner
        let inbox = SimulationInbox()
        var notices: [WorkflowID] = []
        var asleepSince: Timestamp?

        init(name: String, runner: FleetRunner) {
            self.name = name
            self.runner = runner
        }

        var isAwake: Bool { engine != nil && asleepSince == nil }
    }

    let seed: UInt64
    private var random: SeededGenerator
    private let clock = SimulationClock()
    private let fleet: FleetDisk
    private let workers = FleetWorkers()
    private let journal = SimulationJournal()
    private let ids = SimulationIDs()
    private var servers: [Server] = []
    private var clients = SimulationClients()
    private let records: Bool
    package private(set) var history: [String] = []
    package private(set) var kills = 0, sleeps = 0, workflows = 0, takeovers = 0, troubles = 0
    /// How many workflows were stored for others to go on with.
    package var left: Int { stores.reduce(0) { $0 + $1.left } }
    /// How many workflows were handed over because others followed fewer.
    package var handedOver: Int { stores.reduce(0) { $0 + $1.handedOver } }
    private var stores: [FleetStore] = []

    package init(seed: UInt64, records: Bool = false) {
        self.seed = seed
        self.records = records
        random = SeededGenerator(seed: seed)
        fleet = FleetDisk(clock: clock)
    }

    /// Lives for so many steps and to the end of all work; returns what went wrong.
    package func live(_ steps: Int) -> String? {
        do {
            for index in 0..<Int.random(in: 2...3, using: &random) {
                servers.append(Server(name: "server-\(index)", runner: FleetRunner(workers, SimulationFuse())))
                try boot(servers[index])
            }
            for _ in 0..<steps {
                try step()
                try check()
            }
            try comeToRest()
            return nil
        } catch let problem as Problem {
            return problem.text
        } catch {
            return "\(error)"
        }
    }

    private func note(_ text: @autoclosure () -> String) { if records { history.append(text()) } }

    // MARK: Servers

    private func boot(_ server: Server) throws {
        // With a twin it would not begin.
        fleet.replace(server.name, false)
        for _ in 0..<50 {
            let fuse = SimulationFuse()
            server.fuse = fuse
            server.runner = FleetRunner(workers, fuse)
            server.inbox.clear()
            server.notices = []
            server.asleepSince = nil
            let (journal, ids, inbox) = (journal, ids, server.inbox)
            let store = FleetStore(fleet, server: server.name, fuse)
            stores.append(store)
            let engine = Engine(
                store: store, runner: server.runner, clock: clock,
                makeID: { ids.next() }, publish: { if fuse.pass() { journal.append(.published($0)) } },
                logger: Logger(label: "simulation", factory: { _ in SwiftLogNoOpLogHandler() }))
            // With the few workflows there are, a little more than others is much.
            engine.balance = BalanceRule(slack: 0, atOnce: 2)
            do {
                try engine.start { inbox.add($0) }
            } catch {
                fleet.disk.heal()
                continue
            }
            server.engine = engine
            note("-- \(server.name) runs")
            return
        }
        throw Problem(text: "no server could be started")
    }

    private func kill(_ server: Server) {
        kills += 1
        note("-- \(server.name) is killed")
        server.fuse.burn()
        server.runner.stop()
        server.engine = nil
        server.asleepSince = nil
    }

    private func process(_ server: Server, _ inputs: [Input]) throws {
        guard let engine = server.engine, server.asleepSince == nil else { return }
        engine.process(inputs)
        if server.fuse.isBurnt { return kill(server) }
        try driveTimers(server)
        spread(from: server)
    }

    private func driveTimers(_ server: Server) throws {
        for _ in 0..<50 {
            guard server.isAwake, let engine = server.engine, let due = engine.nextWakeUp, due <= clock.now() else {
                return
            }
            engine.process([])
            if server.fuse.isBurnt { return kill(server) }
        }
        throw Problem(text: "\(server.name) wants to be woken again and again at the same time")
    }

    /// What a server changed reaches the others, or does not.
    private func spread(from server: Server) {
        for entry in journal.take() {
            switch entry {
            case .published(let publication):
                for change in publication.changes where !change.events.isEmpty {
                    note("  \(server.name): \(change.workflow.id) \(change.events.map { "\($0.version) \($0.kind)" })")
                    for other in servers where other !== server && !random.once(in: 5) {
                        other.notices.append(change.workflow.id)
                    }
                }
            case .replied(let number, let result):
                note("  answer \(number): \(result)")
                if let problem = clients.take(result, for: number) { problems.append(problem) }
            default: break
            }
        }
    }

    private var problems: [String] = []

    // MARK: What happens

    private func step() throws {
        if fleet.disk.isAway, random.once(in: 4) { fleet.disk.heal() }
        let server = random.pick(servers)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<45: try cycle(server)
        case 45..<75: work()
        case 75..<88:
            clock.advance(by: .milliseconds(random.pick([1, 100, 1000, 5000, 20_000])))
            note("time passes")
            for server in servers { try driveTimers(server) }
        case 88..<91:
            fleet.disk.fail([
                random.pick([.refuse(.unavailable), .loseAnswer(stored: true), .loseAnswer(stored: false)])
            ])
            if random.once(in: 2) { fleet.lose(random.pick(FleetDisk.Loss.allCases)) }
            if random.once(in: 2) { deliverLateWrites() }
        case 91: if server.engine != nil { kill(server) }
        case 92..<94: if server.engine == nil { try boot(server) }
        case 94..<96: try sleep(or: server)
        case 96:
            note("-- \(server.name) \(fleet.isReplaced(server.name) ? "is alone again" : "has a twin")")
            fleet.replace(server.name, !fleet.isReplaced(server.name))
        case 97:
            troubles += 1
            server.runner.isInTrouble.toggle()
            note("-- the runner of \(server.name) \(server.runner.isInTrouble ? "can begin nothing" : "is well again")")
        default:
            server.fuse.arm(after: Int.random(in: 0...9, using: &random))
            try cycle(server)
        }
    }

    private func deliverLateWrites() {
        let changed = fleet.deliverLateWrites()
        if !changed.isEmpty { note("late writes of \(changed) arrive") }
    }

    /// Stops a process as SIGSTOP does, or lets it go on.
    private func sleep(or server: Server) throws {
        if let since = server.asleepSince {
            note("-- \(server.name) goes on")
            server.asleepSince = nil
            server.runner.thaw(late: clock.now().since(since) >= FleetDisk.lease)
            try driveTimers(server)
            spread(from: server)
        } else if server.isAwake {
            sleeps += 1
            // In the middle of a cycle: committed, but nothing performed yet.
            server.runner.freeze()
            try cycle(server)
            guard server.engine != nil else { return }
            note("-- \(server.name) is stopped")
            server.asleepSince = clock.now()
        }
    }

    private func cycle(_ server: Server) throws {
        guard server.isAwake else { return }
        var inputs: [Input] = []
        for _ in 0..<Int.random(in: 0...2, using: &random) { inputs.append(ask(makeCommand())) }
        server.runner.deliver(all: false, using: &random)
        inputs += server.inbox.take().map { .report($0) }
        if !random.once(in: 4) {
            inputs += server.notices.map { .changedElsewhere($0) }
            server.notices = []
        }
        try process(server, inputs)
    }

    private func ask(_ command: Command) -> Input {
        let number = clients.ask(command)
        note("request \(number): \(command)")
        let journal = journal
        let fuse = servers.map(\.fuse)
        _ = fuse
        return .command(command) { journal.append(.replied(number, $0)) }
    }

    private func makeCommand() -> Command {
        let targets = clients.known.suffix(4)
        let number = clients.requests.count
        if targets.isEmpty || (clients.known.count < 8 && random.once(in: 3)) {
            let steps = (0..<Int.random(in: 1...3, using: &random)).map { StepSpec(name: "s\($0)", task: "t") }
            let spec = WorkflowSpec(name: "w\(number)", appID: "app", steps: steps)
            return .start(spec, requestID: "start-\(number)")
        }
        if random.once(in: 6), let earlier = clients.requests.last(where: { $0.workflow == nil }) {
            return earlier.command
        }
        let id = random.pick(Array(targets))
        let options = CommandOptions(requestID: random.once(in: 2) ? "request-\(number)" : "")
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4: return .pause(id, random.pick(PauseMode.allCases), options)
        case 4..<9: return .resume(id, ResumeRequest(force: random.once(in: 5)), options)
        default: return .cancel(id, options)
        }
    }

    private func work(gently: Bool = false) {
        if let id = workers.missing.randomElement(using: &random), gently || random.once(in: 3) {
            note("\(id) is lost")
            workers.declareLost(id, at: clock.now())
        }
        guard let (id, attempt) = workers.live.randomElement(using: &random) else { return }
        let result = Observation.succeeded(result: .array(of: [.string("made by \(id)")]), at: clock.now())
        if attempt.stopAsked, gently || random.once(in: 2) {
            note("\(id) stops")
            return workers.end(id, [random.once(in: 3) ? result : .revoked(detail: "stopped", at: clock.now())])
        }
        if attempt.phase == .queued {
            note("\(id) begins")
            return workers.begin(id, at: clock.now())
        }
        if !gently, random.once(in: 3) {
            return workers.say(id, .progress(ProgressReport(done: 1, total: 2, at: clock.now())))
        }
        note("\(id) ends")
        let failure = Observation.failed(Failure(type: "Boom", message: "it broke"), at: clock.now())
        workers.end(id, [!gently && random.once(in: 6) ? failure : result])
    }

    // MARK: Checks

    private func check() throws {
        for server in servers where server.engine == nil { spread(from: server) }
        if let problem = (problems + workers.takeProblems()).first { throw Problem(text: problem) }
        let image = fleet.disk.image
        let (changed, faults) = fleet.disk.takeChanges()
        if let fault = faults.first { throw Problem(text: fault) }
        for id in changed {
            guard let workflow = image.workflows[id] else { continue }
            let versions = (image.events[id] ?? []).map(\.version)
            if versions != Array(1...max(1, workflow.version)) {
                throw Problem(text: "I7: \(id) at version \(workflow.version) has events \(versions)")
            }
            for step in workflow.steps where step.attempts.filter(\.isLive).count > 1 {
                throw Problem(text: "I2: step \(step.spec.name) of \(id) has several live attempts")
            }
        }
        for id in clients.known where image.workflows[id] == nil {
            throw Problem(text: "I6: the acknowledged workflow \(id) is gone")
        }
        for id in clients.pauses.keys where clients.isHeld(id) {
            guard let workflow = image.workflows[id], !workflow.status.isDone, workflow.control != .pausing else {
                continue
            }
            throw Problem(text: "I6: the acknowledged pause of \(id) is gone: \(workflow.status), \(workflow.control)")
        }
    }

    /// All but one of the servers are dead for good; that one has to bring everything to its end.
    private func comeToRest() throws {
        note("-- peace")
        fleet.disk.heal()
        fleet.stopLosing()
        for server in servers { fleet.replace(server.name, false) }
        let last = random.pick(servers)
        for server in servers {
            server.fuse.arm(after: .max)
            if server === last { continue }
            if server.engine != nil { kill(server) }
        }
        if last.engine == nil { try boot(last) }
        if last.asleepSince != nil { try sleep(or: last) }
        last.runner.isInTrouble = false
        deliverLateWrites()
        for _ in 0..<4000 {
            try check()
            clock.advance(by: .seconds(1))
            last.runner.deliver(all: true, using: &random)
            try process(last, last.inbox.take().map { .report($0) } + last.notices.map { .changedElsewhere($0) })
            last.notices = []
            if !last.runner.hasMail { work(gently: true) }
            let open = fleet.disk.image.workflows.values.filter { !$0.isSettled }
            if open.isEmpty, !last.runner.hasMail { break }
        }
        workflows = fleet.disk.image.workflows.count
        for workflow in fleet.disk.image.workflows.values where !workflow.isSettled {
            throw Problem(text: "I5: \(workflow.id) is \(workflow.status) for ever: \(workflow)")
        }
        if let engine = last.engine, engine.activeCount > 0 {
            throw Problem(text: "\(engine.activeCount) workflows are active for ever")
        }
    }
}
