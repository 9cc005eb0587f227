import CRhythmShims
import Foundation
import Logging
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmPeers
import RhythmServer
import RhythmStoreMongo
import RhythmWire

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
        let data = try DataFolder(settings.data)
        // Of a server that was killed.
        data.withdrawEndpoints()
        if settings.backends.celery == nil { try DataFolder.make(settings.tasks) }
        let signals = TerminationSignals()

        let serverID = try data.serverID()
        var backends = Backends(
            settings: settings.backends, serverID: serverID, incarnation: ServerIncarnation(home: data.identity))
        backends.allowsOtherSettings = settings.operation.allowsDifferentSettings
        var configuration = serverConfiguration(serverID)
        configuration.runners = [backends.runnerName]
        configuration.security = security
        settings.limits.apply(to: &configuration)
        // First of all, what may fail because somebody else is there. Who cannot be reached must not take on work.
        let server = Server(configuration: configuration, logger: Logger(label: "rhythm.server"))
        let endpoints = try await server.listen()
        backends.properties = ServerProperties(
            addresses: configuration.addresses(listening: endpoints), version: Self.version, host: configuration.host,
            startedAt: Timestamp(microseconds: Int64(clamping: configuration.epoch)))
        do {
            try await serve(server, on: endpoints, backends, data, (filesRead, reloads), signals, logger)
        } catch {
            await server.drain(grace: .zero)
            throw error
        }
    }

    /// Begins to work and goes on until it is told to stop.
    private func serve(
        _ server: Server, on endpoints: [Endpoint], _ backends: Backends, _ data: DataFolder,
        _ security: (files: SecurityFiles, reloads: ReloadSignals), _ signals: TerminationSignals, _ logger: Logger
    ) async throws {
        let metrics = try await startMetrics(of: server)
        defer { metrics?.cancel() }
        warnOfOpenDoors(endpoints, logger)
        let opening = Opening(backends: backends, local: runnerConfiguration, patience: settings.operation.startTimeout)
        guard let (engine, runner) = try await opening.run(for: server, until: { signals.isAsked }, logger) else {
            logger.notice("stopped before it was ready")
            await server.drain(grace: .zero)
            return
        }
        signals.startIsOver()
        let peers: PeerExchange?
        do {
            peers = try backends.peers(of: engine)
            await server.begin(engine)
            try data.publish(endpoints)
        } catch {
            await engine.stop()
            throw error
        }
        let reloading = Task { await reload(security.files, server, on: security.reloads, logger) }
        defer { reloading.cancel() }
        let comparing = engine.directory.map { directory in
            Task {
                await SettingsWatch(directory: directory, serverID: backends.serverID, logger: logger).run(
                    every: .seconds(15))
            }
        }
        defer { comparing?.cancel() }
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
        data.withdrawEndpoints()
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
        configuration.advertised = settings.advertise.map(\.description)
        configuration.version = Self.version
        configuration.serverID = serverID
        configuration.host = ProcessInfo.processInfo.hostName
        configuration.epoch = UInt64(Date().timeIntervalSince1970 * 1_000_000)
        configuration.maxConnectionAge = settings.operation.maxConnectionAge
        configuration.maxWatchAge = settings.operation.maxWatchAge
        configuration.ageGrace = settings.drainGrace
        configuration.allowsStaleReads = settings.operation.allowsStaleReads
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
}
