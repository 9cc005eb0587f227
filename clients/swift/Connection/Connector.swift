import CRhythmShims
import Dispatch
import RhythmWire

/// Makes connections. Looking a name up and connecting block, so both happen away from the lane.
enum Connector {
    /// A connected descriptor, or why there is none.
    typealias Outcome = Result<Int32, Reason>

    /// Why no connection could be made, for people.
    struct Reason: Error {
        let text: String
    }

    /// Connects and calls `done` on any thread.
    static func connect(to endpoint: Endpoint, timeout: Duration, done: @escaping @Sendable (Outcome) -> Void) {
        let milliseconds = Int32(clamping: max(1, timeout.wholeNanoseconds / 1_000_000))
        DispatchQueue.global(qos: .userInitiated).async { done(connect(to: endpoint, milliseconds: milliseconds)) }
    }

    private static func connect(to endpoint: Endpoint, milliseconds: Int32) -> Outcome {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { error in
            error.initialize(repeating: 0)
            let descriptor =
                switch endpoint {
                case .tcp(let host, let port), .tls(let host, let port):
                    rhythm_connect_tcp(host, port, milliseconds, error.baseAddress, error.count)
                case .unix(let path): rhythm_connect_unix(path, milliseconds, error.baseAddress, error.count)
                }
            guard descriptor < 0 else { return .success(descriptor) }
            let bytes = error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return .failure(Reason(text: String(decoding: bytes, as: UTF8.self)))
        }
    }
}
