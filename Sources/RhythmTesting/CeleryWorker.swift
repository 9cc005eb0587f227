package import Glibc
import Testing

/// A real, unmodified Celery worker that runs the application in `Tests/CeleryApp`.
///
/// Its Python environment is the one that `RHYTHM_PYTHON_CELERY52` (or `56`, `57`) names, else `python/celery52` in the
/// build folder, where `.ci/install-python` makes it. It ends with the test
/// process at the latest. Any thread.
package final class CeleryWorker: Sendable {
    package enum Version: String, CaseIterable, Sendable {
        /// What the original library pins.
        case celery52
        /// A worker that is told of a revoke writes REVOKED over whatever the document says.
        case celery56
        case celery57

        /// For what does not depend on how a version treats revokes and lost processes.
        package static let oldestAndNewest: [Version] = [.celery52, .celery57]
    }

    /// How a worker is set up. `broker` and `backend` are addresses as Celery reads them.
    package struct Configuration: Sendable {
        package var version: Version
        package var broker: String
        package var backend: String
        package var queues: [String]
        package var name: String
        package var concurrency = 1
        /// Where the tasks leave their marks and look for their gates: ``RunnerMarks/directory``.
        package var marks: String?
        /// What `app.py` reads, without `RHYTHM_APP_`: `ACKS_LATE`, `EVENTS`, `MAX_PRIORITY`, ...
        package var settings: [String: String] = [:]
        /// Further arguments of `celery worker`.
        package var arguments: [String] = []
        /// Further variables of its environment.
        package var environment: [String: String] = [:]
        /// The module in `Tests/CeleryApp` that holds its application.
        package var application = "app"

        package init(_ version: Version, broker: String, backend: String, queues: [String], name: String = "w1") {
            self.version = version
            self.broker = broker
            self.backend = backend
            self.queues = queues
            self.name = name
        }

        /// One of somebody else's on the same virtual host: it speaks pickle, answers no remote control, and has a queue of
        /// its own.
        package static func foreign(broker: String, name: String) -> Configuration {
            var configuration = Configuration(.celery57, broker: broker, backend: "", queues: ["foreign"], name: name)
            configuration.application = "foreign"
            return configuration
        }
    }

    /// As it calls itself in events, replies and result documents.
    package let nodeName: String
    private let child: Processes.Child
    private let output: String
    private let processes: ProcessGuard

    /// Starts a worker and waits until it says that it is ready.
    package init(_ configuration: Configuration) async throws {
        processes = try ProcessGuard.shared.get()
        let folder = try processes.makeFolder("celery")
        output = folder + "/output.log"
        nodeName = "\(configuration.name)@localhost"
        child = try Processes.Child(
            Self.python(configuration.version), Self.arguments(configuration, nodeName),
            environment: Self.environment(configuration, folder), output: output)
        try processes.watch(child)
        try await waitUntil("the worker is not ready: \(log)", seconds: 90) {
            child.poll() != nil || log.contains("\(nodeName) ready.")
        }
        guard child.poll() == nil else { throw Processes.CannotStart(description: "the worker ended: \(log)") }
    }

    deinit { end() }

    /// The process that talks to the broker; those that run tasks are its children.
    package var pid: pid_t { child.pid }

    /// Those that run tasks now; empty for a pool without processes.
    package var poolProcesses: [pid_t] { child.poll() == nil ? Processes.children(of: child.pid) : [] }

    package var hasEnded: Bool { child.poll() != nil }

    /// What it has printed last: for failure messages.
    package var log: String { String(ProcessGuard.read(output).suffix(4000)) }

    /// Lets running tasks end, then ends it.
    package func stop(within seconds: Double = 60) async throws {
        child.signal(SIGTERM)
        _ = try await child.end(within: seconds)
        end()
    }

    /// Ends it as its operator would who does not want to wait (SIGQUIT): running tasks are given up.
    package func stopCold() async throws {
        child.signal(SIGQUIT)
        _ = try await child.end(within: 30)
        end()
    }

    /// Ends its main process as a power cut would; its pool notices and ends as well.
    package func kill() async throws {
        child.signal(SIGKILL)
        _ = try await child.end(within: 30)
        end()
    }

    /// Makes it keep still, with everything open, until ``resume()``.
    package func suspend() { if child.poll() == nil { Processes.suspend(group: child.pid) } }

    package func resume() { if child.poll() == nil { Glibc.kill(-child.pid, SIGCONT) } }

    private func end() {
        Glibc.kill(-child.pid, SIGKILL)
        processes.forget(child)
    }
}

extension CeleryWorker {
    /// Whether its environment has been made.
    package static func isInstalled(_ version: Version) -> Bool { access(pythonPath(version), X_OK) == 0 }

    private static func pythonPath(_ version: Version) -> String {
        let given = getenv("RHYTHM_PYTHON_" + version.rawValue.uppercased()).map { String(cString: $0) }
        return (given ?? "\(Processes.buildFolder)/../../python/\(version.rawValue)") + "/bin/python"
    }

    /// The interpreter of an environment; an error that says how to make it if it is missing.
    package static func python(_ version: Version) throws -> String {
        guard isInstalled(version) else {
            throw Processes.CannotStart(
                description: "no \(pythonPath(version)): run .ci/install-python (make python)")
        }
        return pythonPath(version)
    }

    private static func arguments(_ configuration: Configuration, _ nodeName: String) -> [String] {
        let application = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return [
            "-m", "celery", "--app", configuration.application, "--workdir", "/\(application)/Tests/CeleryApp",
            "worker", "--loglevel",
            "info",
            "--hostname", nodeName, "--queues", configuration.queues.joined(separator: ","), "--concurrency",
            String(configuration.concurrency),
        ] + configuration.arguments
    }

    private static func environment(_ configuration: Configuration, _ folder: String) -> [String: String] {
        var environment = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8", "TMPDIR": folder,
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "C_FORCE_ROOT": "1",
            "RHYTHM_APP_BROKER": configuration.broker, "RHYTHM_APP_BACKEND": configuration.backend,
        ]
        if let marks = configuration.marks { environment["RHYTHM_APP_MARKS"] = marks }
        for (name, value) in configuration.settings { environment["RHYTHM_APP_" + name] = value }
        return environment.merging(configuration.environment) { $1 }
    }
}
