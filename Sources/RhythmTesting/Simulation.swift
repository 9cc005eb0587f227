import Logging
import RhythmCore
import RhythmEngine

/// The whole life of a simulated server, from one seed: random clients, attempts that outlive the process, a store that
/// fails, and a process that is killed between any two things it does. The engine and the core are the real ones.
///
/// After every step everything that was promised is compared with what is durable and what truly runs. At the end the
/// world is left in peace, and everything that is not held must end. The same seed gives the same life.
package final class Simulation {
    /// What went wrong, and how it came to that.
    package struct Failure: Error, CustomStringConvertible {
        package let seed: UInt64
        package let problem: String
        package let history: [String]

        package var description: String {
            "seed \(seed): \(problem)\n" + history.suffix(400).joined(separator: "\n")
                + "\nrun it again with RHYTHM_SIM_SEED=\(seed)"
        }
    }

    /// What a run met, so that a test can tell that it met enough.
    package struct Tally: Sendable {
        package var cycles = 0, crashes = 0, faults = 0, workflows = 0, attempts = 0, acknowledged = 0

        package init() {}

        package static func += (sum: inout Tally, other: Tally) {
            sum.cycles += other.cycles
            sum.crashes += other.crashes
            sum.faults += other.faults
            sum.workflows += other.workflows
            sum.attempts += other.attempts
            sum.acknowledged += other.acknowledged
        }
    }

    struct Problem: Error { let text: String }

    let seed: UInt64
    var random: SeededGenerator
    let clock = SimulationClock()
    let disk = SimulationDisk()
    let journal = SimulationJournal()
    let machine: SimulationMachine
    let ids = SimulationIDs()
    let inbox = SimulationInbox()
    let logger = Logger(label: "simulation", factory: { _ in SwiftLogNoOpLogHandler() })
    var fuse = SimulationFuse()
    var engine: Engine?
    var runner: SimulationRunner
    var clients = SimulationClients()
    package internal(set) var tally = Tally()
    /// The version up to which watchers of this server process were told of each workflow.
    var told: [WorkflowID: Int64] = [:]
    /// Attempts that the machine was given, ever.
    var dispatched: Set<TaskID> = []
    /// Whether attempts run in the server process and die with it.
    let attemptsDie: Bool
    /// Whether reports may get lost on their way.
    let losesReports: Bool
    /// Whether a report was lost; until the next restart some workflow may wait for it.
    var lostReports = false
    let records: Bool
    package internal(set) var history: [String] = []

    package init(seed: UInt64, records: Bool = false) {
        self.seed = seed
        self.records = records
        random = SeededGenerator(seed: seed)
        machine = SimulationMachine(journal)
        runner = SimulationRunner(machine, fuse)
        attemptsDie = random.once(in: 4)
        losesReports = random.once(in: 3)
    }

    /// Runs a seed; if it fails, runs it again to tell how.
    package static func run(seed: UInt64, steps: Int = 120) throws(Failure) -> Tally {
        let simulation = Simulation(seed: seed)
        if simulation.live(steps) == nil { return simulation.tally }
        let again = Simulation(seed: seed, records: true)
        let problem = again.live(steps) ?? "it failed once, but not when it was run again: it is not deterministic"
        throw Failure(seed: seed, problem: problem, history: again.history)
    }

    /// Lives for so many steps and to the end of all work; returns what went wrong.
    package func live(_ steps: Int) -> String? {
        do {
            try boot()
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

    func note(_ text: @autoclosure () -> String) { if records { history.append(text()) } }

    // MARK: The server process

    /// Starts a process; if it dies as it starts, another one.
    func boot() throws {
        for _ in 0..<100 {
            fuse = SimulationFuse()
            if tally.crashes > 0, random.once(in: 5) { fuse.arm(after: Int.random(in: 0...4, using: &random)) }
            runner = SimulationRunner(machine, fuse)
            journal.append(.booted)
            inbox.clear()
            lostReports = false
            let (fuse, journal, ids, inbox) = (fuse, journal, ids, inbox)
            let engine = Engine(
                store: SimulationStore(disk, fuse), runner: runner, clock: clock, makeID: { ids.next() },
                publish: { if fuse.pass() { journal.append(.published($0)) } }, logger: logger)
            note("-- a server process starts")
            do {
                try engine.start { inbox.add($0) }
            } catch {
                note("   it cannot read: \(error)")
                disk.isAway = false
                continue
            }
            if fuse.isBurnt {
                crash()
                continue
            }
            self.engine = engine
            return
        }
        throw Problem(text: "no process could be started")
    }

    /// The process is gone, with everything that was only in its memory.
    func crash() {
        tally.crashes += 1
        note("-- killed")
        fuse.burn()
        runner.stop()
        engine = nil
        machine.disconnect(attemptsDie: attemptsDie)
    }

    /// One cycle of the engine, as its driver would do it.
    func process(_ inputs: [Input]) throws {
        guard let engine else { return }
        tally.cycles += 1
        engine.process(inputs)
        if fuse.isBurnt { return try restart() }
        try driveTimers()
    }

    /// Whatever is due is done before time goes on.
    func driveTimers() throws {
        for _ in 0..<50 {
            guard let engine, let due = engine.nextWakeUp, due <= clock.now() else { return }
            tally.cycles += 1
            engine.process([])
            if fuse.isBurnt { return try restart() }
        }
        throw Problem(text: "the engine wants to be woken again and again at the same time")
    }

    func restart() throws {
        crash()
        try boot()
    }
}

/// Ids in the order in which they are asked for.
final class SimulationIDs: Sendable {
    private let last = Counter()
    func next() -> String {
        let digits = String(last.next())
        return "id-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
}
