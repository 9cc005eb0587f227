import Glibc
import RhythmCore

/// What the supervisor of one attempt is told: the contents of the files `spec` and `invocation`.
struct AttemptSpec {
    let dispatch: Dispatch
    let queue: String
    let executable: String
    let notifyPath: String
    let configuration: LocalRunnerConfiguration

    /// `key=value` records, each ended by NUL. `queue` is for the runner itself, when it finds the attempt again.
    var specBytes: [UInt8] {
        var records = [
            "exec=\(executable)",
            "cwd=\(configuration.workingDirectory ?? configuration.tasksDirectory)",
            "grace_ms=\(configuration.grace.wholeMilliseconds)",
            "log_limit=\(configuration.logSegmentBytes)",
            "result_limit=\(configuration.resultBytes)",
            "notify=\(notifyPath)",
            "queue=\(queue)",
        ]
        records += environment.map { "env=\($0.name)=\($0.value)" }
        return records.flatMap { record in record.utf8.filter { $0 != 0 } + [0] }
    }

    /// What the task reads from its standard input.
    var invocationBytes: [UInt8] {
        let head = JSONValue.object([
            .init("workflow_id", .string(dispatch.workflowID.rawValue)), .init("step", .string(dispatch.step)),
            .init("app_id", .string(dispatch.appID)), .init("task_id", .string(dispatch.taskID.rawValue)),
            .init("task", .string(dispatch.task)), .init("attempt", .integer(dispatch.attempt)),
        ])
        // Arguments go through as the text they came in.
        let members = head.compactText.dropLast()
        let kwargs = configuration.isUninjected(dispatch.task) ? dispatch.kwargs : dispatch.injectedKwargs
        return Array("\(members),\"args\":\(dispatch.args.text),\"kwargs\":\(kwargs.text)}\n".utf8)
    }

    private var environment: [(name: String, value: String)] {
        var all = Self.baseEnvironment.merging(configuration.environment) { $1 }
        all["RHYTHM_WORKFLOW_ID"] = dispatch.workflowID.rawValue
        all["RHYTHM_STEP"] = dispatch.step
        all["RHYTHM_APP_ID"] = dispatch.appID
        all["RHYTHM_TASK_ID"] = dispatch.taskID.rawValue
        all["RHYTHM_TASK"] = dispatch.task
        all["RHYTHM_ATTEMPT"] = String(dispatch.attempt)
        return all.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Only these of the server's own variables reach a task: anything else might be a secret.
    private static let baseEnvironment: [String: String] = {
        var base = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/"]
        for name in ["PATH", "HOME", "LANG", "TZ", "USER"] {
            if let value = getenv(name) { base[name] = String(cString: value) }
        }
        return base
    }()

    /// The queue named in a spec that was written before.
    static func queue(inSpec bytes: [UInt8]) -> String? {
        let prefix = Array("queue=".utf8)
        return bytes.split(separator: 0).first { $0.starts(with: prefix) }
            .map { String(decoding: $0.dropFirst(prefix.count), as: UTF8.self) }
    }
}
