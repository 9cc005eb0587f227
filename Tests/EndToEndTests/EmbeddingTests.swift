import Foundation
import RhythmCore
import RhythmEngine
import RhythmInProcessRunner
import RhythmStoreSQLite
import Testing

/// The engine inside another program, without server or processes.
@Suite struct EmbeddingTests {
    @Test("the README's example runs, and what it stored is there for the next one")
    func example() async throws {
        try await TestPlace.with { place in
            let path = place.data + "/flows.sqlite"
            let workflow = try await embeddedExample(storePath: path)
            #expect(workflow.status == .success)
            #expect(workflow.steps.map { $0.current?.result?.text } == ["[6]", #"["the sum is 6"]"#])
            let store = try SQLiteStore(path: path)
            #expect(try store.load(workflow.id)?.status == .success)
        }
    }

    @Test("the README shows the very example that is run here")
    func readme() throws {
        let file = URL(fileURLWithPath: #filePath)
        let example = try example(in: String(contentsOf: file, encoding: .utf8), from: "// README {", to: "// README }")
        let root = file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let shown = try self.example(in: readme, from: "<!-- embedding -->\n```swift", to: "```")
        #expect(shown == example)
    }

    /// The lines between two marks, without their common indentation.
    private func example(in text: String, from begin: String, to end: String) throws -> [String] {
        let start = try #require(text.range(of: begin + "\n"))
        let stop = try #require(text.range(of: end, range: start.upperBound..<text.endIndex))
        let lines = text[start.upperBound..<stop.lowerBound].split(separator: "\n").map { String($0) }
            .filter { !$0.allSatisfy(\.isWhitespace) }
        let margin = lines.map { $0.prefix { $0 == " " }.count }.min() ?? 0
        return lines.map { String($0.dropFirst(margin)) }
    }
}

private func embeddedExample(storePath: String) async throws -> Workflow {
    // README {
    let runner = InProcessRunner()
    runner.register("sum") { invocation in
        let numbers = invocation.argument?.value.arrayValue ?? []
        return JSON(.array([.integer(numbers.compactMap(\.intValue).reduce(0, +))]))
    }
    runner.register("say") { invocation in
        JSON(.array([.string("the sum is \(invocation.argument?.text ?? "unknown")")]))
    }
    let service = EngineService(store: try SQLiteStore(path: storePath), runner: runner)
    try await service.start()

    let (events, sink) = AsyncStream.makeStream(of: Event.self)
    service.observe { publication in
        for change in publication.changes { for event in change.events { sink.yield(event) } }
    }
    let id: WorkflowID = "addition-17"
    let spec = WorkflowSpec(
        id: id, name: "addition", appID: "example", args: try JSON(parsing: "[[1, 2, 3]]"),
        steps: [StepSpec(name: "add", task: "sum"), StepSpec(name: "tell", task: "say")])
    _ = try await service.submit(.start(spec, requestID: "order-17"))
    for await event in events where event.workflowID == id && event.status.isDone { break }
    let workflow = try service.workflow(id)
    await service.stop()
    // README }
    return try #require(workflow)
}
