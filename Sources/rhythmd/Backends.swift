import Foundation
import Logging
import RhythmAMQP
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmMongo
import RhythmPeers
import RhythmStoreMongo
import RhythmStoreSQLite

/// Makes the store and the runner that the settings ask for.
struct Backends {
    let settings: BackendSettings
    let serverID: String
    let incarnation: ServerIncarnation
    /// What the other servers are told of this one, beside its settings.
    var properties = ServerProperties()
    /// Whether it may have settings that do harm beside those of others.
    var allowsOtherSettings = false

    /// Opens the store, whose lock or lease keeps a second server away. Blocks, a lease's length at most.
    ///
    /// - Throws: ``StoreError``, ``SettingsError``.
    func openStore() throws -> sending any Store {
        switch settings.store {
        case .sqlite(let path): return try SQLiteStore(path: path)
        case .mongodb(let address):
            // Whoever gives a command waits for the server's own reads and writes: they give up early.
            // The driver asks a second time before it says so.
            let pool = try Self.pool(address, "store") { $0.socketTimeout = .seconds(6) }
            let results = try settings.celery.flatMap { celery in
                celery.results == address ? nil : try Self.pool(celery.results, "results")
            }
            // Servers hear of each other through the broker; without one the database has one server.
            return try MongoStore(
                pool: pool, serverID: serverID, mode: settings.celery == nil ? .exclusive : .shared,
                leaseDuration: settings.lease, results: results, projects: settings.projects,
                incarnation: incarnation, readers: try Self.pool(address, "store") { $0.socketTimeout = .seconds(15) },
                properties: try told(), allowsOtherSettings: allowsOtherSettings)
        }
    }

    /// With the settings that all servers of the store should have in common.
    private func told() throws -> ServerProperties {
        var told = properties
        guard let celery = settings.celery else { return told }
        var values = celery.shared
        values["results"] = try Self.pool(celery.results, "results").description
        values["lease"] = "\(settings.lease)"
        values["projection"] = settings.projects ? "on" : "off"
        told.settings = SharedSettings(values)
        return told
    }

    /// - Parameter local: settings for steps that are processes on this machine.
    func makeRunner(local: () throws -> LocalRunnerConfiguration) throws -> any TaskRunner {
        guard let celery = settings.celery else { return try LocalRunner(try local()) }
        do throws(CeleryRunnerError) {
            return try CeleryRunner(celery.configuration(serverID: serverID))
        } catch {
            throw SettingsError("\(error)")
        }
    }

    /// For people.
    var runnerName: String { settings.celery == nil ? "local" : "celery" }

    /// For people, without credentials.
    var storeName: String {
        switch settings.store {
        case .sqlite(let path): path
        case .mongodb(let address): (try? Self.pool(address, "store").description) ?? "mongodb"
        }
    }

    private static func pool(
        _ address: String, _ name: String, _ change: (inout MongoOptions) -> Void = { _ in }
    ) throws -> MongoPool {
        do throws(MongoError) {
            var options = MongoOptions()
            options.appName = "rhythmd-\(name)"
            change(&options)
            return try MongoPool(uri: address, defaultDatabase: name == "store" ? "rhythm" : "celery", options: options)
        } catch {
            throw SettingsError("\(name): \(error)")
        }
    }

    /// The way to the other servers of a shared store; nil if there can be none.
    func peers(of engine: EngineService) throws -> PeerExchange? {
        guard case .mongodb(let address) = settings.store, let celery = settings.celery else { return nil }
        let broker: AMQPAddress
        do throws(AMQPAddress.Malformed) {
            broker = try AMQPAddress(parsing: celery.broker)
        } catch {
            throw SettingsError("broker: \(error)")
        }
        return PeerExchange(
            broker, group: try Self.pool(address, "store").database, serverID: serverID,
            incarnation: incarnation.id, engine: engine)
    }
}

extension BackendSettings.Celery {
    /// What all servers should have in common, for people; addresses are told by what is made of them.
    fileprivate var shared: [String: String] {
        [
            "default_queue": defaultQueue, "bare_tasks": bareTasks.patterns.joined(separator: ", "),
            "library_tasks": libraryTasks.sorted().joined(separator: ", "),
            "worker_lost_after": "\(workerLostAfter)", "worker_leaving": "\(workerLeaving)",
        ]
    }

    /// What the runner is told.
    func configuration(serverID: String) -> CeleryConfiguration {
        var configuration = CeleryConfiguration(broker: broker, results: results, serverID: serverID)
        configuration.defaultQueue = defaultQueue
        configuration.libraryTasks = Set(libraryTasks)
        configuration.bareTasks = bareTasks
        configuration.times.shorten(toLose: workerLostAfter)
        configuration.times.workerLeaving = workerLeaving
        configuration.taskEvents = taskEvents
        return configuration
    }
}
