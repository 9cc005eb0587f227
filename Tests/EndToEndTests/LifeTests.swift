import Foundation
import Glibc
import RhythmClient
import RhythmCore
import RhythmMongo
import RhythmTesting
import Testing

/// The start of a server among others, and starts that fail.
@Suite(.showsServerLog, .serialized, .timeLimit(.minutes(3))) struct LifeTests {
    @Test("a second server on the same data directory is refused, whatever its store, and changes nothing")
    func sameDataTwice() async throws {
        try await ServerProcess.with { server in
            let place = server.place
            let before = try #require(place.text(place.data + "/endpoints"))
            let second = try ServerProcess.run(
                place,
                [
                    "--data", place.data, "--listen", "127.0.0.1:0", "--store", "sqlite:\(place.path)/other.sqlite",
                ], output: place.path + "/second.log")
            #expect(try await second.end(within: 20) == .exited(1))
            let said = try #require(place.text(place.path + "/second.log"))
            let pid = try #require(server.child?.pid)
            #expect(
                said.contains("data: '\(place.data)' is used by process \(pid)") && said.contains("--data"), "\(said)")
            #expect(said.split(separator: "\n").count == 1, "one sentence: \(said)")
            #expect(place.text(place.data + "/endpoints") == before)
            #expect(!place.exists(place.path + "/other.sqlite"))
            #expect(try await server.client().serverInfo().isServing)
        }
    }

    @Test("the lock of the data directory is no way out of it")
    func lockIsNoLink() async throws {
        try await TestPlace.with { place in
            try place.write("precious", "text")
            try FileManager.default.createSymbolicLink(
                atPath: place.data + "/lock", withDestinationPath: place.path + "/precious")
            let server = try ServerProcess.run(place, ["--data", place.data, "--listen", "127.0.0.1:0"])
            #expect(try await server.end(within: 20) == .exited(1))
            #expect(place.text(place.log)?.contains("cannot lock '\(place.data)/lock'") == true)
            #expect(place.text(place.path + "/precious") == "text")
        }
    }

    @Test("a server with the id of a living one is refused and told what to do; a restart after kill -9 does not wait")
    func twin() async throws {
        let world = try await FleetWorld.shared
        try await world.with(servers: 1, lease: 12) { servers in
            let server = servers[0]
            let client = try server.client()
            let id = try await client.start(FleetWorld.spec(steps: 1, task: "hold")).workflow.id
            let running = try await client.wait(for: id) { $0.steps[0].current?.status == .started }
            try await TestPlace.with { place in
                try FileManager.default.copyItem(
                    atPath: server.place.data + "/server-id", toPath: place.data + "/server-id")
                let twin = ServerProcess(place, environment: server.environment)
                try twin.spawn()
                #expect(try await twin.child?.end(within: 30) == .exited(1))
                #expect(twin.logText.contains("remove the file server-id"), "\(twin.logText)")
                #expect(!place.exists(place.data + "/endpoints"))
            }
            // The other one goes on, and nothing of its work was touched.
            let found = try await client.status(id, previousAttempts: true)
            #expect(found.steps[0].attempts.count == 1 && found.version == running.version)
            try await server.killNow()
            let begun = ContinuousClock.now
            try await server.start()
            #expect(begun.duration(to: .now) < .seconds(8), "it does not wait until its own lease has run out")
            world.marks.openGate(of: try #require(running.steps[0].current?.id))
            #expect(try await client.waitUntilDone(id).status == .success)
        }
    }

    @Test("a server that cannot listen takes no work and keeps none: another goes on with its workflows")
    func cannotListen() async throws {
        let world = try await FleetWorld.shared
        let database = "life\(UInt32.random(in: 0 ... .max))"
        var environment = world.environment(database: database)
        environment["RHYTHM_LEASE"] = "3"
        try await ServerProcess.with(environment: environment) { crashing in
            let client = try crashing.client()
            let spec = try FleetWorld.spec(steps: 3, task: "sleep", kwargs: #"{"seconds":0.5}"#)
            var ids: [WorkflowID] = []
            for _ in 0..<4 { ids.append(try await client.start(spec).workflow.id) }
            _ = try await client.wait(for: ids[0]) { $0.steps[0].current?.status == .started }
            try await crashing.killNow()
            let squatter = try PortHolder(of: try #require(crashing.endpoint))
            defer { squatter.close() }
            try await ServerProcess.with(environment: environment) { other in
                let second = try other.client()
                let done = Task { [ids] in
                    for id in ids {
                        let workflow = try await second.wait(for: id, seconds: 40) { $0.status.isDone }
                        #expect(workflow.status == .success)
                    }
                }
                var starts = 0
                let deadline = ContinuousClock.now + .seconds(6)
                repeat {
                    try crashing.spawn()
                    #expect(try await crashing.child?.end(within: 20) == .exited(1), "start \(starts)")
                    starts += 1
                } while ContinuousClock.now < deadline
                #expect(crashing.logText.contains("cannot listen on"))
                try await done.value
                let leases = try MongoPool(uri: "mongodb://127.0.0.1:\(world.databasePort)/\(database)")
                let id = try #require(crashing.place.text(crashing.place.data + "/server-id"))
                let lease = try leases.findOne(
                    "rhythm_servers", filter: ["_id": .string(id.trimmingCharacters(in: .whitespacesAndNewlines))])
                let renewed = lease?["renewed_at"]?.dateMilliseconds ?? 0
                #expect(renewed < Int64(Date().timeIntervalSince1970 * 1000) - 5_000, "no start has renewed it")
            }
        }
    }

    @Test("a start that fails after the lease gives it back")
    func failsAfterTheLease() async throws {
        let database = try MongoServer(.standalone)
        database.kill()
        try await TestPlace.with { place in
            let server = ServerProcess(
                place,
                environment: ["RHYTHM_STORE": database.address("late", options: "serverSelectionTimeoutMS=500")])
            try server.spawn()
            try await place.wait("it waits for the store") { server.logText.contains("the store is away") }
            // Where it is to write its addresses, which it does last of all, nothing can be written.
            try FileManager.default.createDirectory(
                atPath: place.data + "/endpoints/in-the-way", withIntermediateDirectories: true)
            try database.start()
            #expect(try await server.child?.end(within: 30) == .exited(1))
            #expect(server.logText.contains("cannot write '\(place.data)/endpoints'"), "\(server.logText)")
            let left = try MongoPool(uri: database.address("late")).find("rhythm_servers", filter: [:])
            #expect(left.compactMap { $0["_id"]?.stringValue } == [":schema"], "it had a lease, and gave it back")
            try FileManager.default.removeItem(atPath: place.data + "/endpoints")
            try await server.start()
            try await server.stop()
        }
    }

    @Test("a start that fails before it asks the store: the bad part is named, and nobody waits for anything")
    func failsEarly() async throws {
        let world = try await FleetWorld.shared
        let database = "life\(UInt32.random(in: 0 ... .max))"
        try await TestPlace.with { place in
            let taken = try PortHolder(of: "127.0.0.1:0")
            defer { taken.close() }
            for (options, said) in [
                (["--metrics", "127.0.0.1:\(taken.port)"], "metrics: cannot listen"),
                (["--listen", "127.0.0.1:\(taken.port)"], "cannot listen on"),
            ] {
                let server = try ServerProcess.run(
                    place, ["--data", place.data, "--listen", "127.0.0.1:0"] + options,
                    environment: world.environment(database: database))
                #expect(try await server.end(within: 20) == .exited(1))
                #expect(place.text(place.log)?.contains(said) == true)
            }
            let pool = try MongoPool(uri: "mongodb://127.0.0.1:\(world.databasePort)/\(database)")
            #expect(try pool.find("rhythm_servers", filter: [:]) == [], "no lease, no mark: the store was not asked")
        }
    }

    @Test("many starts that fail: each ends in an orderly way")
    func manyFailingStarts() async throws {
        let server = try MongoServer(.standalone)
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        try MongoPool(uri: server.address("many")).insert(
            "rhythm_servers",
            ["_id": "other", "renewed_at": .date(milliseconds: now), "duration_ms": 600_000, "shared": false])
        try await TestPlace.with { place in
            let taken = try PortHolder(of: "127.0.0.1:0")
            defer { taken.close() }
            for number in 0..<12 {
                // Two of three get as far as threads of their own, those of the driver among them.
                let options =
                    [
                        ["--metrics", "127.0.0.1:\(taken.port)", "--listen", "127.0.0.1:0"],
                        ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"], ["--listen", "127.0.0.1:0"],
                    ][number % 3]
                let child = try ServerProcess.run(
                    place, ["--data", place.data] + options,
                    environment: ["RHYTHM_STORE": server.address("many")])
                let end = try await child.end(within: 20)
                #expect(end == .exited(1), "start \(number)")
                if number % 3 > 0 { #expect(place.text(place.log)?.contains("is used by server 'other'") == true) }
                #expect(!place.exists("/dev/shm/mongoc-\(child.pid)"), "the driver's counters are left behind")
            }
        }
    }

    @Test("a database that is away at the start is waited for, and who asks is told so; with a limit the start ends")
    func databaseIsAway() async throws {
        let database = try MongoServer(.standalone)
        database.kill()
        try await TestPlace.with { place in
            let environment = ["RHYTHM_STORE": database.address("away", options: "serverSelectionTimeoutMS=500")]
            let hasty = ServerProcess(place, options: ["--start-timeout", "1"], environment: environment)
            try hasty.spawn()
            #expect(try await hasty.child?.end(within: 20) == .exited(1))
            #expect(hasty.logText.contains("No suitable servers found"))

            let port = try freePort()
            let options = ["--listen", "127.0.0.1:\(port)"]
            let server = ServerProcess(place, options: options, environment: environment)
            try server.spawn()
            try await place.wait("it says that it waits") {
                server.logText.contains("the store is away, waiting for it")
            }
            let early = try RhythmClient(endpoint: "127.0.0.1:\(port)", options: .init())
            let error = await #expect(throws: RhythmError.self) {
                _ = try await early.serverInfo(timeout: .seconds(2))
            }
            #expect(
                error?.effect != .unknown && error?.message.contains("the store is away") == true,
                "\(String(describing: error))")
            #expect(!place.exists(place.data + "/endpoints"))
            try database.start()
            // The same client finds it, without being told.
            #expect(try await early.serverInfo(timeout: .seconds(20)).isServing)
            try await server.waitUntilReady()
            try await server.stop()
        }
    }

    @Test("SIGTERM ends a start that waits")
    func stoppedWhileWaiting() async throws {
        let database = try MongoServer(.standalone)
        database.kill()
        try await TestPlace.with { place in
            let server = ServerProcess(place, environment: ["RHYTHM_STORE": database.address("away")])
            try server.spawn()
            try await place.wait("it listens") { server.logText.contains("the store is away") }
            #expect(try await server.stop() < .seconds(5))
        }
    }
}

/// Another program that listens where a server wants to.
final class PortHolder {
    let port: Int
    private let descriptor: Int32

    /// - Parameter endpoint: `127.0.0.1:PORT`; with port 0 the system chooses.
    init(of endpoint: String) throws {
        let wanted = UInt16(endpoint.split(separator: ":").last ?? "") ?? 0
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        descriptor = socket
        var one: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = wanted.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, size) == 0 && listen(socket, 8) == 0
                    && getsockname(socket, address, &size) == 0
            }
        }
        guard bound else { throw Processes.CannotStart(description: "\(endpoint) is taken: errno \(errno)") }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    func close() { Glibc.close(descriptor) }
}
