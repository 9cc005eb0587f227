import Foundation
import Logging
import RhythmCelery
import RhythmClient
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmServer
import RhythmStoreMongo
import RhythmTesting
import RhythmWire
import Synchronization
import Testing

/// A broker, a database, a server and the original library with its workers, all of one version of Celery, and a worker of
/// another application that answers nothing. One for each version, shared by all tests of this module; each test has
/// workflows and a queue of its own.
final class AdoptionWorld: Sendable {
    private static let worlds = Mutex<[CeleryWorker.Version: Task<AdoptionWorld, any Error>]>([:])

    static func of(_ version: CeleryWorker.Version) async throws -> AdoptionWorld {
        try await worlds.withLock { worlds in
            if let world = worlds[version] { return world }
            let task = Task { try await AdoptionWorld(version) }
            worlds[version] = task
            return task
        }.value
    }

    /// That of the newest version, for what does not depend on it.
    static var shared: AdoptionWorld { get async throws { try await of(.celery57) } }

    let version: CeleryWorker.Version
    let celery: CeleryWorld
    let client: RhythmClient
    let engine: EngineService
    private let server: Server
    private let worker: CeleryWorker
    private let foreign: CeleryWorker

    /// The queues of the common worker.
    static let queues = (1...12).map { "queue\($0)" }

