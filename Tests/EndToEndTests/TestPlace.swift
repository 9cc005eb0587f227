import Foundation
import RhythmTesting
import Synchronization
import Testing

/// A folder for one test, with a data directory, a tasks directory, the server's log and the journal that tasks write.
/// When the test is over, everything that still runs there is ended and the folder is removed; when it has failed, the
/// log is shown first.
struct TestPlace: Sendable {
    let path: String
    var data: String { path + "/data" }
    var tasks: String { path + "/tasks" }
    var log: String { path + "/rhythmd.log" }
    var journal: Journal { Journal(path: path + "/journal") }
    /// For tests whose verdict is a judge's.
    var record: RecordBook { RecordBook(path: path + "/record") }

    /// Whether an issue was recorded while a place was in use.
    private final class Verdict: Sendable {
        let hasIssues = Mutex(false)
    }

    @TaskLocal private static var verdict: Verdict?

    /// Called for each issue of a test that is marked ``Testing/Trait/showsServerLog``.
    static func noteIssue() { verdict?.hasIssues.withLock { $0 = true } }

    static func with<Outcome>(_ body: (TestPlace) async throws -> Outcome) async throws -> Outcome {
        var template = Array("/tmp/rhythm-e2e.XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        let place = TestPlace(path: try #require(made))
        let verdict = Verdict()
        defer {
            Processes.end(belongingTo: place.path)
            if verdict.hasIssues.withLock({ $0 }) { place.showLog() }
            try? FileManager.default.removeItem(atPath: place.path)
        }
        for folder in [place.data, place.tasks] {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        do {
            return try await $verdict.withValue(verdict) { try await body(place) }
        } catch {
            verdict.hasIssues.withLock { $0 = true }
            throw error
        }
    }

    /// Writes an executable file into the tasks directory. The words JOURNAL and PLACE in it stand for paths.
    func task(_ name: String, _ script: String, interpreter: String = "/bin/sh") throws {
        let text = "#!\(interpreter)\n" + script.replacing("JOURNAL", with: journal.path).replacing("PLACE", with: path)
        let file = tasks + "/" + name
        try Data((text + "\n").utf8).write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: file)
    }

    func write(_ name: String, _ text: String = "") throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    func text(_ file: String) -> String? { try? String(contentsOfFile: file, encoding: .utf8) }

    func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: file) }

    /// Waits for a condition of the place's files or processes.
    func wait(
        _ what: String, seconds: Double = 30, sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool
    ) async throws {
        try await waitUntil(what, seconds: seconds, sourceLocation: sourceLocation, condition)
    }

    private func showLog() {
        let lines = (text(log) ?? "").split(separator: "\n").suffix(200).joined(separator: "\n")
        FileHandle.standardError.write(Data("---- \(log)\n\(lines)\n---- end of \(log)\n".utf8))
    }
}

extension Trait where Self == IssueHandlingTrait {
    /// When the test fails, the end of its server's log is shown.
    static var showsServerLog: Self {
        .compactMapIssues { issue in
            TestPlace.noteIssue()
            return issue
        }
    }
}
