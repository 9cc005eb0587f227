import RhythmEngine
import RhythmTesting
import Testing

@Suite struct RunnerQueuesTests {
    @Test func takesTheHigherPriorityFirstAndAmongEqualsTheFirstCome() {
        var queues = RunnerQueues<Int>(concurrencies: ["q": 1], defaultConcurrency: 4)
        for (id, priority) in [3, 9, 3, -5, 12].enumerated() { queues.enqueue(id, queue: "q", priority: priority) }
        var order: [Int] = []
        while let id = queues.takeStartable().first {
            order.append(id)
            queues.release(id)
        }
        #expect(order == [1, 4, 0, 2, 3])
    }

    @Test func countsWhatWasFoundRunning() {
        var queues = RunnerQueues<Int>(concurrencies: ["q": 2], defaultConcurrency: 1)
        for id in 0..<3 { queues.occupy(id, queue: "q") }
        queues.enqueue(3, queue: "q", priority: 0)
        queues.release(0)
        #expect(queues.takeStartable().isEmpty)
        queues.release(1)
        #expect(queues.takeStartable() == [3])
    }

    /// Against the plainest model: a list that is searched.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func agreesWithAModel(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queues = RunnerQueues<Int>(concurrencies: ["a": 1, "b": 3], defaultConcurrency: 2)
        var waiting: [(id: Int, queue: String, priority: Int)] = []
        var running: [Int: String] = [:]
        for id in 0..<3000 {
            let name = ["a", "b", "c", "d"].randomElement(using: &random) ?? "a"
            let priority = Int.random(in: 0...9, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                queues.enqueue(id, queue: name, priority: priority)
                waiting.append((id, name, priority))
            case 5:
                let victim = waiting.randomElement(using: &random)?.id ?? -1
                #expect(queues.withdraw(victim) == (victim >= 0), "seed \(seed)")
                waiting.removeAll { $0.id == victim }
            default:
                guard let done = running.keys.sorted().randomElement(using: &random) else { break }
                queues.release(done)
                running[done] = nil
            }
            var expected: Set<Int> = []
            for (name, room) in ["a": 1, "b": 3, "c": 2, "d": 2] {
                while running.values.filter({ $0 == name }).count < room {
                    let mine = waiting.filter { $0.queue == name }
                    guard let best = mine.map(\.priority).max(), let next = mine.first(where: { $0.priority == best })
                    else { break }
                    waiting.removeAll { $0.id == next.id }
                    running[next.id] = name
                    expected.insert(next.id)
                }
            }
            #expect(Set(queues.takeStartable()) == expected, "seed \(seed), round \(id)")
            #expect(queues.waitingCount == waiting.count, "seed \(seed), round \(id)")
        }
    }
}
