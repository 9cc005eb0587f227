import Dispatch
import RhythmCore
import RhythmEngine

/// Reads that may block on a disk, away from the lane. What comes of them is given to the lane as a ``ReadResult``.
final class StoreReads: Sendable {
    /// A few serial queues instead of a concurrent one: as many reads at once as the store has readers, and no more
    /// threads than that.
    private let queues: [DispatchQueue]
    private let put: @Sendable (UInt64, ReadResult) -> Void

    init(width: Int = 4, put: @escaping @Sendable (UInt64, ReadResult) -> Void) {
        queues = (0..<width).map { DispatchQueue(label: "rhythm.server.read.\($0)", qos: .userInitiated) }
        self.put = put
    }

    /// Runs `work` and puts what it returns into the mailbox under `ticket`.
    func run(ticket: UInt64, _ work: @escaping @Sendable () throws(StoreError) -> ReadResult) {
        queues[Int(ticket % UInt64(queues.count))].async { [put] in
            do throws(StoreError) {
                put(ticket, try work())
            } catch {
                put(ticket, .failed(RhythmError(error)))
            }
        }
    }
}

/// What a read gave.
enum ReadResult: Sendable {
    case workflow(Workflow?)
    /// Workflows that may join a filter watch, how many beside them have no place in it, and where the next page begins.
    case joining([Workflow], leftOut: Int, next: ListCursor?)
    /// A workflow and who follows it.
    case followed(Workflow?, Follower?)
    /// The store could not be asked: what this server knew.
    case remembered(Workflow)
    case servers([ServerEntry])
    /// A workflow that another server follows, and its latest transitions.
    case foreign(Workflow, [Event])
    case events([Event])
    /// Workflows that another orchestrator drives.
    case legacy([LegacyState])
    case list(ListPage, [WorkflowStatus: Int]?)
    case ids([WorkflowID])
    case log(LogChunk?)
    case failed(RhythmError)
}
