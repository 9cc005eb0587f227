import Logging
import RhythmAuth
import RhythmCore

/// Counts and logs calls as they end. Gathers those of one turn of the lane, so that a turn costs one look at the clock
/// however many calls it answers, and a call's time lasts until its answer was written.
///
/// Every call is logged at debug level. At info level only those are that failed for a reason on the server's side:
/// what clients do wrong is theirs to know, and theirs to repeat a thousand times a second.
struct CallJournal {
    private struct Ended {
        let name: CallName
        let code: RhythmError.Code
        /// Uptime in nanoseconds.
        let beganAt: UInt64
    }

    /// What is needed besides to log it.
    private struct Line {
        /// Of the call, among those of this turn.
        let index: Int
        let callID: UInt64
        let peer: String
        let error: RhythmError?
    }

    private var ended: [Ended] = []
    private var lines: [Line] = []
    private var throttle: LogThrottle
    private let logger: Logger
    /// Asked once: a line that nobody reads costs nothing.
    private let logsEverything: Bool

    /// How many lines were left out.
    var linesLeftOut: UInt64 { throttle.total }

    init(logger: Logger, linesPerSecond: UInt64) {
        self.logger = logger
        throttle = LogThrottle(perSecond: linesPerSecond)
        logsEverything = logger.logLevel <= .debug
    }

    /// A call has ended; `error` is nil for an answer and a stream's normal end.
    mutating func add(_ call: Call, peer: @autoclosure () -> String, _ error: RhythmError?) {
        if logsEverything || error?.isTroubleOfTheServer == true {
            lines.append(Line(index: ended.count, callID: call.id, peer: peer(), error: error))
        }
        ended.append(Ended(name: call.name, code: error?.code ?? .ok, beganAt: call.beganAt))
    }

    /// The turn is over: everything that it answered is on its way.
    mutating func settle(into statistics: inout Statistics) {
        guard !ended.isEmpty else { return }
        let now = LaneTimers.now()
        for call in ended {
            statistics.count(call.name, code: call.code, microseconds: (now &- call.beganAt) / 1000)
        }
        for line in lines { log(line, now) }
        lines.removeAll()
        ended.removeAll(keepingCapacity: ended.capacity <= 1024)
    }

    private mutating func log(_ line: Line, _ now: UInt64) {
        let call = ended[line.index]
        let level: Logger.Level = line.error?.isTroubleOfTheServer == true ? .info : .debug
        guard logger.logLevel <= level, let leftOut = throttle.admit(at: now) else { return }
        var metadata: Logger.Metadata = [
            "call_id": .stringConvertible(line.callID), "peer": "\(line.peer)", "method": "\(call.name.rawValue)",
            "code": "\(call.code.name)", "duration_us": .stringConvertible((now &- call.beganAt) / 1000),
        ]
        if let error = line.error {
            metadata["reason"] = "\(error.reason)"
            if level >= .info { metadata["error"] = "\(error.message)" }
        }
        if leftOut > 0 { metadata["lines_left_out"] = .stringConvertible(leftOut) }
        logger.log(level: level, "call ended", metadata: metadata)
    }
}

extension RhythmError {
    /// Something that whoever runs the server should know, and neither a client's mistake nor a planned end.
    fileprivate var isTroubleOfTheServer: Bool {
        switch code {
        case .unknown, .resourceExhausted, .internal, .unavailable, .dataLoss, .deadlineExceeded:
            !Farewell.allCases.contains { $0.streamReason == reason }
        default: false
        }
    }
}
