import Dispatch
import RhythmAMQP
import RhythmCore
import RhythmEngine
import RhythmLane
import Synchronization

/// Everything that comes in for the desk, from any thread; what piles up is taken in one visit.
final class DeskInbox: Sendable {
    /// One thing that came in.
    enum Input: Sendable {
        case start([Effect], @Sendable ([Report]) -> Void)
        case keepTime(@Sendable () -> Timestamp)
        case perform([Effect])
        case stop
        /// Somebody wants to know what workers hold.
        case inspect([WorkflowID: Inspection.Subject], @Sendable (Inspection) -> Void)
        /// What became of a task message; `number` says of which try.
        case published(TaskID, number: Int, PublishOutcome)
        case events([EventBatch.Event])
        case reply(ControlReply)
        case call(ControlCall)
        case link(Links.Name, AMQPConnectionState)
        /// A read that the schedule asked for.
        case polled([TaskID], ResultBackend.Reading)
        /// A read that belongs to a census.
        case examined([TaskID], ResultBackend.Reading)
        /// A read of attempts whose ends nothing speaks against any more.
        case confirmed([TaskID], ResultBackend.Reading)
        case foreseen(ResultBackend.Reading, deadline: Duration)
        /// The change stream named these.
        case changed([TaskID])
        /// The change stream was away: anything may have changed.
        case feedBegan
        /// What the engine told before attempts might be sent again has been taken in.
        case mayBegin(opening: Int)
        /// Private documents are stored, or not.
        case prepared([(dispatch: Dispatch, withSpares: Bool)], trouble: String?)
        /// The ids that were revoked earlier, by this or other servers.
        case revoked([TaskID])
        case queue(String, QueueInspection)
        case mailbox(String, QueueInspection)
        case examine(Examination.Caller)
        /// A look at a queue, and one at the database, that belong to the examination that began at that time.
        case examinedQueue(String, QueueInspection, begun: Duration)
        case examinedDatabase(DatabaseState, begun: Duration)
    }

    private struct State {
        var inputs: [Input] = []
        var isScheduled = false
        var desk: CeleryDesk?
    }

    private let state = Mutex(State())
    private let lane: Lane

    init(lane: Lane) { self.lane = lane }

    /// The desk that takes everything from now on.
    func attach(_ desk: CeleryDesk) { state.withLock { $0.desk = desk } }

    /// Takes one thing. Any thread; never waits.
    func put(_ input: Input) {
        let mustSchedule = state.withLock { state in
            state.inputs.append(input)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { lane.queue.async { self.drain() } }
    }

    private func drain() {
        let (inputs, desk) = state.withLock { state in
            state.isScheduled = false
            defer { state.inputs = [] }
            // The desk holds what holds this inbox: a stop lets go of it.
            if state.inputs.contains(where: { if case .stop = $0 { true } else { false } }) {
                defer { state.desk = nil }
                return (state.inputs, state.desk)
            }
            return (state.inputs, state.desk)
        }
        guard let desk else {
            for case .inspect(_, let answer) in inputs { answer(Inspection(trouble: "the runner is stopped")) }
            return
        }
        desk.assumeIsolated { $0.process(inputs) }
    }
}
