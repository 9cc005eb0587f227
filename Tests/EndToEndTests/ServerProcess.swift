import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// The real rhythmd, as a process that a test can kill and start again.
///
/// It first listens on a port that the system chooses, and on the same one after each restart, so that clients find it
/// again. Used by one task at a time.
final class ServerProcess {
    let place: TestPlace
    /// Its options beside the directories and the address.
    var options: [String]
    /// Its environment beside PATH and HOME.
    var environment: [String: String]
    /// Where it listens, once it has been ready.
    private(set) var endpoint: String?
    private(set) var child: Processes.Child?

    static let program = Processes.buildFolder + "/rhythmd"

    init(_ place: TestPlace, options: [String] = [], environment: [String: String] = [:]) {
        self.place = place
        self.options = options
        self.environment = environment
    }

    /// Runs a test with a server that is ready.
    static func with(
        options: [String] = [], environment: [String: String] = [:],
        _ body: (ServerProcess) async throws -> Void
    ) async throws {
        try await TestPlace.with { place in
            let server = ServerProcess(place, options: options, environment: environment)
            try await server.start()
            try await body(server)
        }
    }

    /// Starts the process and does not wait for it.
    func spawn() throws {
        // What a killed server left says nothing about this one.
        try? FileManager.default.removeItem(atPath: endpointsFile)
        child = try Self.run(
            place, ["--data", place.data, "--tasks", place.tasks, "--listen", endpoint ?? "127.0.0.1:0"] + options,
            environment: environment)
    }

    /// Starts rhythmd with these arguments and nothing else.
    static func run(
        _ place: TestPlace, _ arguments: [String], environment: [String: String] = [:], output: String? = nil
    ) throws -> Processes.Child {
        let base = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": place.path]
        return try Processes.Child(
            program, arguments, environment: base.merging(environment) { $1 }, output: output ?? place.log)
    }

    /// Starts the process and waits until it listens.
    func start() async throws {
        try spawn()
        try await waitUntilReady()
    }

    func waitUntilReady(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await place.wait("rhythmd is not ready", sourceLocation: sourceLocation) {
            isReady || child?.poll() != nil
        }
        guard isReady else {
            Issue.record("rhythmd ended: \(String(describing: child?.poll()))", sourceLocation: sourceLocation)
            throw ServerEnded()
        }
        endpoint = try #require(place.text(endpointsFile)?.split(separator: "\n").first.map { String($0) })
    }

    var isReady: Bool { place.exists(endpointsFile) && child?.poll() == nil }

    /// The process ends here and now, in whatever it is doing.
    func killNow(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let child = try #require(child, sourceLocation: sourceLocation)
        child.signal(SIGKILL)
        let end = try await child.end(within: 20)
        #expect(end == .signaled(SIGKILL), sourceLocation: sourceLocation)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// - Returns: how long it took.
    @discardableResult
    func stop(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Duration {
        let child = try #require(child, sourceLocation: sourceLocation)
        let start = ContinuousClock.now
        child.signal(SIGTERM)
        let end = try await child.end(within: 30)
        #expect(end == .exited(0), sourceLocation: sourceLocation)
        return start.duration(to: .now)
    }

    /// A client that waits for the server as long as its calls wait.
    func client(_ change: (inout RhythmClient.Options) -> Void = { _ in }) throws -> RhythmClient {
        var options = RhythmClient.Options()
        change(&options)
        return try RhythmClient(endpoint: try #require(endpoint), options: options)
    }

    /// What this start and those before it logged.
    var logText: String { place.text(place.log) ?? "" }

    /// The state of each of its threads, and where in the kernel it waits.
    var whatItsThreadsDo: String {
        guard let child, child.poll() == nil else { return "it is gone" }
        let tasks = "/proc/\(child.pid)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return threads.sorted().map { thread in
            let status = (try? String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8)) ?? ""
            let state = status.split(separator: "\n").first { $0.hasPrefix("State:") } ?? "?"
            let place = (try? String(contentsOfFile: "\(tasks)/\(thread)/wchan", encoding: .utf8)) ?? "?"
            return "\(thread) \(state) \(place)"
        }.joined(separator: "\n")
    }

    private var endpointsFile: String { place.data + "/endpoints" }
}

struct ServerEnded: Error {}
struct NotAsWanted: Error {}

extension RhythmClient {
    /// Waits until the record of a workflow is as wanted.
    func wait(
        for id: WorkflowID, seconds: Double = 30, sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: (Workflow) -> Bool
    ) async throws -> Workflow {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var version: Int64?
        while true {
            do {
                // Progress is no transition, so nothing but asking again tells of it.
                let workflow = try await status(
                    id, previousAttempts: true, waitAfterVersion: version,
                    timeout: version == nil ? nil : .milliseconds(200))
                if condition(workflow) { return workflow }
                version = workflow.version
                guard ContinuousClock.now < deadline else {
                    Issue.record("after \(seconds) s: \(workflow)", sourceLocation: sourceLocation)
                    throw NotAsWanted()
                }
            } catch let error as RhythmError where error.code == .unavailable && .now < deadline {
                // Whoever is cut off from the store, or has just come back to it, tells nothing of workflows.
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// The ids of all workflows that there are, page by page.
    func allIDs() async throws -> Set<WorkflowID> {
        var ids: Set<WorkflowID> = []
        var query = ListQuery(limit: 30)
        repeat {
            let page = try await list(query)
            for row in page.rows { #expect(ids.insert(row.id).inserted, "\(row.id) is listed twice") }
            query.cursor = page.next
        } while query.cursor != nil
        return ids
    }

    func waitUntilDone(_ id: WorkflowID, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Workflow {
        try await wait(for: id, sourceLocation: sourceLocation) { $0.status.isDone }
    }
}
