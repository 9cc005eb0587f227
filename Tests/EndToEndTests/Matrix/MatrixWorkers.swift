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

    /// A worker of somebody else's that answers nothing; nil if the combination has none.
    static func startOther(_ combination: Combination, _ world: MatrixWorld) async throws -> CeleryWorker? {
        guard combination.hasOtherApplication else { return nil }
        return try await CeleryWorker(
            .foreign(broker: world.brokerAddress(combination.host), name: "foreign-\(combination.number)"))
    }
}
