import Foundation
import Glibc
import RhythmCore
import RhythmTesting
import Testing

/// `rhythmd` and `rhythm adopt` as people run them.
@Suite(.timeLimit(.minutes(5)))
struct CommandTests {
    @Test func adoptByCommand() async throws {
        let world = try await AdoptionWorld.shared
        let place = try ProcessGuard.shared.get().makeFolder("command")
        let database = world.celery.mongo.address("command")
        let server = try Processes.Child(
            Processes.buildFolder + "/rhythmd",
            [
                "--data", place + "/data", "--listen", "unix:\(place)/s", "--store", database, "--broker",
                world.celery.broker.address, "--worker-lost-after", "6",
            ], environment: ["PATH": "/usr/bin:/bin", "HOME": place], output: place + "/log")
        try ProcessGuard.shared.get().watch(server)
        defer {
            server.signal(SIGKILL)
            try? ProcessGuard.shared.get().forget(server)
        }
        let description = JSONValue.object([
            .init("name", .string("old")), .init("app_id", .string("tests")),
            .init("steps", .array([try AdoptionWorld.step("a", "workflow.forward", queue: "queue10")])),
        ])
        let id = try #require(
            try await world.library("create", description.compactText, backend: database).stringValue)
        try await world.wait(forFile: place + "/data/endpoints")

        func adopt(_ arguments: String...) async throws -> (Processes.Child.End?, String) {
            try await rhythm(["adopt"] + arguments, place)
        }
        let refused = try await adopt(id, "--quiet-for", "0s")
        #expect(refused.0 == .exited(5) && refused.1.contains("refused: it was created"), "\(refused)")
        #expect(refused.1.contains("--args"), "\(refused)")
        let all = try await rhythm(["adopt", "--all", "--dry-run"], place)
        #expect(all.0 == .exited(0) && all.1.contains("and may still move"), "\(all)")
        let adopted = try await adopt(String(id.prefix(8)), "--quiet-for", "0s", "--args", "[1]", "--json")
        #expect(adopted.0 == .exited(0), "\(adopted)")
        let json = try JSON(parsing: adopted.1).value
        #expect(json["workflows"]?.arrayValue?.first?["outcome"]?.stringValue == "adopted", "\(adopted)")
        #expect(json["workflows"]?.arrayValue?.first?["reason"]?.stringValue == "NEVER_SENT", "\(adopted)")
        // The workers of this module store elsewhere, so the server waits for an end that it does not see; that the
        // step was sent is what counts here.
        let status = try await rhythm(["status", id, "--json"], place)
        let shown = try JSON(parsing: status.1).value
        #expect(shown["args"]?.arrayValue?.count == 1 && (shown["version"]?.intValue ?? 0) >= 3, "\(status)")
        let again = try await rhythm(["adopt", id], place)
        #expect(again.0 == .exited(0) && again.1.contains("not stuck"), "\(again)")
        let usage = try await rhythm(["adopt"], place)
        #expect(usage.0 == .exited(2), "\(usage)")
    }

    private func rhythm(_ arguments: [String], _ place: String) async throws -> (Processes.Child.End?, String) {
        let output = try ProcessGuard.shared.get().makeFolder("rhythm") + "/output"
        let child = try Processes.Child(
            Processes.buildFolder + "/rhythm", arguments,
            environment: ["PATH": "/usr/bin:/bin", "HOME": place, "RHYTHM_SERVER": "unix:\(place)/s"], output: output)
        let end = try await child.end(within: 60)
        return (end, (try? String(contentsOfFile: output, encoding: .utf8)) ?? "")
    }
}
