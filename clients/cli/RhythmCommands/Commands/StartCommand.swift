import ArgumentParser
import RhythmClient
import RhythmCore

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Start a workflow that a file describes.",
        discussion: """
            EXAMPLE:
              rhythm start archive.yaml batch-7 --label year=2026 --watch

            The file is YAML or JSON:
              name: archive
              steps:
                - name: inspect
                  task: tasks.inspect
                - name: stage
                  task: tasks.stage
                  timeout: 2h
                  retry: {max_attempts: 3, backoff: 30s}
            Other keys: id, app_id, description, labels, args, kwargs; for a step: queue,
            priority, kwargs, start_timeout, max_lost, inject.
            """)

    @Argument(help: "The workflow file; - for standard input.")
    var file: String

    @Argument(help: "Arguments of the first step, each a text. They replace those of the file.")
    var arguments: [String] = []

    @Option(help: ArgumentHelp("The arguments as a JSON array instead.", valueName: "json"))
    var args: JSONArgument?

    @Option(help: ArgumentHelp("Keyword arguments of the first step, a JSON object.", valueName: "json"))
    var kwargs: JSONArgument?

    @Option(help: "The id of the new workflow. (default: a new UUID)")
    var id: String?

    @Option(help: "Its name. (default: that of the file)")
    var name: String?

    @Option(
        help: ArgumentHelp(
            "The application it belongs to. (default: that of the file, else 'default')", valueName: "app"))
    var appID: String?

    @Option(help: ArgumentHelp("A label; may be given several times.", valueName: "key=value"))
    var label: [LabelArgument] = []

    @Option(help: "Starting again with the same request id and the same content gives the same workflow.")
    var requestId: String?

    @Flag(help: "Watch it until it ends; the exit status tells how.")
    var watch = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        if args != nil, !arguments.isEmpty {
            throw ValidationError("Give the arguments one by one or with --args, not both.")
        }
    }

    func run() async throws {
        var overrides = WorkflowFile.Overrides()
        overrides.id = id
        overrides.name = name
        overrides.appID = appID
        overrides.labels = label.map { ($0.key, $0.value) }
        overrides.args = args?.json ?? (arguments.isEmpty ? nil : JSON(.array(arguments.map { .string($0) })))
        overrides.kwargs = kwargs?.json
        let spec = try WorkflowFile.load(file, overrides: overrides)
        let client = try server.client()
        let result = try await client.start(spec, requestID: requestId)
        let terminal = Terminal.standard
        let workflow = result.workflow
        if watch {
            if !server.json { terminal.line(sentence(result)) }
            let watcher = Watcher(client: client, json: server.json, hint: "rhythm watch \(Phrases.short(workflow.id))")
            return try await watcher.run(client.watch([workflow.id], options: .init(untilDone: true)))
        }
        if server.json { return terminal.line(workflow.embellished().prettyText) }
        terminal.line(sentence(result))
        terminal.line("Watch it with: rhythm watch \(Phrases.short(workflow.id))")
    }

    private func sentence(_ result: StartResult) -> String {
        let workflow = result.workflow
        let steps = workflow.steps.count == 1 ? "1 step" : "\(workflow.steps.count) steps"
        let verb = result.replayed ? "Had been started before:" : "Started"
        return "\(verb) \(workflow.name.printable) \(workflow.id) (\(steps))"
    }
}

struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check a workflow file without starting anything.",
        discussion: """
            EXAMPLE:
              rhythm validate archive.yaml

            No server is asked; whether the tasks exist shows when they run.
            """)

    @Argument(help: "The workflow file; - for standard input.")
    var file: String

    @Flag(help: "Print JSON for programs.")
    var json = false

    func run() async throws {
        let terminal = Terminal.standard
        let spec: WorkflowSpec
        do {
            spec = try WorkflowFile.load(file)
        } catch {
            if json {
                terminal.line(
                    JSONValue.object([.init("valid", .bool(false)), .init("error", .string(error.message))]).prettyText)
            }
            throw error
        }
        if json {
            return terminal.line(
                JSONValue.object([
                    .init("valid", .bool(true)), .init("name", .string(spec.name)),
                    .init("app_id", .string(spec.appID)), .init("total_steps", .integer(spec.steps.count)),
                ]).prettyText)
        }
        let steps = spec.steps.count == 1 ? "1 step" : "\(spec.steps.count) steps"
        terminal.line("\(file) is valid: \(spec.name.printable), \(steps)")
    }
}
