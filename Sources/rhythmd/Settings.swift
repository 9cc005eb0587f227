import Logging
import RhythmCore
import RhythmWire

/// Everything that can be chosen when the server is started, wherever it was chosen.
///
/// A flag wins over an environment variable, which wins over the configuration file, which wins over the default.
struct Settings: Equatable {
    /// Where to listen.
    var listen: [Endpoint]
    /// Where clients reach it; empty for where it listens.
    var advertise: [Endpoint] = []
    /// Where everything is kept: the database, attempts, logs.
    var data: String
    /// Where the tasks are.
    var tasks: String
    /// How many attempts of each queue run at once.
    var queues: [String: Int]
    /// The same for queues that are not named.
    var defaultConcurrency: Int
    /// Listen also where others than this machine can connect, without authentication.
    var insecure: Bool
    /// Who may connect, and how he is recognised.
    var security: SecuritySettings
    /// What is logged.
    var logLevel: Logger.Level
    /// How long open calls have when the server is told to stop.
    var drainGrace: Duration
    /// How long a revoked task has between SIGTERM and SIGKILL.
    var taskGrace: Duration
    /// The `rhythm-supervisor` program; nil for the one beside this program.
    var supervisor: String?
    /// Where workflows are kept, and who runs their steps.
    var backends: BackendSettings
    /// How it is looked after while it runs.
    var operation = OperationSettings()
    /// What a peer may cost.
    var limits = LimitSettings()
}

/// Some of the settings: what one source says. Nil where it says nothing.
struct PartialSettings: Equatable {
    var listen: [String]?
    var advertise: [String]?
    var data: String?
    var tasks: String?
    var queues: [String: Int]?
    var defaultConcurrency: Int?
    var insecure: Bool?
    var tokens: String?
    var tlsCert: String?
    var tlsKey: String?
    var tlsClientCA: String?
    var allowUIDs: [UInt32]?
    var logLevel: String?
    var drainGraceSeconds: Double?
    var taskGraceSeconds: Double?
    var supervisor: String?
    var store: String?
    var broker: String?
    var results: String?
    var defaultQueue: String?
    var workerLostAfterSeconds: Double?
    var workerLeavingSeconds: Double?
    var taskEvents: String?
    var libraryTasks: [String]?
    var bareTasks: [String]?
    var noInject: [String]?
    var resultsCollection: String?
    var controlExchange: String?
    var eventExchange: String?
    var ignoreWorkers: [String]?
    var leaseSeconds: Double?
    var projection: String?
    var logFormat: String?
    var metrics: String?
    var maxConnectionAgeSeconds: Double?
    var maxWatchAgeSeconds: Double?
    var startTimeoutSeconds: Double?
    var staleReads: String?
    var differentSettings: String?
    var limits: [String: Double]?

    /// What `self` says, and where it says nothing, what `other` says.
    func over(_ other: PartialSettings) -> PartialSettings {
        PartialSettings(
            listen: listen ?? other.listen, advertise: advertise ?? other.advertise, data: data ?? other.data,
            tasks: tasks ?? other.tasks,
            queues: queues ?? other.queues, defaultConcurrency: defaultConcurrency ?? other.defaultConcurrency,
            insecure: insecure ?? other.insecure, tokens: tokens ?? other.tokens, tlsCert: tlsCert ?? other.tlsCert,
            tlsKey: tlsKey ?? other.tlsKey, tlsClientCA: tlsClientCA ?? other.tlsClientCA,
            allowUIDs: allowUIDs ?? other.allowUIDs, logLevel: logLevel ?? other.logLevel,
            drainGraceSeconds: drainGraceSeconds ?? other.drainGraceSeconds,
            taskGraceSeconds: taskGraceSeconds ?? other.taskGraceSeconds, supervisor: supervisor ?? other.supervisor,
            store: store ?? other.store, broker: broker ?? other.broker, results: results ?? other.results,
            defaultQueue: defaultQueue ?? other.defaultQueue,
            workerLostAfterSeconds: workerLostAfterSeconds ?? other.workerLostAfterSeconds,
            workerLeavingSeconds: workerLeavingSeconds ?? other.workerLeavingSeconds,
            taskEvents: taskEvents ?? other.taskEvents,
            libraryTasks: libraryTasks ?? other.libraryTasks, bareTasks: bareTasks ?? other.bareTasks,
            noInject: noInject ?? other.noInject, resultsCollection: resultsCollection ?? other.resultsCollection,
            controlExchange: controlExchange ?? other.controlExchange,
            eventExchange: eventExchange ?? other.eventExchange, ignoreWorkers: ignoreWorkers ?? other.ignoreWorkers,
            leaseSeconds: leaseSeconds ?? other.leaseSeconds, projection: projection ?? other.projection,
            logFormat: logFormat ?? other.logFormat, metrics: metrics ?? other.metrics,
            maxConnectionAgeSeconds: maxConnectionAgeSeconds ?? other.maxConnectionAgeSeconds,
            maxWatchAgeSeconds: maxWatchAgeSeconds ?? other.maxWatchAgeSeconds,
            startTimeoutSeconds: startTimeoutSeconds ?? other.startTimeoutSeconds,
            staleReads: staleReads ?? other.staleReads,
            differentSettings: differentSettings ?? other.differentSettings, limits: limits ?? other.limits)
    }

