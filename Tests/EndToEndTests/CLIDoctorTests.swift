import Foundation
import RhythmCommands
import RhythmCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct CLIDoctorTests {
    private static let findings = [
        Finding(
            .error, "no_consumer", "queue q2", "no worker takes from it, 3 messages wait",
            consequence: "workflow 36b598c1-1111-4222-8333-944445555666 cannot go on",
            remedy: "start a worker with --queues q2, or correct the queue in the workflow"),
        Finding(
            .warning, "prefetch", "workers w1@one.example.org, w2@two.example.org and 3 more",
            "it takes 16 tasks at once and runs 4",
            consequence:
                "a step waits there behind a long one while other workers are idle, and priorities do not count"
                + " among those that were taken", remedy: "worker_prefetch_multiplier = 1"),
        Finding(.notice, "version", "worker w1@one", "it runs Celery 5.8\u{1B}[2J", consequence: "untested"),
        Finding(.ok, "store", "store", "it stores what it is given"),
    ]

    @Test func findingsAreAligned() throws {
        try expectSnapshot(DoctorView.text(Self.findings, columns: 80, style: .plain), "doctor")
        try expectSnapshot(DoctorView.json(Self.findings).prettyText + "\n", "doctor-json")
        #expect(
            DoctorView.text([Self.findings[3]], columns: 80, style: .plain)
                == "OK       store  it stores what it is given\n\nEverything is as it should be.\n")
    }

    @Test func aRealServerIsExamined() async throws {
        try await CLIServer.with { server in
            try server.task("hold", "sleep 60")
            let healthy = try await server.rhythm("doctor")
            #expect(healthy.status == 0, "\(healthy)")
            #expect(healthy.out.contains("OK       tasks"))

            let file = try server.file(
                "w.yaml", "name: demo\nsteps: [{name: first, task: hold}, {name: second, task: absent}]\n")
            _ = try await server.rhythm("start", file)
            let later = try await server.rhythm("doctor", "--json")
            #expect(later.status == 0, "\(later)")
            #expect(later.out.contains("\"subject\": \"task absent\""))
            #expect(later.out.contains("\"severity\": \"warning\""))

            try FileManager.default.removeItem(at: server.folder.appending(path: "tasks"))
            let broken = try await server.rhythm("doctor")
            #expect(broken.status == 1)
            #expect(broken.out.hasPrefix("ERROR    tasks"))
            #expect(broken.err.isEmpty)
            _ = try await server.rhythm("cancel", try await server.onlyID())
        }
    }
}
