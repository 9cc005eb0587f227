import RhythmCore
import Synchronization

/// Fresh task ids for a transition, the same ones for the same generator.
final class TaskIDs: Sendable {
    private let random: Mutex<SeededGenerator>

    init(_ random: SeededGenerator) { self.random = Mutex(random) }

    @Sendable func next() -> TaskID { TaskID(random.withLock { $0.uuid() }) }
}
