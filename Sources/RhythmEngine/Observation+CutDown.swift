import RhythmCore

extension Observation {
    /// The same report as small as it can be: an attempt whose outcome is too large to be stored has failed.
    func cutDown(because reason: String) -> Observation {
        func short(_ text: String) -> String { String(text.prefix(500)) }
        switch self {
        case .succeeded(_?, let at):
            return .failed(
                Failure(
                    type: "ResultTooLarge", message: short("the result cannot be kept: \(reason)"), isRetriable: false),
                at: at)
        case .failed(let failure, let at):
            return .failed(
                Failure(
                    type: short(failure.type), message: short(failure.message), module: short(failure.module),
                    isRetriable: failure.isRetriable), at: at)
        case .retrying(let retries, let failure):
            return .retrying(retries: retries, Failure(type: short(failure.type), message: short(failure.message)))
        case .revoked(let detail, let at): return .revoked(detail: short(detail), at: at)
        case .lost(let detail, let at, let mayHaveBegun):
            return .lost(detail: short(detail), at: at, mayHaveBegun: mayHaveBegun)
        case .succeeded(nil, _), .queued, .waiting, .started, .ran, .progress: return self
        }
    }
}
