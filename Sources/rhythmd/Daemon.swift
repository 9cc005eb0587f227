import CRhythmShims
@preconcurrency import Dispatch
import Foundation
import Logging
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmPeers
import RhythmServer
import RhythmWire
import Synchronization

/// Wires store, runner, engine and server together, and takes them down in the right order.
struct Daemon {
    /// The version of this program.
    static let version = "0.1.0"

    private let settings: Settings

    init(_ settings: Settings) { self.settings = settings }

    /// Runs until SIGTERM or SIGINT.
    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let (format, level) = (settings.operation.logFormat, settings.logLevel)
        LoggingSystem.bootstrap { format.handler(label: $0, level: level) }
        let logger = Logger(label: "rhythmd")
        let reloads = ReloadSignals()
        var files = SecurityFiles(settings.security)
        let security = try files.read()
        let filesRead = files
        try makeDirectory(settings.data)
        if settings.backends.celery == nil { try makeDirectory(settings.tasks) }
        let signals = TerminationSignals()

        let serverID = try serverID()
        let backends = Backends(settings: settings.backends, serverID: serverID)
        let store = try backends.openStore()
        let runner = try backends.makeRunner(local: runnerConfiguration)
        let engine = EngineService(store: store, runner: runner, logger: Logger(label: "rhythm.engine"))
        try await engine.start()
        let peers = try backends.peers(of: engine)

        var configuration = serverConfiguration(serverID)
        configuration.runners = [backends.runnerName]
        configuration.security = security
        settings.limits.apply(to: &configuration)
        let server = Server(engine: engine, configuration: configuration, logger: Logger(label: "rhythm.server"))
        let endpoints = try await server.start()
        let metrics = try await startMetrics(of: server)
        defer { metrics?.cancel() }
        try publish(endpoints)
        warnOfOpenDoors(endpoints, logger)
        let reloading = Task { await reload(filesRead, server, on: reloads, logger) }
        defer { reloading.cancel() }
        logger.notice(
            "rhythmd \(Self.version) is ready",
            metadata: [
                "listen": "\(endpoints.map(\.description).joined(separator: " "))", "data": "\(settings.data)",
                "store": "\(backends.storeName)", "runner": "\(backends.runnerName)", "active": "\(engine.activeCount)",
            ])

        await signals.first()
        logger.notice("stopping: open calls have \(settings.drainGrace), running steps go on")
        await server.drain(grace: settings.drainGrace)
        await engine.stop()
        await runner.finish(within: .seconds(1))
        peers?.close()
        try? FileManager.default.removeItem(atPath: endpointsFile)
        logger.notice("stopped")
    }

    /// Reads the security files again whenever SIGHUP says so.
    private func reload(
        _ filesRead: SecurityFiles, _ server: Server, on signals: ReloadSignals, _ logger: Logger
    ) async {
        var files = filesRead
        for await _ in signals.stream {
            let (security, failures) = files.reread()
            for failure in failures { logger.error("reload: \(failure); what was read before stays in force") }
            await server.replace(security)
            logger.notice("reloaded", metadata: ["failures": "\(failures.count)"])
        }
    }

    private func serverConfiguration(_ serverID: String) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.endpoints = settings.listen
        configuration.version = Self.version
        configuration.serverID = serverID
        configuration.epoch = UInt64(Date().timeIntervalSince1970 * 1_000_000)
        configuration.maxConnectionAge = settings.operation.maxConnectionAge
        configuration.maxWatchAge = settings.operation.maxWatchAge
        configuration.ageGrace = settings.drainGrace
        return configuration
    }

    /// Serves metrics over HTTP, if that is wanted.
    private func startMetrics(of server: Server) async throws -> Task<Void, Never>? {
        guard let endpoint = settings.operation.metrics else { return nil }
        let logger = Logger(label: "rhythmd")
        let (task, address) = try await MetricsEndpoint(endpoint, server: server, logger: logger).start()
        logger.notice("metrics can be read", metadata: ["url": "http://\(address)/metrics"])
        return task
    }

    private func warnOfOpenDoors(_ endpoints: [Endpoint], _ logger: Logger) {
        for case .tcp(let host, _) in endpoints where rhythm_is_loopback(host) == 0 {
            logger.warning(
                settings.security.tokens == nil
                    ? "anybody who reaches \(host) may do everything (--insecure)"
                    : "tokens cross the network unencrypted on \(host); use tls://")
        }
    }

    private func runnerConfiguration() throws -> LocalRunnerConfiguration {
        let beside = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let supervisor =
            settings.supervisor ?? URL(fileURLWithPath: beside).deletingLastPathComponent().path + "/rhythm-supervisor"
        guard FileManager.default.isExecutableFile(atPath: supervisor) else {
            throw SettingsError(
                "supervisor: '\(supervisor)' is not an executable file; it is built with rhythmd and belongs beside it,"
                    + " or give --supervisor PATH")
        }
        var configuration = LocalRunnerConfiguration(
            tasksDirectory: settings.tasks, dataDirectory: settings.data + "/runner", supervisorPath: supervisor)
        configuration.queues = settings.queues
        configuration.defaultConcurrency = settings.defaultConcurrency
        configuration.grace = settings.taskGrace
        return configuration
    }

    private func makeDirectory(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw SettingsError("cannot make the directory '\(path)': \(error.localizedDescription)")
        }
    }

    /// Names this data directory; made by the first start.
    private func serverID() throws -> String {
        let path = settings.data + "/server-id"
        if let known = try? String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines),
            !known.isEmpty
        {
            return known
        }
        let fresh = RandomUUID.make()
        try Data((fresh + "\n").utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        return fresh
    }

    /// Where it listens, one address a line, for whoever let the system choose the port.
    private var endpointsFile: String { settings.data + "/endpoints" }

    private func publish(_ endpoints: [Endpoint]) throws {
        let text = endpoints.map { $0.description + "\n" }.joined()
        try Data(text.utf8).write(to: URL(fileURLWithPath: endpointsFile), options: .atomic)
    }
}

/// SIGTERM and SIGINT as something to wait for. Another one, a second or more after the first, ends the process at once:
/// one and the same wish often arrives twice, to the process and to its group.
private final class TerminationSignals: Sendable {
    private let stream: AsyncStream<Void>

    init() {
        let queue = DispatchQueue(label: "rhythmd.signals")
        let firstAt = Mutex<UInt64?>(nil)
        stream = AsyncStream { continuation in
            let sources = [SIGTERM, SIGINT].map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler {
                    let now = DispatchTime.now().uptimeNanoseconds
                    let isImpatient = firstAt.withLock { first in
                        if let first { return now - first > 1_000_000_000 }
                        first = now
                        return false
                    }
                    if isImpatient { _exit(1) }
                    continuation.yield()
                }
                source.activate()
                return source
            }
            // Keeps the sources for as long as somebody waits, which is the life of the process.
            continuation.onTermination = { _ in for source in sources { source.cancel() } }
        }
    }

    func first() async {
        for await _ in stream { return }
    }
}
