/// What a runner reports of an attempt. Reports may come late, twice, or out of order; the core sorts that out.
public enum Observation: Sendable, Hashable {
    /// It is where workers fetch it from, safely. From runners whose queues are elsewhere.
    case queued(at: Timestamp)
    /// Why it does not move although nothing is wrong with it, for people; empty when that is over.
    case waiting(reason: String)
    /// A worker has begun it. Again by another one, if a broker has given it to that.
    case started(at: Timestamp, worker: String)
    /// Which worker has run it, of one that was over before anybody saw it begin.
    case ran(worker: String)
    /// It told how far it is.
    case progress(ProgressReport)
    /// Its worker will run it again under the same id; `retries` counts those repetitions, from 1.
    case retrying(retries: Int, Failure)
    /// It ended well. `result` nil means that it returned nothing and its first argument is to be passed on.
    case succeeded(result: JSON?, at: Timestamp)
    /// It ended badly, and nothing of it runs any more.
    case failed(Failure, at: Timestamp)
    /// It was stopped, or will never begin; nothing of it runs any more.
    case revoked(detail: String, at: Timestamp)
    /// It ended without a trace, or was never there: nobody holds it, and nothing of it runs any more. One that never
    /// began is run again under a new id, a few times; for any other it is a failure that may be repeated, also for one of
    /// which nobody can say whether it began.
    case lost(detail: String, at: Timestamp, mayHaveBegun: Bool = false)

    /// Whether it says that the attempt is over.
    public var isEnd: Bool {
        switch self {
        case .queued, .waiting, .started, .ran, .progress, .retrying: false
        case .succeeded, .failed, .revoked, .lost: true
        }
    }
}
