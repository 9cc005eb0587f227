public import Logging
import RhythmAMQP
public import RhythmCore
public import RhythmEngine
import RhythmLane
package import RhythmMongo

/// Has real, unmodified Celery workers run the attempts: RabbitMQ carries the messages, and the truth about an attempt is
/// its document in the workers' MongoDB result backend.
///
/// Attempts outlive the runner: after a restart it follows what it finds instead of sending it again. What a message may
/// look like is said by ``TaskMessage``, when an attempt is lost by ``LostRule``, when one has stopped by
/// ``RevokeRule``. Thread-safe; nothing here blocks.
public final class CeleryRunner: TaskRunner, AttemptInspector {
    private let inbox: DeskInbox
    private let results: ResultBackend
    private let links: Links

    /// Checks the addresses. Nothing connects before ``start(outstanding:report:)``.
    ///
    /// - Throws: ``CeleryRunnerError`` if an address is none.
    public convenience init(
        _ configuration: CeleryConfiguration, logger: Logger = Logger(label: "rhythm.celery")
    ) throws(CeleryRunnerError) {
        try self.init(
            configuration, resultsCollection: MongoCollectionName(configuration.resultsCollection), logger: logger)
    }

    /// The same for a program that reads the results, too: the collection's name changes when the workers name another.
    package init(
        _ configuration: CeleryConfiguration, resultsCollection: MongoCollectionName,
        logger: Logger = Logger(label: "rhythm.celery")
    ) throws(CeleryRunnerError) {
        let brokers: AMQPBrokers
        let pool: MongoPool
        do throws(AMQPAddress.Malformed) {
            brokers = try AMQPBrokers(parsing: configuration.broker)
        } catch {
            throw CeleryRunnerError("the broker's address: \(error)")
        }
        do throws(MongoError) {
            var options = MongoOptions()
            options.appName = "rhythm-celery"
            options.socketTimeout = .seconds(10)
            options.serverSelectionTimeout = .seconds(3)
            pool = try MongoPool(
                uri: configuration.results, defaultDatabase: configuration.resultsDatabase, options: options)
        } catch {
            throw CeleryRunnerError("the address of the results: \(error)")
        }
        let lane = Lane(label: "rhythm.celery")
        inbox = DeskInbox(lane: lane)
        results = ResultBackend(pool, configuration, collection: resultsCollection, inbox: inbox)
        links = Links(brokers, configuration, inbox: inbox, logger: logger)
        let desk = CeleryDesk(
            configuration, lane: lane, links: links,
            results: results, logger: logger)
        inbox.attach(desk)
    }

    deinit { stop() }

    // MARK: TaskRunner

    public func start(outstanding: [Effect], report: @escaping @Sendable ([Report]) -> Void) {
        inbox.put(.start(outstanding, report))
    }

    public func keepTime(_ now: @escaping @Sendable () -> Timestamp) { inbox.put(.keepTime(now)) }

    public func perform(_ effects: [Effect]) { inbox.put(.perform(effects)) }

    /// Nothing is kept of settled attempts.
    public func purge(_ tasks: [TaskID]) {}

    public func stop() { inbox.put(.stop) }

    public func finish(within patience: Duration) async { await results.finish(within: patience) }

    /// Asks the workers, the broker and the database; takes a few seconds. See ``Diagnosis`` for what is judged how.
    public func examine(_ needs: [TaskNeed], answer: @escaping @Sendable ([Finding]) -> Void) {
        inbox.put(.examine(.init(needs: needs, answer: answer)))
    }

    public func inspect(
        _ subjects: [WorkflowID: Inspection.Subject], answer: @escaping @Sendable (Inspection) -> Void
    ) {
        inbox.put(.inspect(subjects, answer))
    }

    public func ask(_ mayBegin: @escaping @Sendable () -> Int?) { links.ask(mayBegin) }

    /// Why no messages get to the workers.
    public var trouble: String? { links.trouble }

    /// Workers keep the logs.
    public var logs: (any LogSource)? { nil }
}
