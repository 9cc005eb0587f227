import Glibc
import Logging
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmTesting
import Testing

/// A data directory and a tasks directory for local runners.
struct LocalPlace: RunnerPlace {
    let folder: Folder
    var marks: RunnerMarks { RunnerMarks(directory: folder.path + "/marks") }
    var attemptsOutliveRunners: Bool { true }
    var tasks: String { folder.path + "/tasks" }
    var data: String { folder.path + "/data" }

    /// Beside the program of the tests, where the package manager puts everything that it builds.
    static let supervisor: String = {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }
        let folder = path.prefix(upTo: path.lastIndex(of: UInt8(ascii: "/")) ?? 0)
        return String(decoding: folder, as: UTF8.self) + "/rhythm-supervisor"
    }()

    static func with(_ body: (LocalPlace) async throws -> Void) async throws {
        try await Folder.with { folder in
            let place = LocalPlace(folder: folder)
            for directory in [place.tasks, place.marks.directory] { mkdir(directory, 0o700) }
            for task in ContractTask.allCases { place.write(task.rawValue, script(task)) }
            try await body(place)
            // Nothing may be left of any test.
            try await waitUntil("\(place.living) are left", seconds: 60) { place.living.isEmpty }
        }
    }

    func configuration() -> LocalRunnerConfiguration {
        var configuration = LocalRunnerConfiguration(
            tasksDirectory: tasks, dataDirectory: data, supervisorPath: Self.supervisor)
        configuration.queues = ["narrow": 1, "pair": 2]
        configuration.defaultConcurrency = 8
        configuration.grace = .milliseconds(500)
        configuration.environment = ["MARKS": marks.directory]
        // Wake-ups have to do, except where a test takes them away.
        configuration.sweepInterval = .seconds(3600)
        return configuration
    }

    func makeRunner() throws -> any TaskRunner { try makeRunner { _ in } }

    func makeRunner(_ change: (inout LocalRunnerConfiguration) -> Void) throws -> any TaskRunner {
        var configuration = configuration()
        change(&configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try LocalRunner(configuration, logger: logger)
    }

    /// Makes a task of a shell script.
    func write(_ task: String, _ script: String, mode: mode_t = 0o700, interpreter: String = "/bin/bash") {
        folder.write("tasks/" + task, "#!\(interpreter)\n" + script)
        chmod(tasks + "/" + task, mode)
    }

    /// Processes whose environment names this place.
    var living: [pid_t] {
        let mark = Array("MARKS=\(marks.directory)".utf8)
        return folder.names(in: "/proc").compactMap { pid_t($0) }.filter { pid in
            guard let bytes = folder.read("/proc/\(pid)/environ") else { return false }
            return bytes.split(separator: 0).contains { $0.elementsEqual(mark) }
        }
    }

    private static let mark = "echo $RHYTHM_TASK_ID >>$MARKS/order; echo run >>$MARKS/$RHYTHM_TASK_ID.runs\n"

    private static func script(_ task: ContractTask) -> String {
        switch task {
        case .echo: #"read -r line; printf '{"result":[%s]}\n' "$line" >&3"#
        case .pass: mark
        case .fail: mark + "echo it does not want to >&2; exit 3"
        case .object: mark + #"echo '{"result":{"a":1}}' >&3"#
        case .hold:
            mark + "while [ ! -e $MARKS/$RHYTHM_TASK_ID.gate ]; do sleep 0.01; done\n"
                + #"echo '{"result":["held"]}' >&3"#
        case .stubborn:
            #"trap 'echo "{\"result\":[\"anyway\"]}" >&3; exit 0' TERM"# + "\n" + mark
                + "while :; do sleep 0.01; done"
        case .count:
            mark + "for i in 1 2 3; do\n"
                + #"echo "{\"progress\":{\"name\":\"counting\",\"done\":$i,\"total\":3,\"units\":\"units\"}}" >&3"#
                + "\ndone\n" + #"echo '{"result":[]}' >&3"#
        case .brief: mark + "sleep 0.05; echo finish >>$MARKS/$RHYTHM_TASK_ID.finishes"
        }
    }
}
