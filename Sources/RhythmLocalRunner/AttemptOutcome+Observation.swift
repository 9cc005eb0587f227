import Glibc
import RhythmCore
import RhythmEngine

extension AttemptOutcome {
    /// How much of a wrong result goes into the message.
    private static let excerptBytes = 4096

    /// What the engine is told about the end.
    func observation(from directory: AttemptDirectory) -> Observation {
        let at = endedAt ?? .wallClock
        switch kind {
        case .exited where exit == 0: return success(from: directory, at: at)
        case .revoked where asked: return .revoked(detail: revokedDetail, at: at)
        default:
            var failure = failure
            failure.traceback = directory.lastErrors
            return .failed(failure, at: at)
        }
    }

    private var revokedDetail: String {
        if !ran { return "it was revoked before it began" }
        if let signal { return "it was ended by \(Self.name(ofSignal: signal))" }
        return "it exited with status \(exit ?? 0) after it was told to stop"
    }

    private var failure: Failure {
        switch kind {
        case .exited: Failure(type: "ExitStatus", message: "it exited with status \(exit ?? -1)")
        case .signaled:
            Failure(type: "KilledBySignal", message: "it was ended by \(Self.name(ofSignal: signal ?? 0))")
        case .revoked:
            Failure(
                type: "KilledBySignal",
                message: "its supervisor was told to stop by somebody else than the server, for instance by a shutdown")
        case .lost:
            Failure(
                type: "SupervisorLost",
                message: "its supervisor died without saying how it ended; nothing of it runs any more")
        case .execFailed: execFailure
        }
    }

    private var execFailure: Failure {
        switch (stage, errorNumber) {
        case ("exec", ENOENT):
            Failure(
                type: "TaskNotFound", message: "the task's file, or the interpreter it names, does not exist",
                isRetriable: false)
        case ("exec", _):
            Failure(type: "TaskNotExecutable", message: "it cannot be executed: \(error)", isRetriable: false)
        default: Failure(type: "AttemptSetup", message: "it could not be begun (\(stage)): \(error)")
        }
    }

    // MARK: Success

    private func success(from directory: AttemptDirectory, at: Timestamp) -> Observation {
        if result == "0" { return .succeeded(result: nil, at: at) }
        guard let line = directory.result else {
            return .failed(Failure(type: "ResultLost", message: "its result was written and is gone"), at: at)
        }
        switch result {
        case "1":
            guard let text = String(validating: line, as: UTF8.self) else {
                return .failed(Self.wrongResult("ResultFormat", "its result is not UTF-8", line), at: at)
            }
            do throws(JSONError) {
                return .succeeded(result: try Self.value(ofResultLine: text), at: at)
            } catch {
                return .failed(Self.wrongResult("ResultFormat", "its result is \(error)", line), at: at)
            }
        case "too_large":
            return .failed(Self.wrongResult("ResultTooLarge", "its result is larger than allowed", line), at: at)
        default:
            return .failed(Failure(type: "ResultLost", message: "its result could not be written to the disk"), at: at)
        }
    }

    private static func wrongResult(_ type: String, _ message: String, _ line: [UInt8]) -> Failure {
        let excerpt = String(decoding: line.prefix(excerptBytes), as: UTF8.self)
        return Failure(type: type, message: "\(message): \(excerpt)", isRetriable: false)
    }

    /// The value of the one member of a line `{"result": VALUE}`, as the text it is.
    static func value(ofResultLine line: String) throws(JSONError) -> JSON {
        let whole = try JSON(parsing: line)
        // The supervisor saw the key `result` first, so the value begins behind the first colon and, when there is no
        // other member, ends before the last brace.
        if let colon = whole.text.utf8.firstIndex(of: UInt8(ascii: ":")) {
            let inner = whole.text.utf8[whole.text.utf8.index(after: colon)...].dropLast()
            if let text = String(inner), let value = try? JSON(parsing: text) { return value }
        }
        return whole.value["result"].map { JSON($0) } ?? .null
    }

    private static func name(ofSignal number: Int32) -> String {
        "signal \(number) (\(String(cString: strsignal(number))))"
    }
}
