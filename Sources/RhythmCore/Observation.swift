/// What a runner reports of an attempt. Reports may come late, twice, or out of order; the core sorts that out.
public enum Observation: Sendable, Hashable {
    /// A worker has begun it.
    case started(at: Timestamp, worker: String)
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

    /// Whether it says that the attempt is over.
    public var isEnd: Bool {
        switch self {
        case .started, .progress, .retrying: false
        case .succeeded, .failed, .revoked: true
        }
    }
}
