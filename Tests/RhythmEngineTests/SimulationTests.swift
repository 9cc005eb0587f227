import Foundation
import RhythmTesting
import Testing

/// Many simulated lives. `RHYTHM_SIM_SEED=n` runs just that one and tells its whole story; `RHYTHM_SIM_SEEDS=n` runs so
/// many fresh ones.
@Suite struct SimulationTests {
    static let environment = ProcessInfo.processInfo.environment
    static let only = environment["RHYTHM_SIM_SEED"].flatMap { UInt64($0) }
    static let count = environment["RHYTHM_SIM_SEEDS"].flatMap { Int($0) } ?? 300

    @Test(.enabled(if: only == nil), arguments: 0..<2)
    func manyLives(share: Int) throws {
        let base = UInt64.random(in: 0...UInt64(UInt32.max))
        var sum = Simulation.Tally()
        for index in 0..<UInt64(Self.count / 2) {
            do {
                sum += try Simulation.run(seed: base + index)
            } catch {
                Issue.record("after \(index) good seeds: \(error)")
                return
            }
        }
        print("\(Self.count / 2) simulated lives from seed \(base): \(sum)")
        // A world in which nothing happens proves nothing.
        #expect(sum.crashes > Self.count && sum.faults > Self.count && sum.workflows > Self.count)
        #expect(sum.attempts > 4 * Self.count && sum.acknowledged > 10 * Self.count)
    }

    @Test(.enabled(if: only != nil))
    func oneLife() throws {
        let simulation = Simulation(seed: Self.only ?? 0, records: true)
        let problem = simulation.live(120)
        print(simulation.history.joined(separator: "\n"))
        #expect(problem == nil)
    }

    @Test func sameSeedSameLife() {
        let lives = (0..<2).map { _ in
            let simulation = Simulation(seed: 42, records: true)
            _ = simulation.live(200)
            return simulation.history
        }
        #expect(lives[0] == lives[1])
        #expect(lives[0].count > 200)
    }
}

/// Many simulated lives of several servers over one store; the same variables as for one server.
@Suite struct FleetSimulationTests {
    /// Lives in which something went wrong once.
    @Test(arguments: [9_165_619] as [UInt64]) func earlierLives(seed: UInt64) {
        #expect(FleetSimulation(seed: seed).live(150) == nil)
    }

    @Test(.enabled(if: SimulationTests.only == nil)) func manyLives() throws {
        let base = UInt64.random(in: 0...UInt64(UInt32.max))
        var (kills, sleeps, workflows, handedOver, left) = (0, 0, 0, 0, 0)
        for index in 0..<UInt64(SimulationTests.count / 2) {
            let life = FleetSimulation(seed: base + index)
            if let problem = life.live(150) {
                let again = FleetSimulation(seed: base + index, records: true)
                _ = again.live(150)
                Issue.record(
                    "after \(index) good seeds, seed \(base + index): \(problem)\n\(again.history.suffix(300).joined(separator: "\n"))"
                )
                return
            }
            kills += life.kills
            sleeps += life.sleeps
            workflows += life.workflows
            handedOver += life.handedOver
            left += life.left
        }
        print(
            "\(SimulationTests.count / 2) lives of a fleet from seed \(base): \(kills) kills, \(sleeps) sleeps,"
                + " \(workflows) workflows, \(handedOver) handed over, \(left) left")
        // Three, one and seven in a life are usual.
        #expect(
            kills > SimulationTests.count && sleeps > SimulationTests.count / 4 && workflows > SimulationTests.count)
        #expect(handedOver > 0 && left > 0)
    }
}
