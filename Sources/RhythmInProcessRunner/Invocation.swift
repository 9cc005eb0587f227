public import RhythmCore
import Synchronization

/// What a registered closure gets: which attempt it is, with what arguments, and a way to report.
public struct Invocation: Sendable {
    /// The attempt as the engine dispatched it.
    public let dispatch: Dispatch
    let flag: RevokeFlag
    let reportProgress: @Sendable (ProgressReport) -> Void

    /// Positional arguments: a JSON array.
    public var args: JSON { dispatch.args }

    /// Keyword arguments: a JSON object with `workflow_id`, `step` and `app_id` in it. Made anew each time.
    public var kwargs: JSON { dispatch.injectedKwargs }

    /// The one positional argument, or nil if there is none: what the step before returned.
    public var argument: JSON? { dispatch.args.firstElement }

    /// Whether the attempt was asked to stop. The task of an asynchronous closure is cancelled as well; a synchronous
    /// one that runs long has to look here.
    public var isRevoked: Bool { flag.isRaised }

    /// Tells how far it is; the latest report counts. Any thread.
    public func report(_ progress: ProgressReport) { reportProgress(progress) }
}

/// Whether an attempt was asked to stop; raised once, read from any thread.
final class RevokeFlag: Sendable {
    private let raised = Atomic(false)

    var isRaised: Bool { raised.load(ordering: .acquiring) }

    func raise() { raised.store(true, ordering: .releasing) }
}
