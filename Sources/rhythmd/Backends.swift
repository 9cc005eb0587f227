import Foundation
import Logging
import RhythmCelery
import RhythmCore
import RhythmEngine
import RhythmLocalRunner
import RhythmMongo
import RhythmAMQP
import RhythmPeers
import RhythmStoreMongo
import RhythmStoreSQLite

/// The store and the runner that the settings ask for.
struct Backends {
    let store: any Store
    let runner: any TaskRunner
    /// For people: `local` or `celery`.
    let runnerName: String
    /// Where the store is, without credentials.
    let storeName: String
    private let settings: BackendSettings
    private let serverID: String

    /// Opens the store first: its lock or lease keeps a second server away.
    ///
    /// - Throws: ``StoreError``, ``SettingsError``.
    init(_ settings: BackendSettings, serverID: String, local: () throws -> LocalRunnerConfiguration) throws {
        self.settings = settings
        self.serverID = serverID
        switch settings.store {
        case .sqlite(let path):
            store = try SQLiteStore(path: path)
            storeName = path
        case .mongodb(let address):
            let pool = try Self.pool(address, "store")
            let results = try settings.celery.flatMap { $0.results == address ? nil : try Self.pool($0.results, "results") }
            // Servers hear of each other through the broker; without one the database has one server.
            store = try MongoStore(
                pool: pool, serverID: serverID, mode: settings.celery == nil ? .exclusive : .shared, results: results)
            storeName = pool.description
        }
        if let celery = settings.celery {
            var configuration = CeleryConfiguration(
                broker: celery.broker, results: celery.results, serverID: serverID)
            configuration.defaultQueue = celery.defaultQueue
            configuration.libraryTasks = Set(celery.libraryTasks)
            configuration.times.workerLost = celery.workerLostAfter
            do throws(CeleryRunnerError) {
                runner = try CeleryRunner(configuration)
            } catch {
                throw SettingsError("\(error)")
            }
            runnerName = "celery"
        } else {
            runner = try LocalRunner(try local())
            runnerName = "local"
        }
    }

    private static func pool(_ address: String, _ name: String) throws -> MongoPool {
        do throws(MongoError) {
            var options = MongoOptions()
            options.appName = "rhythmd-\(name)"
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
            broker, group: try Self.pool(address, "store").database, serverID: serverID, engine: engine)
    }
}
