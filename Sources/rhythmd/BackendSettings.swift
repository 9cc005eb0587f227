import RhythmCelery
import RhythmCore

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
        /// As in Celery's `broker_url`.
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
    }

    var store: Store
    /// After this time without a sign of life others take over what a server left; for a store that can be shared.
    var lease: Duration
    /// Nil: steps are processes on this machine.
    var celery: Celery?
    /// Whether the original library's readers are to see the workflows; for a MongoDB store.
    var projects = true
}

extension PartialSettings {
    /// Checks what the settings say of store, broker and results. Messages never hold an address: it may hold a password.
    func backendSettings(data: String) throws(SettingsError) -> BackendSettings {
        let store: BackendSettings.Store
        switch self.store {
        case nil: store = .sqlite(path: data + "/rhythm.sqlite")
        case let text? where Self.isMongo(text): store = .mongodb(text)
        case let text? where text.hasPrefix("sqlite:") && text.count > 7:
            store = .sqlite(path: String(text.dropFirst(7)))
        case _?:
            throw SettingsError("store: expected sqlite:PATH or mongodb://HOST/DATABASE")
        }
        let lease = try Self.seconds(leaseSeconds ?? 15, "lease")
        guard lease >= .seconds(1) else { throw SettingsError("lease: \(leaseSeconds ?? 0) is not 1 second or more") }
        let projects = try projects(in: store)
        guard let broker else {
            for (name, isSet) in [
                ("results", results != nil), ("default_queue", defaultQueue != nil),
                ("worker_lost_after", workerLostAfterSeconds != nil), ("worker_leaving", workerLeavingSeconds != nil),
                ("task_events", taskEvents != nil), ("library_tasks", libraryTasks != nil),
                ("bare_tasks", bareTasks != nil),
            ] where isSet {
                throw SettingsError("\(name): means something only with a broker; give --broker amqp://HOST as well")
            }
            return BackendSettings(store: store, lease: lease, celery: nil, projects: projects)
        }
        guard broker.hasPrefix("amqp://") || broker.hasPrefix("amqps://") else {
            throw SettingsError("broker: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://")
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
        return BackendSettings(
            store: store, lease: lease,
            celery: BackendSettings.Celery(
                broker: broker, results: results, defaultQueue: defaultQueue ?? "celery",
                workerLostAfter: try Self.seconds(workerLostAfterSeconds ?? 300, "worker_lost_after"),
                workerLeaving: try Self.seconds(workerLeavingSeconds ?? 6 * 3600, "worker_leaving"),
                taskEvents: try Self.taskEvents(taskEvents),
                libraryTasks: libraryTasks ?? [], bareTasks: try Self.bareTasks(bareTasks ?? [])), projects: projects)
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

    private static func bareTasks(_ patterns: [String]) throws(SettingsError) -> TaskNames {
        do throws(CeleryRunnerError) {
            return try TaskNames(patterns)
        } catch {
            throw SettingsError("bare_tasks: \(error)")
        }
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
