import Foundation
import RhythmCore
import RhythmTesting
import Testing

/// Every order in which people, timers and a runner may act on a small workflow, and long random lives of larger ones.
///
/// `RHYTHM_EXTRA_DEPTH=1` goes one act further than fits into a few seconds; each act more takes about four times as
/// long.
@Suite struct ExhaustiveTests {
    static let extraDepth = ProcessInfo.processInfo.environment["RHYTHM_EXTRA_DEPTH"].flatMap { Int($0) } ?? 0

    struct Plan: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var steps: Int
        var retry: RetryPolicy?
        var timeout: Duration?
        var copies: Int
        var commands: Int
        var depth: Int

        func makeWorld() throws -> ModelWorld {
            try ModelWorld(steps: steps, retry: retry, timeout: timeout, copies: copies, commands: commands)
        }
    }

    static let twice = RetryPolicy(maxAttempts: 2)

    static let plans: [Plan] = [
        Plan(testDescription: "1 step", steps: 1, copies: 2, commands: 3, depth: 6),
        Plan(
            testDescription: "1 step, retry, timeout", steps: 1, retry: twice, timeout: .seconds(5), copies: 1,
            commands: 3, depth: 6),
        Plan(testDescription: "2 steps", steps: 2, copies: 1, commands: 3, depth: 7),
        Plan(
            testDescription: "2 steps, retry, timeout", steps: 2, retry: twice, timeout: .seconds(5), copies: 1,
            commands: 2, depth: 7),
    ]

    /// A world and how it came about.
    final class Node: Sendable {
        let world: ModelWorld
        let act: ModelWorld.Act?
        let parent: Node?
        init(_ world: ModelWorld, _ act: ModelWorld.Act? = nil, parent: Node? = nil) {
            self.world = world
            self.act = act
            self.parent = parent
        }
        var story: [ModelWorld.Act] { (parent?.story ?? []) + (act.map { [$0] } ?? []) }
    }

    @Test(arguments: plans)
    func everyOrder(plan: Plan) throws {
        var frontier = [Node(try plan.makeWorld())]
        var seen: Set<Int> = [frontier[0].world.fingerprint]
        var transitions = 0
        let depth = plan.depth + Self.extraDepth
        for _ in 0..<depth {
            var next: [Node] = []
            for node in frontier {
                for act in node.world.possibleActs {
                    transitions += 1
                    var world = node.world
                    do { try world.perform(act) } catch {
                        let story = node.story + [act]
                        Issue.record("\(error) after \(story)\n\(world.workflow)")
                        return
                    }
                    if seen.insert(world.fingerprint).inserted { next.append(Node(world, act, parent: node)) }
                }
            }
            frontier = next
        }
        print("\(plan.testDescription): \(seen.count) states, \(transitions) transitions to depth \(depth)")
        #expect(seen.count > 1000)
    }

    @Test(arguments: 1...4)
    func longRandomLives(steps: Int) throws {
        let base = UInt64.random(in: 0...UInt64(UInt32.max))
        for run in 0..<60 { try liveAndDrain(steps: steps, seed: base + UInt64(run)) }
    }

    private func liveAndDrain(steps: Int, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var world = try ModelWorld(
            steps: steps, retry: random.once(in: 2) ? RetryPolicy(maxAttempts: 3) : nil,
            timeout: random.once(in: 2) ? .seconds(5) : nil)
        var story: [ModelWorld.Act] = []
        do {
            for _ in 0..<Int.random(in: 10...80, using: &random) {
                // People act seldom, or nothing would ever run.
                world.commandsLeft = random.once(in: 6) ? 1 : 0
                guard let act = world.possibleActs.randomElement(using: &random) else { break }
                story.append(act)
                try world.perform(act)
            }
            try drain(&world, &story)
        } catch {
            Issue.record("\(error), seed \(seed), after \(story)\n\(world.workflow)")
        }
    }

    /// Nobody commands any more, and every report arrives: what is not held must end.
    private func drain(_ world: inout ModelWorld, _ story: inout [ModelWorld.Act]) throws {
        world.commandsLeft = 0
        for _ in 0..<2000 {
            let acts = world.possibleActs
            guard
                let act = acts.first(where: {
                    switch $0 {
                    case .deliver, .wakeUp, .end(_, .success), .begin: true
                    default: false
                    }
                })
            else { break }
            story.append(act)
            try world.perform(act)
        }
        #expect(world.workflow.isSettled)
        #expect(world.runner.running.isEmpty)
        if !world.isHeld, world.workflow.status == .revoked {
            #expect(world.workflow.pendingStep?.current?.status == .revoked)
        }
    }
}
