import Foundation
import Glibc
import Synchronization

/// A real server of MongoDB's protocol (SecantusDB, a Python package) for tests, with a folder and a port of its own.
///
/// Its program is `bin/secantusd-py` of the virtual environment that `RHYTHM_PYTHON_MONGO` names, else of
/// `python/mongo` in the build folder. It is stopped when this is released, or at the latest when the test process
/// ends, even if that is killed.
package final class MongoServer: Sendable {
    /// What it shows itself as.
    package enum Topology: Sendable, Hashable {
        /// Without change streams and transactions, and with an oplog that stays small, so that writes keep their
        /// speed.
        case standalone
        /// A replica set of one member, with change streams.
        case replicaSet
    }

    /// Where it keeps its data and its log.
    package let folder: String
    /// The port of 127.0.0.1 where it listens.
    package let port: Int
    private let arguments: [String]
    private let child = Mutex<Processes.Child?>(nil)

    /// Starts a server, with an empty database unless told otherwise, and waits until it listens.
    ///
    /// - Parameter folder: that of another server, which has ended, to go on with its data.
    package init(_ topology: Topology, arguments: [String] = [], folder given: String? = nil) throws {
        folder = try given ?? ProcessGuard.shared.get().makeFolder("mongo")
        port = try freePort()
        let flat = ["--standalone", "--oplog-max-entries", "100", "--oplog-retention-seconds", "5"]
        self.arguments =
            ["--port", "\(port)", "--storage-path", "\(folder)/data", "--cache-size", "64M", "--log-level", "WARNING"]
            + (topology == .standalone ? flat : []) + arguments
        try start()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// `mongodb://127.0.0.1:PORT`, with a database and options if they are given.
    package func address(_ database: String = "", options: String = "") -> String {
        "mongodb://127.0.0.1:\(port)/\(database)\(options.isEmpty ? "" : "?")\(options)"
    }

    /// Starts it again on the same data; it must have ended.
    package func start() throws {
        let program = try Self.program()
        try child.withLock { child in
            precondition(child == nil, "the server on port \(port) runs already")
            let started = try Processes.Child(
                program, arguments, environment: ["PATH": "/usr/bin:/bin", "HOME": folder], output: log)
            child = started
            try ProcessGuard.shared.get().watch(started)
        }
        try waitUntilItListens()
    }

    /// Ends it with SIGKILL and waits until it is gone.
    package func kill() {
        child.withLock { child in
            guard let running = child else { return }
            running.signal(SIGKILL)
            while running.poll() == nil { usleep(1_000) }
            try? ProcessGuard.shared.get().forget(running)
            child = nil
        }
    }

    /// Stops it from answering without ending it, as a network that drops everything would.
    package func freeze() {
        child.withLock { child in
            if let child, child.poll() == nil { Processes.suspend(group: child.pid) }
        }
    }

    /// Lets it answer again.
    package func thaw() {
        child.withLock { child in
            if let child, child.poll() == nil { Glibc.kill(-child.pid, SIGCONT) }
        }
    }

    private var log: String { "\(folder)/server.log" }

    private func waitUntilItListens() throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if acceptsConnections(port: port) { return }
            if let end = child.withLock({ $0?.poll() }) {
                throw Trouble(description: "the database server ended with \(end); see \(log)")
            }
            usleep(5_000)
        }
        throw Trouble(description: "the database server does not listen after 60 s; see \(log)")
    }

    private static func program() throws -> String {
        let given = getenv("RHYTHM_PYTHON_MONGO").map { String(cString: $0) }
        let program = (given ?? "\(Processes.buildFolder)/../../python/mongo") + "/bin/secantusd-py"
        guard access(program, X_OK) == 0 else {
            throw Trouble(
                description:
                    "\(program) is missing: make a virtual environment with SecantusDB there (make deps does), "
                    + "or name one in RHYTHM_PYTHON_MONGO")
        }
        return program
    }

    /// Why there is no server.
    package struct Trouble: Error, CustomStringConvertible {
        package let description: String
    }
}
