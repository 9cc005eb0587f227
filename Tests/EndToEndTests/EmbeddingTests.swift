import Foundation
import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import RhythmStoreSQLite
import Synchronization
import Testing

/// The engine inside another program, without server or processes.
@Suite struct EmbeddingTests {
    @Test("the README's example runs, and what it stored is there for the next program")
    func example() async throws {
        try await TestPlace.with { place in
            let path = place.data + "/flows.sqlite"
            let seen = Mutex<Workflow?>(nil)
            try await embeddedExample(path) { engine, id in
                let deadline = ContinuousClock.now + .seconds(20)
                while try engine.workflow(id)?.status.isDone != true, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(2))
                }
                let workflow = try engine.workflow(id)
                seen.withLock { $0 = workflow }
                await engine.stop()
            }
            let workflow = try #require(seen.withLock { $0 })
            #expect(workflow.status == .success && workflow.name == "greeting")
            #expect(workflow.steps.allSatisfy { $0.current?.result?.text.hasPrefix("[\"hello, ") == true })
            let store = try SQLiteStore(path: path)
            #expect(try store.load(workflow.id)?.status == .success)
        }
    }

    @Test("the README shows the very example that is run here")
    func readme() throws {
        let file = URL(fileURLWithPath: #filePath)
        let here = try lines(in: String(contentsOf: file, encoding: .utf8), from: "// README {\n", to: "// README }")
        let root = file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let chapter = try #require(readme.range(of: "## Embedding the engine\n"))
        let shown = try lines(in: String(readme[chapter.upperBound...]), from: "```swift\n", to: "```")
            .filter { !$0.hasPrefix("import ") }
        #expect(shown == here.map { $0.replacing("path: path", with: "path: \"flows.sqlite\"") })
    }

    /// The lines between two marks, without their common indentation and without empty ones.
    private func lines(in text: String, from begin: String, to end: String) throws -> [String] {
        let start = try #require(text.range(of: begin))
        let stop = try #require(text.range(of: end, range: start.upperBound..<text.endIndex))
        let lines = text[start.upperBound..<stop.lowerBound].split(separator: "\n").map { String($0) }
            .filter { !$0.allSatisfy(\.isWhitespace) }
        let margin = lines.map { $0.prefix { $0 == " " }.count }.min() ?? 0
        return lines.map { String($0.dropFirst(margin)) }
    }
}

/// The README's example; `then` gets what it has made.
private func embeddedExample(
    _ path: String, then: (EngineService, WorkflowID) async throws -> Void
) async throws {
    // README {
    let runner = InProcessRunner()
    runner.register("greet") { invocation in
        JSON.array(of: [.string("hello, \(invocation.argument?.text ?? "nobody")")])
    }
    let engine = EngineService(store: try SQLiteStore(path: path), runner: runner)
    try await engine.start()

    let spec = WorkflowSpec(
        name: "greeting", appID: "example", args: try JSON(parsing: "[\"world\"]"),
        steps: [StepSpec(name: "greet", task: "greet"), StepSpec(name: "again", task: "greet")])
    let reply = try await engine.submit(.start(spec, requestID: "greeting-1"))
    guard case .started(let workflow, _) = reply else { return }
    print("durable as", workflow.id)
    // README }
    try await then(engine, workflow.id)
}