    /// Fills in the defaults and checks everything.
    ///
    /// - Parameters:
    ///   - home: the user's home directory; nil if there is none.
    ///   - isLoopback: whether a host means only this machine.
    /// - Throws: ``SettingsError`` that names the setting, its value and what would be right.
    func resolved(home: String?, isLoopback: (String) -> Bool) throws(SettingsError) -> Settings {
        guard let data = data ?? home.map({ $0 + "/.local/state/rhythm" }), !data.isEmpty else {
            throw SettingsError("data: there is no home directory to default to; give --data DIR")
        }
        let insecure = insecure ?? false
        let security = try securitySettings()
        let endpoints = try endpoints(security, insecure: insecure, isLoopback)
        for (name, concurrency) in (queues ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard !name.isEmpty, (1...10_000).contains(concurrency) else {
                throw SettingsError("queue: '\(name)=\(concurrency)' is not NAME=N with N between 1 and 10000")
            }
        }
        let defaultConcurrency = defaultConcurrency ?? 4
        guard (1...10_000).contains(defaultConcurrency) else {
            throw SettingsError("default_concurrency: \(defaultConcurrency) is not between 1 and 10000")
        }
        guard let level = Logger.Level(rawValue: logLevel ?? "info") else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw SettingsError("log_level: '\(logLevel ?? "")' is none of \(known)")
        }
        return Settings(
            listen: endpoints, advertise: try advertised(tls: security.tls != nil), data: data,
            tasks: tasks ?? data + "/tasks", queues: queues ?? [:],
            defaultConcurrency: defaultConcurrency, insecure: insecure, security: security, logLevel: level,
            drainGrace: try Self.seconds(drainGraceSeconds ?? 5, "drain_grace"),
            taskGrace: try Self.seconds(taskGraceSeconds ?? 10, "task_grace"), supervisor: supervisor,
            backends: try backendSettings(data: data),
            operation: try operationSettings(insecure: insecure, isLoopback), limits: try LimitSettings(limits ?? [:]))
    }

    /// A port that somebody is still to choose is none to be told.
    private func advertised(tls: Bool) throws(SettingsError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for text in advertise ?? [] {
            guard let endpoint = Endpoint(text, tls: tls), !endpoint.leavesPortOpen else {
                throw SettingsError(
                    "advertise: '\(text)' is not HOST:PORT, tls://HOST:PORT or unix:PATH, as clients are to use it")
            }
            endpoints.append(endpoint)
        }
        return endpoints
    }

    static func seconds(_ value: Double, _ name: String) throws(SettingsError) -> Duration {
        guard value >= 0, value <= 86_400 else {
            throw SettingsError("\(name): \(value) is not between 0 and 86400 seconds")
        }
        return .milliseconds(Int64(value * 1000))
    }
}

extension Endpoint {
    /// The system is to choose the port.
    fileprivate var leavesPortOpen: Bool {
        switch self {
        case .tcp(_, let port), .tls(_, let port): port == 0
        case .unix: false
        }
    }
}

/// A setting that cannot be used.
struct SettingsError: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
