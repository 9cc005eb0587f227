import HeapModule

/// The moments at which calls have to be looked at: their deadlines and the ends of their waits.
///
/// Most calls are answered long before, so an entry is not removed with its call: it is skipped when its moment comes,
/// and all stale ones are thrown out when they outnumber the calls. Adding one costs no timer and no search.
struct WakeUps {
    private struct Entry: Comparable {
        let at: Moment
        let key: CallKey
        static func < (lhs: Self, rhs: Self) -> Bool { lhs.at < rhs.at }
    }

    private var heap = Heap<Entry>()

    /// Adds a moment; `live` is the number of calls, `isLive` says whether a call still exists.
    mutating func add(_ at: Moment, _ key: CallKey, live: Int, isLive: (CallKey) -> Bool) {
        heap.insert(Entry(at: at, key: key))
        if heap.count > 4 * live + 256 { heap = Heap(heap.unordered.filter { isLive($0.key) }) }
    }

    /// The next moment, stale or not.
    var next: Moment? { heap.min?.at }

    /// Takes out what is due.
    mutating func due(at now: Moment) -> [CallKey] {
        var keys: [CallKey] = []
        while let first = heap.min, first.at <= now {
            heap.removeMin()
            keys.append(first.key)
        }
        return keys
    }
}
