import ArgumentParser
package import RhythmClient
import RhythmCore

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show what a step wrote.",
        discussion: """
            EXAMPLE:
              rhythm logs -f 36b598c1 --step inspect --tail 20

            Without --step the pending step is meant, or the last one; without --attempt
            its latest attempt.
            """)

    /// With --tail, lines are looked for in this much per line, and no further back.
    private static let bytesPerLine: Int64 = 4096
    private static let mostTailBytes: Int64 = 64 << 20

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @Flag(name: .shortAndLong, help: "Go on until the attempt has ended.")
    var follow = false

    @Option(help: "The name of the step.")
    var step: String?

    @Option(help: ArgumentHelp("The number of the attempt.", valueName: "n"))
    var attempt: Int?

    @Option(help: ArgumentHelp("Only the last lines.", valueName: "n"))
    var tail: Int?

    @OptionGroup var server: ServerOptions

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail is not negative.") }
    }

    func run() async throws {
        let client = try server.client()
        let id = try await client.workflow(id)
        let taskID = try await attemptID(client, id)
        let offset = tail.map { -min(Self.mostTailBytes, max(1, Int64($0)) * Self.bytesPerLine) } ?? 0
        var printer = LogPrinter(tail: tail, json: server.json)
        for try await chunk in client.tailLog(id, step: step, taskID: taskID, offset: offset, follow: follow) {
            Terminal.standard.out(printer.take(chunk))
        }
        Terminal.standard.out(printer.finish())
    }

    private func attemptID(_ client: RhythmClient, _ id: WorkflowID) async throws -> TaskID? {
        guard let attempt else { return nil }
        let workflow = try await client.status(id, previousAttempts: true, omitResults: true)
        let found =
            step.map { name in workflow.steps.first { $0.spec.name == name } }
            ?? workflow.pendingStep ?? workflow.steps.last
        guard let found else {
            throw CommandFailure(
                .notFound, "\(id) has no step '\(step ?? "")'",
                advice: "It has " + workflow.steps.map { "'\($0.spec.name.printable)'" }.joined(separator: ", ") + ".")
        }
        guard let run = found.attempts.first(where: { $0.number == attempt }) else {
            throw CommandFailure(
                .notFound, "step '\(found.spec.name.printable)' has no attempt \(attempt)",
                advice: "It has had \(found.attempts.count).")
        }
        return run.id
    }
}

/// Cuts the beginning of a log down to its last lines, and passes on the rest as it comes.
package struct LogPrinter {
    /// Nil once what had been written before has been printed.
    private var backlog: [UInt8]?
    private let tail: Int
    private let json: Bool

    /// Without `tail` everything is printed.
    package init(tail: Int?, json: Bool = false) {
        backlog = tail == nil || json ? nil : []
        self.tail = tail ?? 0
        self.json = json
    }

    /// What is to be printed now.
    package mutating func take(_ chunk: LogChunk) -> [UInt8] {
        if json {
            let value = JSONValue.object([
                .init("task_id", .string(chunk.taskID.rawValue)), .init("offset", .integer(chunk.offset)),
                .init("text", .string(String(decoding: chunk.bytes, as: UTF8.self))),
                .init("complete", .bool(chunk.isComplete)),
            ])
            return Array((value.compactText + "\n").utf8)
        }
        guard backlog != nil else { return chunk.bytes }
        backlog?.append(contentsOf: chunk.bytes)
        guard chunk.offset + Int64(chunk.bytes.count) >= chunk.endOffset || chunk.isComplete else { return [] }
        return finish()
    }

    /// What is still to be printed at the end.
    package mutating func finish() -> [UInt8] {
        guard let bytes = backlog else { return [] }
        backlog = nil
        var lines = 0
        var start = bytes.endIndex
        // A newline at the very end closes the last line; it begins no further one.
        if bytes.last == UInt8(ascii: "\n") { start -= 1 }
        if tail == 0 { return [] }
        while start > bytes.startIndex {
            if bytes[start - 1] == UInt8(ascii: "\n") {
                lines += 1
                if lines == tail { break }
            }
            start -= 1
        }
        return Array(bytes[start...])
    }
}
