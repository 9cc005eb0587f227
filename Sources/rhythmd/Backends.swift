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
    /// Where store and runner read results; the workers may say later that it is elsewhere.
    private let resultsCollection: MongoCollectionName

    init(
        settings: BackendSettings, serverID: String, incarnation: ServerIncarnation,
        properties: ServerProperties = ServerProperties(), allowsOtherSettings: Bool = false
    ) {
        self.settings = settings
        self.serverID = serverID
        self.incarnation = incarnation
        self.properties = properties
        self.allowsOtherSettings = allowsOtherSettings
        resultsCollection = MongoCollectionName(settings.celery?.resultsCollection ?? "celery_taskmeta")
    }

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
                try Self.results(at: celery.results, beside: pool, at: address)
            }
            // Servers hear of each other through the broker; without one the database has one server.
            var collections = MongoCollections()
            collections.resultsName = resultsCollection
            return try MongoStore(
                pool: pool, serverID: serverID, mode: settings.celery == nil ? .exclusive : .shared,
                leaseDuration: settings.lease, results: results, projects: settings.projects, collections: collections,
                incarnation: incarnation, readers: try Self.pool(address, "store") { $0.socketTimeout = .seconds(15) },
                properties: try told(), allowsOtherSettings: allowsOtherSettings)
        }
    }

    /// The way to Celery's results; nil if it is that to the store. One and the same address without a database means
    /// another one for either.
    static func results(at address: String, beside store: MongoPool, at storeAddress: String) throws -> MongoPool? {
        let results = try pool(address, "results") { $0.socketTimeout = .seconds(15) }
        return address == storeAddress && results.database == store.database ? nil : results
    }

    /// With the settings that all servers of the store should have in common.
    private func told() throws -> ServerProperties {
        var told = properties
        guard let celery = settings.celery else { return told }
        var values = celery.shared
        // One and the same host may have several names, but no database has.
        let results = try Self.pool(celery.results, "results").description
        let place = results.split(separator: "/", omittingEmptySubsequences: true)
        values["results"] = place.count > 2 ? String(place[place.count - 1]) : "celery"
        values["results_host"] = place.count > 1 ? String(place[1]) : results
        // Without one it is what the workers say, which may well be the same.
        if let collection = celery.resultsCollection { values["results_collection"] = collection }
        values["lease"] = "\(settings.lease)"
        values["no_inject"] = settings.uninjectedTasks.patterns.joined(separator: ", ")
        values["projection"] = settings.projects ? "on" : "off"
        told.settings = SharedSettings(values)
        return told
    }

    /// - Parameter local: settings for steps that are processes on this machine.
    func makeRunner(local: () throws -> LocalRunnerConfiguration) throws -> any TaskRunner {
        let uninjected = settings.uninjectedTasks
        guard let celery = settings.celery else {
            var configuration = try local()
            configuration.isUninjected = { uninjected.contains($0) }
            return try LocalRunner(configuration)
        }
        do throws(CeleryRunnerError) {
            var configuration = celery.configuration(serverID: serverID)
            configuration.uninjectedTasks = uninjected
            return try CeleryRunner(configuration, resultsCollection: resultsCollection)
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

    static func pool(
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
        let brokers: AMQPBrokers
        do throws(AMQPAddress.Malformed) {
            brokers = try AMQPBrokers(parsing: celery.broker)
        } catch {
            throw SettingsError("broker: \(error)")
        }
        return PeerExchange(
            brokers, group: try Self.pool(address, "store").database, serverID: serverID,
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
            "ignore_workers": ignoredWorkers.patterns.joined(separator: ", "),
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
        if let resultsCollection { configuration.resultsCollection = resultsCollection }
        configuration.learnsResultsCollection = resultsCollection == nil
        configuration.controlExchange = controlExchange
        if let eventExchange { configuration.eventExchange = eventExchange }
        configuration.learnsEventExchange = eventExchange == nil
        configuration.ignoredWorkers = ignoredWorkers
        return configuration
    }
}
