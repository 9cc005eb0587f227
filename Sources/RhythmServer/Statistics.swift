import RhythmAuth
import RhythmCore

/// What a server counts. Lives on its lane, so counting is an addition; everything that is looked at less often than it
/// happens is computed when it is looked at.
struct Statistics {
    /// Entry i of a call's durations counts those under 2^i microseconds, the last one the rest: up to 8 s.
    static let durationBuckets = 25
    private static let codes = 17

    var connectionsAccepted: UInt64 = 0
    /// Closed at once, because there are too many.
    var connectionsRefused: UInt64 = 0
    /// By why, where the server decided it.
    var hangUps: [String: UInt64] = [:]
    /// Accepting stopped for lack of descriptors.
    var descriptorShortages: UInt64 = 0
    /// Frames that could not be read, or asked for an unknown call.
    var framesRefused: UInt64 = 0
    var pingsSent: UInt64 = 0
    var watchesAged: UInt64 = 0
    /// Frames on watches and logs.
    var eventsSent: UInt64 = 0
    /// Of connections that are closed.
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0

    private var ended = [UInt64](repeating: 0, count: CallName.allCases.count * Self.codes)
    private var durations = [UInt64](repeating: 0, count: CallName.allCases.count * Self.durationBuckets)
    private var totals = [UInt64](repeating: 0, count: CallName.allCases.count)

    /// A call has ended.
    mutating func count(_ call: CallName, code: RhythmError.Code, microseconds: UInt64) {
        let index = call.index
        ended[index * Self.codes + Int(code.rawValue)] += 1
        let bucket = min(UInt64.bitWidth - microseconds.leadingZeroBitCount, Self.durationBuckets - 1)
        durations[index * Self.durationBuckets + bucket] += 1
        totals[index] += microseconds
    }

    func ended(_ call: CallName) -> [UInt32: UInt64] {
        var counts: [UInt32: UInt64] = [:]
        for code in 0..<Self.codes where ended[call.index * Self.codes + code] > 0 {
            counts[UInt32(code)] = ended[call.index * Self.codes + code]
        }
        return counts
    }

    func durations(_ call: CallName) -> [UInt64] {
        Array(durations[call.index * Self.durationBuckets..<(call.index + 1) * Self.durationBuckets])
    }

    func totalMicroseconds(_ call: CallName) -> UInt64 { totals[call.index] }
}