    private init(_ version: CeleryWorker.Version) async throws {
        self.version = version
        let celery = try await CeleryWorld()
        self.celery = celery
        async let other = CeleryWorker(.foreign(broker: celery.broker.address, name: "foreign"))
        worker = try await celery.startWorker(version, name: "common", queues: Self.queues, concurrency: 3)
        foreign = try await other
        let pool = try MongoPool(uri: celery.results)
        let runner = try CeleryRunner(Self.configuration(celery))
        engine = EngineService(
            store: try MongoStore(pool: pool, serverID: "s1"), runner: runner,
            logger: Logger(label: "engine") { _ in SwiftLogNoOpLogHandler() })
        try await engine.start()
        var configuration = ServerConfiguration()
        configuration.endpoints = [.tcp(host: "127.0.0.1", port: 0)]
        server = Server(
            configuration: configuration,
            logger: Logger(label: "server") { _ in SwiftLogNoOpLogHandler() })
        let endpoints = try await server.start(engine)
        client = try RhythmClient(endpoint: try #require(endpoints.first).description, options: .init())
    }

    /// Where the tasks of the common worker leave their marks.
    var marks: RunnerMarks { celery.marks }

    private static func configuration(_ celery: CeleryWorld) -> CeleryConfiguration {
        var configuration = CeleryConfiguration(
            broker: celery.broker.address, results: celery.results, serverID: "s1")
        configuration.times.acquaintance = .seconds(3)
        configuration.times.suspect = .milliseconds(1500)
        configuration.times.ask = .seconds(2)
        configuration.times.lost = .seconds(2)
        configuration.times.workerQuiet = .seconds(5)
        configuration.times.workerLost = .seconds(6)
        configuration.times.revokeGrace = .seconds(1)
        return configuration
    }

    /// A worker that stands still while it hands over, with a marks folder of its own.
    func slowWorker(_ name: String, queue: String, handOff: String) async throws -> (CeleryWorker, RunnerMarks) {
        let marks = try CeleryWorld.makeMarks(name)
        let worker = try await celery.startWorker(
            version, name: name, queues: [queue], concurrency: 2, settings: ["HANDOFF": handOff], marks: marks)
        return (worker, marks)
    }
}

// MARK: The library

extension AdoptionWorld {
    /// Runs a command of `library.py`.
    @discardableResult
    func library(
        _ arguments: String..., backend: String? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> JSONValue {
        let (end, text) = try await tryLibrary(arguments, backend: backend)
        #expect(end == .exited(0), "\(text)", sourceLocation: sourceLocation)
        return try #require(try Self.value(in: text), "\(text)", sourceLocation: sourceLocation)
    }

    /// What a command has printed; nil if it has failed.
    static func value(in text: String) throws -> JSONValue? {
        try text.split(separator: "\n").first { $0.hasPrefix("VALUE ") }.map {
            try JSON(parsing: String($0.dropFirst(6))).value
        }
    }

    /// The same for one that may fail.
    func tryLibrary(_ arguments: [String], backend: String? = nil) async throws -> (Processes.Child.End?, String) {
        let processes = try ProcessGuard.shared.get()
        let output = try processes.makeFolder("library") + "/output"
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let child = try Processes.Child(
            try CeleryWorker.python(version), ["/\(folder)/CeleryApp/library.py"] + arguments,
            environment: [
                "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "RHYTHM_APP_BROKER": celery.broker.address,
                "RHYTHM_APP_BACKEND": backend ?? celery.results,
            ], output: output)
        try processes.watch(child)
        let end = try await child.end(within: 90)
        processes.forget(child)
        return (end, (try? String(contentsOfFile: output, encoding: .utf8)) ?? "")
    }

    /// A step of a workflow to be created.
    static func step(_ name: String, _ task: String, queue: String, kwargs: String = "{}") throws -> JSONValue {
        .object([
            .init("name", .string(name)), .init("task", .string(task)), .init("queue", .string(queue)),
            .init("kwargs", try JSON(parsing: kwargs).value),
        ])
    }

    /// Creates a workflow as the library does, and starts it if there are arguments.
    func make(_ steps: [JSONValue], args: String? = nil, appID: String = "tests") async throws -> WorkflowID {
        let description = JSONValue.object([
            .init("name", .string("old")), .init("app_id", .string(appID)), .init("steps", .array(steps)),
        ])
        let id = try await library("create", description.compactText).stringValue ?? ""
        if let args { try await library("start", id, args) }
        return WorkflowID(id)
    }

    /// How the library itself sees a workflow.
    func seen(_ id: WorkflowID) async throws -> String {
        try await library("embellished", id.rawValue)["status"]?.stringValue ?? ""
    }
}

extension AdoptionWorld {
    /// Waits until the library sees it so: what is ours it is shown within a second.
    func wait(
        forSeen status: String, of id: WorkflowID, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await waitUntil("the library does not see \(status)", seconds: 30, sourceLocation: sourceLocation) {
            try await seen(id) == status
        }
    }
}

// MARK: The server

extension AdoptionWorld {
    /// Waits until the server shows a workflow as wanted.
    @discardableResult
    func wait(
        for id: WorkflowID, seconds: Double = 60, sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: (Workflow) -> Bool
    ) async throws -> Workflow {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            let workflow = try await client.status(id, previousAttempts: true)
            if condition(workflow) { return workflow }
            guard ContinuousClock.now < deadline else {
                Issue.record("after \(seconds) s: \(workflow)", sourceLocation: sourceLocation)
                throw NotAsWanted()
            }
            try await Task.sleep(for: .milliseconds(30))
        }
    }

    /// Adopts, again and again while the only obstacle is something that passes by itself: a worker that has begun a step
    /// and was killed counts as silent for a while.
    func adopt(
        _ id: WorkflowID, args: String? = nil, force: Bool = false, dryRun: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> AdoptionOutcome {
        let request = AdoptionRequest(
            ids: [id], dryRun: dryRun, force: force, args: try args.map { try JSON(parsing: $0) }, quietFor: .zero)
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let reply = try await client.adopt(request)
            let outcome = try #require(reply.outcomes.first, sourceLocation: sourceLocation)
            #expect(reply.outcomes.count == 1 && outcome.workflowID == id, sourceLocation: sourceLocation)
            let passes = ["SILENT_WORKER", "CANNOT_ASK", "CHANGED"]
            if !passes.contains(outcome.reason) || ContinuousClock.now > deadline { return outcome }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Waits for a file.
    func wait(forFile path: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await waitUntil("there is no \(path)", seconds: 60, sourceLocation: sourceLocation) {
            FileManager.default.fileExists(atPath: path)
        }
    }

    func touch(_ path: String) throws { try Data().write(to: URL(fileURLWithPath: path)) }
}

/// A workflow did not become what it should; the issue that was recorded says which.
struct NotAsWanted: Error {}
