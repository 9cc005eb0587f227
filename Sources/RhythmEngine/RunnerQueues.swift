/// Which attempts may begin now: queues of given concurrency, the higher priority first, among equals the first come.
///
/// A plain value for runners that do their own queueing; it knows nothing of how attempts are run.
package struct RunnerQueues<ID: Hashable> {
    private struct Queue {
        let concurrency: Int
        var running = 0
        /// One line for each priority, 0 to 9.
        var lines = Array(repeating: Line(), count: 10)
        var waiting = 0
    }

    /// First in, first out; what was withdrawn in between is skipped when its turn comes.
    private struct Line {
        var tickets: [(id: ID, ticket: UInt64)] = []
        var head = 0

        mutating func pop() -> (id: ID, ticket: UInt64)? {
            guard head < tickets.count else { return nil }
            let first = tickets[head]
            head += 1
            if head > 64, head * 2 > tickets.count {
                tickets.removeFirst(head)
                head = 0
            }
            return first
        }
    }

    private let concurrencies: [String: Int]
    private let defaultConcurrency: Int
    private var queues: [String: Queue] = [:]
    private var waiting: [ID: (queue: String, ticket: UInt64)] = [:]
    private var running: [ID: String] = [:]
    private var lastTicket: UInt64 = 0

    /// - Parameters:
    ///   - concurrencies: how many attempts of a queue run at once, by name.
    ///   - defaultConcurrency: the same for any queue without an entry. Values under 1 count as 1.
    package init(concurrencies: [String: Int], defaultConcurrency: Int) {
        self.concurrencies = concurrencies
        self.defaultConcurrency = defaultConcurrency
    }

    /// How many attempts wait.
    package var waitingCount: Int { waiting.count }

    /// Puts an attempt behind those of its priority (0 to 9). One that waits or runs already stays where it is.
    package mutating func enqueue(_ id: ID, queue name: String, priority: Int) {
        guard waiting[id] == nil, running[id] == nil else { return }
        lastTicket += 1
        let ticket = lastTicket
        waiting[id] = (name, ticket)
        with(name) { queue in
            queue.lines[min(9, max(0, priority))].tickets.append((id, ticket))
            queue.waiting += 1
        }
    }

    /// Takes a waiting attempt out. False if it does not wait.
    @discardableResult
    package mutating func withdraw(_ id: ID) -> Bool {
        guard let place = waiting.removeValue(forKey: id) else { return false }
        with(place.queue) { $0.waiting -= 1 }
        return true
    }

    /// Counts an attempt that is found running, even above the queue's concurrency.
    package mutating func occupy(_ id: ID, queue name: String) {
        withdraw(id)
        guard running.updateValue(name, forKey: id) == nil else { return }
        with(name) { $0.running += 1 }
    }

    /// The attempt ended. Unknown ones are ignored.
    package mutating func release(_ id: ID) {
        guard let name = running.removeValue(forKey: id) else { return }
        with(name) { $0.running -= 1 }
    }

    /// The attempts that begin now, in order, at most `limit`; from here on they count as running.
    package mutating func takeStartable(limit: Int = .max) -> [ID] {
        guard !waiting.isEmpty else { return [] }
        var started: [ID] = []
        for index in queues.indices {
            while started.count < limit, let id = takeNext(fromQueueAt: index) { started.append(id) }
        }
        return started
    }

    /// Changes the queue in its place: neither its name is looked up again nor its lines are copied.
    private mutating func takeNext(fromQueueAt index: Dictionary<String, Queue>.Index) -> ID? {
        guard queues.values[index].waiting > 0, queues.values[index].running < queues.values[index].concurrency else {
            return nil
        }
        for priority in (0...9).reversed() {
            while let (id, ticket) = queues.values[index].lines[priority].pop() {
                guard let place = waiting.index(forKey: id), waiting.values[place].ticket == ticket else { continue }
                waiting.remove(at: place)
                running[id] = queues.keys[index]
                queues.values[index].waiting -= 1
                queues.values[index].running += 1
                return id
            }
        }
        return nil
    }

    private mutating func with(_ name: String, _ change: (inout Queue) -> Void) {
        change(&queues[name, default: Queue(concurrency: max(1, concurrencies[name] ?? defaultConcurrency))])
        // A queue that nobody uses is forgotten: clients choose the names.
        if let queue = queues[name], queue.running == 0, queue.waiting == 0 { queues[name] = nil }
    }
}
