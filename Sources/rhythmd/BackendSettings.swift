import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmMongo

/// Where workflows are kept, and who runs their steps.
struct BackendSettings: Equatable {
    /// Where workflows are kept.
    enum Store: Equatable {
        /// A file on this machine, for one server.
        case sqlite(path: String)
        /// A database; several servers may share it if a broker lets them hear of each other.
        case mongodb(String)
    }

    /// Celery's workers.
    struct Celery: Equatable {
        /// As in Celery's `broker_url`: several are separated by `;`.
        var broker: String
        /// As in Celery's `result_backend`.
        var results: String
        /// The queue of steps that name none.
        var defaultQueue: String
        /// A worker that is silent for so long, with its mailbox gone, is taken for dead.
        var workerLostAfter: Duration
        /// A worker that said goodbye may be finishing what it runs for so long.
        var workerLeaving: Duration
        /// When workers are asked for events of their tasks.
        var taskEvents = TaskEvents.auto
        /// Tasks that are known to be based on the original library's class.
        var libraryTasks: [String]
        /// Those that are sent without a private document.
        var bareTasks: TaskNames = []
        /// The collection of the results; nil: as the workers say.
        var resultsCollection: String?
        /// `control_exchange`.
        var controlExchange = "celery"
        /// `event_exchange`; nil: as the workers say.
        var eventExchange: String?
        /// Workers that do not count.
        var ignoredWorkers: TaskNames = []
    }

    var store: Store
    /// After this time without a sign of life others take over what a server left; for a store that can be shared.
    var lease: Duration
    /// Nil: steps are processes on this machine.
    var celery: Celery?
    /// Whether the original library's readers are to see the workflows; for a MongoDB store.
    var projects = true
    /// Tasks that are given no arguments but those that somebody asked for.
    var uninjectedTasks: TaskNames = []
}

extension PartialSettings {
    /// Checks what the settings say of store, broker and results. Messages never hold an address: it may hold a password.
    func backendSettings(data: String) throws(SettingsError) -> BackendSettings {
        let store: BackendSettings.Store
        switch self.store {
        case nil: store = .sqlite(path: data + "/rhythm.sqlite")
        case let text? where Self.isMongo(text):
            try Self.check(mongo: text, "store")
            store = .mongodb(text)
        case let text? where text.hasPrefix("sqlite:") && text.count > 7:
            store = .sqlite(path: String(text.dropFirst(7)))
        case _?:
            throw SettingsError("store: expected sqlite:PATH or mongodb://HOST/DATABASE")
        }
        let lease = try Self.seconds(leaseSeconds ?? 15, "lease")
        guard lease >= .seconds(1) else { throw SettingsError("lease: \(leaseSeconds ?? 0) is not 1 second or more") }
        let projects = try projects(in: store)
        let uninjected = try Self.names(noInject, "no_inject")
        guard let broker else {
            for (name, isSet) in [
                ("results", results != nil), ("default_queue", defaultQueue != nil),
                ("worker_lost_after", workerLostAfterSeconds != nil), ("worker_leaving", workerLeavingSeconds != nil),
                ("task_events", taskEvents != nil), ("library_tasks", libraryTasks != nil),
                ("bare_tasks", bareTasks != nil), ("results_collection", resultsCollection != nil),
                ("control_exchange", controlExchange != nil), ("event_exchange", eventExchange != nil),
                ("ignore_workers", ignoreWorkers != nil),
            ] where isSet {
                throw SettingsError("\(name): means something only with a broker; give --broker amqp://HOST as well")
            }
            return BackendSettings(
                store: store, lease: lease, celery: nil, projects: projects, uninjectedTasks: uninjected)
        }
        do throws(AMQPAddress.Malformed) {
            _ = try AMQPBrokers(parsing: broker)
        } catch {
            throw SettingsError("broker: \(error); expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://")
        }
        var results = self.results
        if results == nil, case .mongodb(let address) = store { results = address }
        guard let results else {
            throw SettingsError(
                "results: the workers' result backend has to be known; give --results mongodb://HOST/DATABASE")
        }
        guard Self.isMongo(results) else {
            throw SettingsError("results: expected mongodb://HOST/DATABASE; other result backends cannot be read")
        }
        try Self.check(mongo: results, "results")
        return BackendSettings(
            store: store, lease: lease,
            celery: BackendSettings.Celery(
                broker: broker, results: results, defaultQueue: defaultQueue ?? "celery",
                workerLostAfter: try Self.seconds(workerLostAfterSeconds ?? 300, "worker_lost_after"),
                workerLeaving: try Self.seconds(workerLeavingSeconds ?? 6 * 3600, "worker_leaving"),
                taskEvents: try Self.taskEvents(taskEvents),
                libraryTasks: libraryTasks ?? [], bareTasks: try Self.names(bareTasks, "bare_tasks"),
                resultsCollection: try Self.collection(resultsCollection),
                controlExchange: try Self.exchange(controlExchange, "control_exchange") ?? "celery",
                eventExchange: try Self.exchange(eventExchange, "event_exchange"),
                ignoredWorkers: try Self.names(ignoreWorkers, "ignore_workers")),
            projects: projects, uninjectedTasks: uninjected)
    }

    private func projects(in store: BackendSettings.Store) throws(SettingsError) -> Bool {
        guard let projection else { return true }
        guard case .mongodb = store else {
            throw SettingsError("projection: means something only with a MongoDB store")
        }
        switch projection {
        case "on": return true
        case "off": return false
        default: throw SettingsError("projection: '\(projection)' is not one of on and off")
        }
    }

    private static func names(_ patterns: [String]?, _ setting: String) throws(SettingsError) -> TaskNames {
        do throws(CeleryRunnerError) {
            return try TaskNames(patterns ?? [])
        } catch {
            throw SettingsError("\(setting): \(error)")
        }
    }

    private static func check(mongo address: String, _ setting: String) throws(SettingsError) {
        do throws(MongoAddress.Malformed) {
            _ = try MongoAddress(parsing: address)
        } catch {
            throw SettingsError("\(setting): \(error)")
        }
    }

    private static func collection(_ name: String?) throws(SettingsError) -> String? {
        guard let name else { return nil }
        guard !name.isEmpty, name.utf8.count <= 120, !name.hasPrefix("system."), !name.contains("$"),
            !name.unicodeScalars.contains(where: { $0.value < 0x20 })
        else {
            throw SettingsError(
                "results_collection: '\(name)' is no name of a collection: 1 to 120 bytes without $, not system.*")
        }
        return name
    }

    private static func exchange(_ name: String?, _ setting: String) throws(SettingsError) -> String? {
        guard let name else { return nil }
        guard !name.isEmpty, name.utf8.count <= 200, !name.unicodeScalars.contains(where: { $0.value < 0x20 }) else {
            throw SettingsError("\(setting): '\(name)' is no name of an exchange: 1 to 200 bytes of text")
        }
        return name
    }

    private static func taskEvents(_ text: String?) throws(SettingsError) -> TaskEvents {
        guard let text else { return .auto }
        guard let found = TaskEvents(rawValue: text) else {
            throw SettingsError("task_events: '\(text)' is not one of auto, always and never")
        }
        return found
    }

    private static func isMongo(_ text: String) -> Bool {
        text.hasPrefix("mongodb://") || text.hasPrefix("mongodb+srv://")
    }
}
