import Glibc
package import RhythmCore
package import RhythmEngine
import Synchronization
package import Testing

/// A runner with everything that it reports.
package final class RunnerUnderTest: Sendable {
    package let runner: any TaskRunner
    private let log = Mutex<[Report]>([])

    package init(_ runner: any TaskRunner) { self.runner = runner }

    package func start(_ outstanding: [Effect]) {
        runner.start(outstanding: outstanding) { [weak self] reports in
            self?.log.withLock { $0 += reports }
        }
    }

    package func perform(_ effects: [Effect]) { runner.perform(effects) }

    package func stop() { runner.stop() }

    package var all: [Report] { log.withLock { $0 } }

    package func reports(of id: TaskID) -> [Observation] {
        log.withLock { $0.filter { $0.taskID == id }.map(\.observation) }
    }

    package func ends(of id: TaskID) -> [Observation] { reports(of: id).filter(\.isEnd) }

    /// The first end that is reported of an attempt.
    package func end(of id: TaskID, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Observation {
        try await wait(sourceLocation: sourceLocation) { !$0.ends(of: id).isEmpty }
        return try #require(ends(of: id).first, sourceLocation: sourceLocation)
    }

    package func isQueued(_ id: TaskID) -> Bool {
        reports(of: id).contains { if case .queued = $0 { true } else { false } }
    }

    func startTime(of id: TaskID) -> Timestamp? {
        for case .started(let at, _) in reports(of: id) { return at }
        return nil
    }

    func endTime(of id: TaskID) -> Timestamp? {
        for case .succeeded(_, let at) in reports(of: id) { return at }
        return nil
    }

    func onlyRevokes(of id: TaskID) -> Bool { ends(of: id).allSatisfy(\.isRevoked) }

    package func expectSuccess(
        of id: TaskID, _ text: String?, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let end = try await end(of: id, sourceLocation: sourceLocation)
        #expect(end.isSuccess(text), "\(end)", sourceLocation: sourceLocation)
    }

    package func expectFailure(
        of id: TaskID, _ type: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let end = try await end(of: id, sourceLocation: sourceLocation)
        #expect(end.failure?.type == type, "\(end)", sourceLocation: sourceLocation)
    }

    package func expectRevoked(of id: TaskID, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let end = try await end(of: id, sourceLocation: sourceLocation)
        #expect(end.isRevoked, "\(end)", sourceLocation: sourceLocation)
    }

    /// Waits until something is true of the reports.
    package func wait(
        seconds: Double = 60, sourceLocation: SourceLocation = #_sourceLocation,
        until condition: (RunnerUnderTest) -> Bool
    ) async throws {
        try await waitUntil("the reports are \(all.suffix(10))", seconds: seconds, sourceLocation: sourceLocation) {
            condition(self)
        }
    }
}

/// Files through which tests and tasks talk: `ID.runs` gets a line whenever the attempt is begun, `order` its id too, and
/// `times` the time when Celery's tasks begin and when some of them have done their work; `ID.gate` lets a waiting task
/// go on; `ID.finishes` gets a line when a brief one comes to its end.
package struct RunnerMarks: Sendable {
    package let directory: String

    package init(directory: String) { self.directory = directory }

    package func runs(of id: TaskID) -> Int { lines("\(id).runs").count }

    package func finishes(of id: TaskID) -> Int { lines("\(id).finishes").count }

    /// What Celery's tasks wrote down about their runs.
    package var record: RecordBook { RecordBook(path: directory + "/record") }

    /// Attempts in the order in which they were begun.
    package var order: [TaskID] { lines("order").map { TaskID($0) } }

    package func openGate(of id: TaskID) { append("", to: "\(id).gate") }

    package func gateIsOpen(of id: TaskID) -> Bool { access("\(directory)/\(id).gate", F_OK) == 0 }

    package func leave(for id: TaskID) {
        append("\(id)\n", to: "order")
        append("run\n", to: "\(id).runs")
    }

    package func leaveFinish(for id: TaskID) { append("finish\n", to: "\(id).finishes") }

    package func waitForRun(of id: TaskID, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await wait(sourceLocation: sourceLocation) { $0.runs(of: id) > 0 }
    }

    package func wait(
        sourceLocation: SourceLocation = #_sourceLocation, until condition: (RunnerMarks) -> Bool
    ) async throws {
        try await waitUntil("the attempts begun are \(order)", seconds: 60, sourceLocation: sourceLocation) {
            condition(self)
        }
    }

    private func lines(_ name: String) -> [String] {
        guard let file = fopen("\(directory)/\(name)", "re") else { return [] }
        defer { fclose(file) }
        var lines: [String] = []
        var buffer = [CChar](repeating: 0, count: 256)
        while fgets(&buffer, Int32(buffer.count), file) != nil {
            let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            lines.append(String(decoding: bytes.filter { $0 != 0x0A }, as: UTF8.self))
        }
        return lines
    }

    private func append(_ text: String, to name: String) {
        let file = open("\(directory)/\(name)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        _ = text.withCString { write(file, $0, strlen($0)) }
        close(file)
    }
}

/// Waits for a condition; fails the test with what `message` says by then when the time is over.
package func waitUntil(
    _ message: @autoclosure () -> String, seconds: Double, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while !(try await condition()) {
        guard ContinuousClock.now < deadline else {
            Issue.record("waited for \(seconds) s; \(message())", sourceLocation: sourceLocation)
            throw WaitedTooLong()
        }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// A condition did not become true in time; the issue that was recorded says which.
package struct WaitedTooLong: Error {}

extension Observation {
    package func isSuccess(_ text: String?) -> Bool {
        if case .succeeded(let result, _) = self { result?.text == text } else { false }
    }

    package var isRevoked: Bool { if case .revoked = self { true } else { false } }

    package var failure: Failure? { if case .failed(let failure, _) = self { failure } else { nil } }
}

extension TaskID {
    package static func random() -> TaskID {
        TaskID((0..<16).map { _ in "0123456789abcdef".randomElement().map(String.init) ?? "" }.joined())
    }
}
