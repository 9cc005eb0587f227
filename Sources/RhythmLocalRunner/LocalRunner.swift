import CRhythmShims
import Dispatch
import Glibc
public import Logging
public import RhythmCore
public import RhythmEngine

/// Runs attempts as processes of this machine: the executable files of one directory.
///
/// Each attempt gets a supervisor process that outlives this one, so a crash or an upgrade of the server costs running
/// steps nothing: the next runner with the same data directory finds them again. All file work happens on a queue of
/// its own; no function here blocks.
public final class LocalRunner: TaskRunner {
    let lane = DispatchQueue(label: "rhythm.local-runner")
    private let desk: AttemptDesk
    let places: Places
    let configuration: LocalRunnerConfiguration
    private let wakeUps: WakeUps
    private let time = MachineTime()

    /// Takes the data directory and makes what it needs there. Nothing runs before ``start(outstanding:report:)``.
    ///
    /// - Throws: ``LocalRunnerError`` if a directory cannot be used or another runner works in it.
    public init(
        _ configuration: LocalRunnerConfiguration, logger: Logger = Logger(label: "rhythm.local-runner")
    ) throws(LocalRunnerError) {
        var configuration = configuration
        configuration.tasksDirectory = try Self.absolute(configuration.tasksDirectory)
        configuration.supervisorPath = try Self.absolute(configuration.supervisorPath)
        if let directory = configuration.workingDirectory {
            configuration.workingDirectory = try Self.absolute(directory)
        }
        guard access(configuration.supervisorPath, X_OK) == 0 else {
            throw Files.failure("execute", configuration.supervisorPath)
        }
        try Files.makeDirectory(configuration.dataDirectory)
        self.configuration = configuration
        places = Places(root: try Self.absolute(configuration.dataDirectory))
        try Files.makeDirectory(places.attempts)
        try Files.makeDirectory(places.logs)
        let lock = try Self.takeLock(places.lock)
        let desk = AttemptDesk(configuration, places: places, lane: lane, logger: logger)
        self.desk = desk
        do throws(LocalRunnerError) {
            wakeUps = try WakeUps(desk: desk, lock: lock)
        } catch {
            close(lock)
            throw error
        }
    }

    deinit { stop() }

    // MARK: TaskRunner

    public func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        lane.async { [desk, wakeUps, time] in
            desk.start(outstanding: outstanding) { report(time.correct($0)) }
            wakeUps.begin()
        }
    }

    public func keepTime(_ now: @escaping @Sendable () -> Timestamp) { time.follow(now) }

    public func perform(_ effects: [Effect]) {
        lane.async { [desk] in desk.perform(effects) }
    }

    public func purge(_ tasks: [TaskID]) {
        lane.async { [places] in
            for id in tasks where places.isValid(id) {
                AttemptDirectory(path: places.keptLogs(id)).remove()
            }
        }
    }

    public func stop() {
        lane.async { [desk, wakeUps] in
            desk.stop()
            wakeUps.end()
        }
    }

    public var logs: (any LogSource)? { LocalLogs(places: places) }

    // MARK: Set-up

    private static func absolute(_ path: String) throws(LocalRunnerError) -> String {
        guard let resolved = realpath(path, nil) else { throw Files.failure("find", path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// One runner at a time. A predecessor that was told to stop may need a moment.
    private static func takeLock(_ path: String) throws(LocalRunnerError) -> Int32 {
        for attempt in 0... {
            let lock = rhythm_lock_take(path)
            if lock >= 0 { return lock }
            guard errno == EWOULDBLOCK else { break }
            guard attempt < 200 else {
                throw LocalRunnerError("another server works in the directory of \(path)")
            }
            usleep(10_000)
        }
        throw Files.failure("lock", path)
    }
}
