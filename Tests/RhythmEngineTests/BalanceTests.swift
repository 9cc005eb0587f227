import RhythmCore
import RhythmTesting
import Testing

@testable import RhythmEngine

/// Servers that follow very different numbers of workflows.
@Suite struct BalanceTests {
    // MARK: The rule

    @Test func itBeginsWithMuchMoreThanAnEvenShare() {
        for own in 0...80 {
            for other in 0...80 {
                var rule = BalanceRule()
                let surplus = rule.surplus(own: own, others: [other])
                let even = (own + other + 1) / 2
                #expect((surplus > 0) == (own > even + max(8, even / 2)), "\(own) and \(other)")
                #expect(surplus == 0 || own - surplus >= even, "\(own) and \(other)")
                // Having begun, it goes on until it is even enough.
                guard rule.isGiving else { continue }
                for later in 0...own {
                    var rule = rule
                    let surplus = rule.surplus(own: later, others: [own + other - later])
                    #expect((surplus > 0) == (later > even + even / 10), "\(own), then \(later), and \(other)")
                }
            }
        }
        var rule = BalanceRule()
        #expect(rule.surplus(own: 1_000, others: []) == 0, "there is nobody to take anything")
        #expect(rule.surplus(own: 1_000, others: [0]) == 100, "no more than some at a time")
        rule = BalanceRule()
        #expect(rule.surplus(own: 17, others: [0]) == 0 && !rule.isGiving)
        #expect(rule.surplus(own: 18, others: [0]) == 5)
    }

    /// Servers that hear of each other with the delay that leases have: what one counts is said before it claims, and what
    /// is handed over is claimed by the next look of its heir.
    @Test func sharesBecomeEvenAndStay() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<400 {
            let count = Int.random(in: 2...5, using: &random)
            var followed = (0..<count).map { _ in random.once(in: 2) ? 0 : Int.random(in: 0...1_500, using: &random) }
            let total = followed.reduce(0, +)
            let even = (total + count - 1) / count
            var said = followed
            var onItsWay = [Int](repeating: 0, count: count)
            var rules = [BalanceRule](repeating: BalanceRule(), count: count)
            var moved = 0
            var lastMove = 0
            let surplus = followed.reduce(0) { $0 + max(0, $1 - even) }
            for round in 0..<120 {
                for server in 0..<count {
                    said[server] = followed[server]
                    followed[server] += onItsWay[server]
                    onItsWay[server] = 0
                    let others = (0..<count).filter { $0 != server }
                    let given = rules[server].surplus(own: followed[server], others: others.map { said[$0] })
                    let share = BalanceRule.evenShare(own: followed[server], others: others.map { said[$0] })
                    let receivers = others.filter { said[$0] < share }
                    guard given > 0 else { continue }
                    #expect(!receivers.isEmpty)
                    followed[server] -= given
                    for _ in 0..<given { onItsWay[receivers.randomElement(using: &random) ?? 0] += 1 }
                    moved += given
                    lastMove = round
                }
            }
            #expect(followed.reduce(0, +) + onItsWay.reduce(0, +) == total)
            #expect(followed.allSatisfy { $0 <= even + max(8, even / 2) }, "\(followed), even would be \(even)")
            #expect(moved <= surplus + surplus / 2 + 10, "\(moved) were moved, \(surplus) were too many")
            #expect(lastMove < 60, "it comes to rest")
        }
    }

    // MARK: Engines

    private let rig = FleetRig()

    @Test func aServerThatComesGetsItsShare() throws {
        let first = try rig.makeServer("first")
        let workflows = try first.start(60)
        // Of some nobody knows whether they are with workers: they stay where they are.
        let uncertain = Set(workflows.prefix(10).map(\.id))
        first.queue(workflows.dropFirst(10))
        rig.pass(seconds: 10, [first])
        #expect(first.engine.activeCount == 60, "there is nobody else")
        let second = try rig.makeServer("second")
        _ = first.effects.take()
        rig.pass(seconds: 40, [first, second])
        let counts = [first, second].map(\.engine.activeCount)
        // As even as the rule lets them be by which workflows fall to servers.
        #expect(counts.reduce(0, +) == 60 && counts.allSatisfy { (20...40).contains($0) }, "\(counts)")
        let released = first.published.all.flatMap(\.released)
        #expect(released.count == counts[1] && uncertain.isDisjoint(with: released))
        // The one lets go of what workers have without touching it, the other follows the same attempts.
        let (letGo, followed) = (first.released, second.dispatched(again: true))
        #expect(Set(letGo) == Set(followed) && letGo.count == released.count && followed.count == released.count)
        #expect(second.effects.all.count == followed.count && first.effects.all.count == letGo.count)
        // It stays so.
        rig.pass(seconds: 100, [first, second])
        #expect([first, second].map(\.engine.activeCount) == counts && first.store.handedOver == released.count)
    }

    @Test func whoDrainsGetsNone() throws {
        let first = try rig.makeServer("first")
        first.queue(try first.start(40))
        let drained = try rig.makeServer("drained")
        drained.engine.drain(true)
        rig.pass(seconds: 40, [first, drained])
        #expect(first.engine.activeCount == 40 && drained.engine.activeCount == 0)
        drained.engine.drain(false)
        rig.pass(seconds: 40, [first, drained])
        #expect(drained.engine.activeCount > 5)
    }

    /// One that has missed two proofs may be gone.
    @Test func whoIsSilentGetsNone() throws {
        let first = try rig.makeServer("first")
        first.queue(try first.start(40))
        let silent = try rig.makeServer("silent")
        rig.clock.advance(by: .seconds(5))
        silent.engine.process([])
        rig.clock.advance(by: .seconds(10))
        first.engine.process([])
        #expect(first.engine.activeCount == 40)
        silent.engine.process([])
        rig.clock.advance(by: .seconds(5))
        first.engine.process([])
        #expect(first.engine.activeCount < 40)
    }

    /// Attempts that are being stopped, or of which nobody knows whether they were sent, and what is to be deleted.
    @Test func whatCannotChangeServers() throws {
        let first = try rig.makeServer("first")
        let workflow = try #require(try first.start(1).first)
        #expect(!workflow.canChangeServers, "nobody knows whether it was sent")
        var queued = workflow
        var transition = Transition(now: rig.clock.now()) { "x" }
        let task = try #require(workflow.steps[0].current?.id)
        queued.observe(.queued(at: rig.clock.now()), of: task, in: &transition)
        #expect(queued.canChangeServers)
        var running = workflow
        running.observe(.started(at: rig.clock.now(), worker: "w"), of: task, in: &transition)
        #expect(running.canChangeServers)
        var held = running
        _ = held.pause(.now, in: &transition)
        #expect(!held.canChangeServers, "it is being stopped")
        held.observe(.revoked(detail: "", at: rig.clock.now()), of: task, in: &transition)
        #expect(held.canChangeServers)
        var leaving = running
        _ = leaving.pause(.afterStep, in: &transition)
        #expect(leaving.canChangeServers)
        _ = try leaving.requestDeletion(cancelFirst: true, in: &transition)
        #expect(!leaving.canChangeServers)
    }
}
