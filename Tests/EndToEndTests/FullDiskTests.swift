import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// A data directory without room.
@Suite(.showsServerLog, .timeLimit(.minutes(2))) struct FullDiskTests {
    @Test("a full disk refuses starts without a trace, and works again once there is room")
    func fullDisk() async throws {
        try await TestPlace.with { place in
            let mounted = try await run(place, "/bin/mount", ["-t", "tmpfs", "-o", "size=4m", "small", place.data])
            guard mounted else {
                try Test.cancel("a file system of 4 MiB cannot be mounted here (it takes root)")
            }
            defer { _ = umount2(place.data, Int32(MNT_DETACH)) }
            let server = ServerProcess(place)
            try await server.start()
            try place.task("pass", "exit 0")
            let client = try server.client()
            let first = try await client.start(spec("first")).workflow.id
            #expect(try await client.waitUntilDone(first).status == .success)

            try fill(place.data + "/filler")
            var acknowledged: Set<WorkflowID> = [first]
            let (number, refusal) = try await startUntilRefused(client, &acknowledged)
            #expect(refusal.code == .resourceExhausted && refusal.reason == "STORE_FULL", "\(refusal)")
            #expect(refusal.effect == .none)
            #expect(try await client.serverInfo().isServing == false)
            let findings = try await client.diagnose()
            #expect(
                Set(findings.filter { $0.severity == .error }.map(\.code)).isSuperset(of: ["store_trouble", "disk"]),
                "\(findings)")
            #expect(Set(try await client.list().rows.map(\.id)) == acknowledged, "nothing half-written")

            try FileManager.default.removeItem(atPath: place.data + "/filler")
            // The very request that was refused: it had left nothing behind that could be repeated.
            let again = try await client.start(big, requestID: "big-\(number)")
            #expect(!again.replayed)
            acknowledged.insert(again.workflow.id)
            #expect(try await client.waitUntilDone(again.workflow.id).status == .success)
            #expect(try await client.serverInfo().isServing)
            try await server.killNow()
            try await server.start()
            #expect(Set(try await client.list().rows.map(\.id)) == acknowledged)
        }
    }

    private func spec(_ name: String, padding: Int = 0) -> WorkflowSpec {
        WorkflowSpec(
            name: name, appID: "e2e", args: JSON(.array([.string(String(repeating: "x", count: padding))])),
            steps: [StepSpec(name: "only", task: "pass")])
    }

    private var big: WorkflowSpec { spec("big", padding: 200_000) }

    /// There may be room left in files that are there already, so it can take a few starts.
    ///
    /// - Returns: which one was refused, and how.
    private func startUntilRefused(
        _ client: RhythmClient, _ acknowledged: inout Set<WorkflowID>
    ) async throws -> (Int, RhythmError) {
        for number in 0..<100 {
            do {
                acknowledged.insert(try await client.start(big, requestID: "big-\(number)").workflow.id)
            } catch {
                return (number, error)
            }
        }
        throw NeverFull()
    }

    private struct NeverFull: Error {}

    private func fill(_ path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { close(file) }
        let zeroes = [UInt8](repeating: 0, count: 4096)
        while write(file, zeroes, zeroes.count) > 0 {}
        #expect(errno == ENOSPC)
    }

    private func run(_ place: TestPlace, _ program: String, _ arguments: [String]) async throws -> Bool {
        let child = try Processes.Child(program, arguments, environment: [:], output: place.log)
        return try await child.end(within: 20) == .exited(0)
    }
}
