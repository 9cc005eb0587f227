import RhythmCore
import RhythmEngine

/// A failure of an attempt, as opposed to one of the simulation.
private typealias AttemptFailure = RhythmCore.Failure

extension Simulation {
    /// One random thing happens.
    func step() throws {
        if disk.isAway, random.once(in: 8) {
            note("the store is back")
            disk.heal()
        }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40: try cycle(commands: Int.random(in: 0...3, using: &random))
        case 40..<75: work()
        case 75..<90: try passTime()
        case 90..<96: spoilStore()
        case 96: try restart()
        case 97: performAgain()
        default:
            // Somewhere in the next cycle the process is killed.
            fuse.arm(after: Int.random(in: 0...9, using: &random))
            try cycle(commands: Int.random(in: 1...4, using: &random))
        }
    }

    /// Whatever the records ask for may be asked for twice.
    private func performAgain() {
        let workflows = disk.image.workflows.values.sorted { $0.id < $1.id }
        guard !workflows.isEmpty else { return }
        let workflow = random.pick(workflows)
        note("the effects of \(workflow.id) are performed again")
        for effect in workflow.outstandingEffects { machine.perform(effect) }
    }

    private func spoilStore() {
        tally.faults += 1
        if random.once(in: 3) {
            disk.isAway = true
            return note("the store is away")
        }
        let fault = random.pick(
            [
                .refuse(.full), .refuse(.unavailable), .loseAnswer(stored: true), .loseAnswer(stored: false),
            ] as [SimulationDisk.Fault])
        let faults = Array(repeating: fault, count: random.once(in: 3) ? 3 : 1)
        note("the next commits meet \(faults)")
        disk.fail(faults)
    }

    /// Commands and reports that arrive together, each kind in its order.
    private func cycle(commands count: Int) throws {
        var commands = (0..<count).map { _ in ask(makeCommand()) }[...]
        var reports = deliver().map { Input.report($0) }[...]
        var inputs: [Input] = []
        while !commands.isEmpty || !reports.isEmpty {
            let takesCommand = reports.isEmpty || (!commands.isEmpty && random.once(in: 2))
            inputs.append(takesCommand ? commands.removeFirst() : reports.removeFirst())
        }
        try process(inputs)
    }

    /// The request as it goes to the engine.
    func input(for number: Int) -> Input {
        let (fuse, journal) = (fuse, journal)
        return .command(clients.requests[number].command) { result in
            if fuse.pass() { journal.append(.replied(number, result)) }
        }
    }

    func ask(_ command: Command) -> Input {
        let number = clients.ask(command)
        note("request \(number): \(command)")
        return input(for: number)
    }

    /// Some of what is in the mail arrives: in any order, some of it twice, some of it never.
    private func deliver() -> [Report] {
        var random = random
        var lost = false
        let reports = machine.takeMail { mailbox in
            guard !mailbox.isEmpty else { return [] }
            var taken: [Report] = []
            var left: [Report] = []
            for report in mailbox {
                switch Int.random(in: 0..<20, using: &random) {
                case 0 where losesReports: lost = true
                case 1..<6: left.append(report)
                case 6..<9:
                    taken.append(report)
                    left.append(report)
                default: taken.append(report)
                }
            }
            mailbox = left
            if random.once(in: 3) { taken.shuffle(using: &random) }
            return taken
        }
        self.random = random
        if lost { lostReports = true }
        runner.deliver(reports)
        let arrived = inbox.take()
        for report in arrived { note("report of \(report.taskID): \(report.observation)") }
        return arrived
    }

    private func passTime() throws {
        let step = random.pick([1, 40, 300, 1000, 5000, 60_000])
        clock.advance(by: .milliseconds(step))
        note("\(step) ms pass")
        try driveTimers()
    }

    // MARK: Attempts

    /// Attempts do something by themselves.
    private func work() {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let live = machine.attempts.filter { $0.1.isLive }
            guard !live.isEmpty else { return }
            let (id, attempt) = random.pick(live)
            advance(id, attempt, gently: false)
        }
    }

    func advance(_ id: TaskID, _ attempt: SimulationMachine.Attempt, gently: Bool) {
        let now = clock.now()
        if attempt.stopAsked, gently || random.once(in: 2) {
            return end(id, random.pick(["revoked", "success", "both"]))
        }
        if attempt.phase == .queued {
            if !gently, random.once(in: 20) { return end(id, random.pick(["poison", "lost"])) }
            if !gently, random.once(in: 10) { machine.say(.queued(at: now), of: id) }
            if !gently, random.once(in: 20) { machine.say(.waiting(reason: "nobody fetches it"), of: id) }
            note("\(id) begins")
            return machine.begin(id, now: now)
        }
        switch gently ? 9 : Int.random(in: 0..<12, using: &random) {
        case 0...1:
            let done = Double(Int.random(in: 0...9, using: &random))
            machine.say(.progress(ProgressReport(done: done, total: 9, at: now)), of: id)
        case 2: machine.retry(id)
        case 3: end(id, "failure")
        case 4: end(id, random.pick(["poison", "wrong form", "revoked", "failure", "lost"]))
        case 5: machine.say(.started(at: now, worker: "machine"), of: id)
        default: end(id, "success")
        }
    }

    private func end(_ id: TaskID, _ how: String) {
        note("\(id) ends: \(how)")
        let now = clock.now()
        let success = Observation.succeeded(result: .array(of: [.string("made by \(id)")]), at: now)
        let revoked = Observation.revoked(detail: "stopped", at: now)
        let ends: [Observation] =
            switch how {
            case "success": [success]
            case "both": random.once(in: 2) ? [revoked, success] : [success, revoked]
            case "revoked": [revoked]
            case "lost": [.lost(detail: "no trace of it", at: now)]
            case "wrong form": [.succeeded(result: .emptyObject, at: now)]
            case "poison": [.failed(AttemptFailure(type: "Poison", message: "hopeless", isRetriable: false), at: now)]
            default: [.failed(AttemptFailure(type: "Boom", message: "it broke"), at: now)]
            }
        machine.end(id, ends)
    }
}
