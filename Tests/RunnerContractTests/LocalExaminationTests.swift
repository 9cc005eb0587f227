import Glibc
import RhythmCore
import RhythmEngine
import RhythmTesting
import Testing

@testable import RhythmLocalRunner

/// What the local runner says of itself.
@Suite(.timeLimit(.minutes(1))) struct LocalExaminationTests {
    private func examine(_ runner: any TaskRunner, _ needs: [TaskNeed]) async -> [Finding] {
        await withCheckedContinuation { continuation in
            runner.examine(needs) { continuation.resume(returning: Finding.inOrder($0)) }
        }
    }

    @Test func tasksThatCannotBeRun() async throws {
        try await LocalPlace.with { place in
            let runner = try place.makeRunner()
            defer { runner.stop() }
            place.write("good", "exit 0")
            place.write("unwilling", "exit 0", mode: 0o600)
            let needs = [
                TaskNeed(task: "good", isDue: true, example: "w1"),
                TaskNeed(task: "missing", isDue: true, example: "w1"),
                TaskNeed(task: "unwilling", isDue: false, workflows: 3, example: "w1"),
            ]
            let findings = await examine(runner, needs).filter { $0.code == "task_unusable" }
            #expect(findings.map(\.subject) == ["task missing", "task unwilling"])
            #expect(findings.map(\.severity) == [.error, .warning])
            #expect(findings.first?.consequence == "the step of workflow w1 fails with TaskNotFound when it starts")
            #expect(await examine(runner, []).allSatisfy { $0.severity == .ok })
        }
    }

    @Test func aTasksDirectoryThatIsGone() async throws {
        try await LocalPlace.with { place in
            let runner = try place.makeRunner()
            defer { runner.stop() }
            #expect(rename(place.tasks, place.tasks + ".away") == 0)
            let findings = await examine(runner, [TaskNeed(task: "good", isDue: true, example: "w1")])
            #expect(findings.first?.code == "tasks_directory")
            #expect(findings.first?.severity == .error)
            // That every task is missing as well need not be said.
            #expect(findings.filter { $0.severity == .error }.count == 1)
        }
    }

    @Test func howFullADiskMayBe() {
        func severity(free: UInt64, of total: UInt64 = 1 << 40, files: UInt64 = 1 << 20) -> Finding.Severity {
            LocalExamination.disk("/d", free: free, total: total, freeFiles: files, files: 1 << 20).severity
        }
        #expect(severity(free: 2 << 30) == .ok)
        #expect(severity(free: 900 << 20) == .warning)
        // A small disk: half of it is free.
        #expect(severity(free: 500 << 20, of: 1 << 30) == .ok)
        #expect(severity(free: 99 << 20) == .error)
        #expect(severity(free: 2 << 30, files: 500) == .warning)
        #expect(severity(free: 2 << 30, files: 5) == .error)
    }
}
