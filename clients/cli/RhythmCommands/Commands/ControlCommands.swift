import ArgumentParser
import Foundation
import RhythmClient
import RhythmCore

/// How a repetition of a command is told from another one.
struct RequestOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Names the request: the same again, on any server of the store, changes nothing more. (default: a new one)",
            valueName: "id"))
    var requestId: String?

    /// What was given, or one that nobody has used.
    var id: String { requestId ?? UUID().uuidString.lowercased() }
}

struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Hold a workflow.",
        discussion: """
            EXAMPLE:
              rhythm pause 36b598c1 --after-step

            The running step is stopped, and run again by 'rhythm resume'; with
            --after-step it may finish first.
            """)

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @Flag(help: "Let the running step finish.")
    var afterStep = false

    @Flag(help: "Give up a step that was told to stop 10 s ago and has not; it may still run.")
    var force = false

    @OptionGroup var request: RequestOptions

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let workflow = try await client.workflow(id)
        let result = try await client.pause(
            workflow, mode: afterStep ? .afterStep : .now, force: force, requestID: request.id)
        try ReceiptReport(workflow, result).print(json: server.json)
    }
}

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Let a workflow that failed or was paused go on.",
        discussion: """
            EXAMPLE:
              rhythm resume 36b598c1 --from inspect --args '["batch-8"]'

            The pending step runs again with the arguments it had; steps that succeeded
            are not repeated.
            """)

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @Option(help: ArgumentHelp("Other arguments, a JSON array.", valueName: "json"))
    var args: JSONArgument?

    @Option(help: ArgumentHelp("Run again from this earlier step on.", valueName: "step"))
    var from: String?

    @Flag(
        help: """
            Also if it is running: the running step is stopped and run again. One that \
            was told to stop 10 s ago and has not is given up; it may still run.
            """)
    var force = false

    @OptionGroup var request: RequestOptions

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let workflow = try await client.workflow(id)
        let result = try await client.resume(
            workflow, args: args?.json, fromStep: from, force: force, requestID: request.id)
        try ReceiptReport(workflow, result).print(json: server.json)
    }
}

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Give a workflow up for good.",
        discussion: """
            EXAMPLE:
              rhythm cancel 36b598c1

            The running step is stopped. A cancelled workflow cannot be resumed; its
            record stays until it is deleted.
            """)

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @Flag(help: "Give up a step that was told to stop 10 s ago and has not; it may still run.")
    var force = false

    @OptionGroup var request: RequestOptions

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let workflow = try await client.workflow(id)
        let result = try await client.cancel(workflow, force: force, requestID: request.id)
        try ReceiptReport(workflow, result).print(json: server.json)
    }
}

struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Remove a workflow with its attempts and logs.",
        discussion: """
            With --cancel it is removed as soon as nothing of it runs. That may take long if a worker is
            silent or dead. With --force it is removed at once: what has begun may go on unseen and leave
            its effects, what has not never begins.

            EXAMPLE:
              rhythm delete 36b598c1 --cancel
            """)

    @Argument(help: "The workflow, or the beginning of its id.")
    var id: String

    @Flag(help: "Cancel it first if it is active.")
    var cancel = false

    @Flag(help: "Do not wait until nothing of it runs; see above for what that risks.")
    var force = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let workflow = try await client.workflow(id)
        let outcome: DeleteOutcome
        do {
            outcome = try await client.delete(workflow, cancelFirst: cancel, force: force)
        } catch {
            guard error.code == .failedPrecondition, !cancel else { throw error }
            throw CommandFailure(.refused, error.message, advice: "Use --cancel to cancel it first.")
        }
        if server.json {
            return Terminal.standard.line(
                JSONValue.object([
                    .init("id", .string(workflow.rawValue)), .init("deleted", .bool(outcome == .deleted)),
                    .init("pending", .bool(outcome == .pending)),
                ]).prettyText)
        }
        switch outcome {
        case .deleted: Terminal.standard.line("Deleted \(workflow)")
        case .pending:
            Terminal.standard.line(
                "Cancelled \(workflow); it is deleted as soon as nothing of it runs (--force does not wait for that)")
        }
    }
}

/// What a pause, a resume or a cancel did, for people or programs.
struct ReceiptReport {
    private let workflow: WorkflowID
    private let result: CommandResult

    init(_ workflow: WorkflowID, _ result: CommandResult) {
        self.workflow = workflow
        self.result = result
    }

    /// Prints it.
    /// - Throws: ``CommandFailure`` if the command was refused.
    func print(json: Bool) throws {
        if json { Terminal.standard.line(result.json(for: workflow).prettyText) }
        guard result.receipt.accepted else {
            let why = result.receipt.message.isEmpty ? result.receipt.reason : result.receipt.message
            throw CommandFailure(.refused, "\(workflow): \(why)", advice: refusalAdvice)
        }
        if !json { Terminal.standard.out(ReceiptReport.text(result.receipt, of: workflow)) }
    }

    private var refusalAdvice: String {
        let id = Phrases.short(workflow)
        return result.receipt.command == .resume
            ? "'rhythm status \(id)' shows what it is doing; --force restarts a running step."
            : "'rhythm status \(id)' shows what it is doing."
    }

    /// The lines for people.
    static func text(_ receipt: Receipt, of workflow: WorkflowID) -> String {
        let id = Phrases.short(workflow)
        var text: String
        switch receipt.command {
        case .pause:
            text =
                receipt.already
                ? "Was paused before: \(id)"
                : receipt.status == .revoked ? "Paused \(id)" : "Pauses \(id) after the running step"
        case .resume: text = receipt.already ? "Was resumed before: \(id)" : "Resumed \(id)"
        case .cancel: text = receipt.already ? "Was cancelled before: \(id)" : "Cancelled \(id)"
        }
        if let step = receipt.revokedStep { text += "; step '\(step.step.printable)' is stopped" }
        if let step = receipt.restartedStep { text += "; step '\(step.step.printable)' runs again" }
        text += "\n"
        if !receipt.message.isEmpty { text += "Beware: \(receipt.message.printable)\n" }
        if !receipt.quiesced, receipt.command != .resume {
            text += "Something of it still runs; 'rhythm status \(id)' shows when it is gone\n"
        }
        if receipt.command == .pause { text += "Let it go on with: rhythm resume \(id)\n" }
        if receipt.command == .resume { text += "Watch it with: rhythm watch \(id)\n" }
        return text
    }
}
