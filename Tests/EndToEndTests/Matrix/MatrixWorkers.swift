import RhythmTesting

/// The workers of a combination.
enum MatrixWorkers {
    static func start(
        _ combination: Combination, _ world: MatrixWorld, _ name: String, _ marks: RunnerMarks
    ) async throws -> CeleryWorker {
        var configuration = CeleryWorker.Configuration(
            combination.version, broker: world.brokerAddress(combination.host),
            backend: world.mongo.address(MatrixStory.database(combination)), queues: [MatrixStory.queue],
            name: "\(name)-\(combination.number)")
        configuration.concurrency = combination.places
        configuration.marks = marks.directory
        configuration.settings = combination.settings
        configuration.arguments = combination.arguments
        configuration.environment = combination.environment
        return try await CeleryWorker(configuration)
    }

    /// A worker of somebody else's on the same virtual host: it speaks pickle, answers no remote control, and has a queue
    /// of its own. Nil if the combination has none.
    static func startOther(_ combination: Combination, _ world: MatrixWorld) async throws -> CeleryWorker? {
        guard combination.hasOtherApplication else { return nil }
        var configuration = CeleryWorker.Configuration(
            .celery57, broker: world.brokerAddress(combination.host), backend: "", queues: ["foreign"],
            name: "foreign-\(combination.number)")
        configuration.application = "foreign"
        return try await CeleryWorker(configuration)
    }
}
