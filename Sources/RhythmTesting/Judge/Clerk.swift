package import RhythmCore

/// Writes down what a client asks and what it is told, beside what tasks write. Any thread.
package struct Clerk: Sendable {
    package let book: RecordBook

    package init(_ book: RecordBook) { self.book = book }

    /// Before a start is sent, however often it has to be repeated.
    package func askStart(_ name: String, _ spec: WorkflowSpec) {
        var fields = ["steps": spec.recordedSteps]
        if let first = spec.args.firstElement { fields["given"] = first.recorded }
        ask(name, "start", fields)
    }

    /// Before another command is sent.
    package func ask(_ name: String, _ command: String, args: JSON? = nil) {
        ask(name, command, args?.firstElement.map { ["given": $0.recorded] } ?? [:])
    }

    private func ask(_ name: String, _ command: String, _ fields: [String: String]) {
        book.note(.asked, fields.merging(["workflow": name, "command": command]) { $1 })
    }

    /// The answer to a start, or to another command that has no receipt.
    package func tell(_ name: String, _ command: String, _ workflow: Workflow) {
        note(name, command, ["accepted": "1", "version": String(workflow.version)])
    }

    package func tell(_ name: String, _ command: String, _ receipt: Receipt) {
        note(
            name, command,
            [
                "accepted": receipt.accepted ? "1" : "0", "quiesced": receipt.quiesced ? "1" : "0",
                "status": receipt.status.rawValue, "version": String(receipt.version), "reason": receipt.reason,
            ])
    }

    /// The answer to a question for the whole record.
    package func tellStatus(_ name: String, _ workflow: Workflow) {
        let ids = workflow.steps.flatMap { $0.attempts.map(\.id.rawValue) }
        note(
            name, "status",
            [
                "status": workflow.status.rawValue, "quiesced": workflow.isQuiesced ? "1" : "0",
                "version": String(workflow.version), "ids": ids.joined(separator: ","),
            ])
    }

    private func note(_ name: String, _ command: String, _ fields: [String: String]) {
        book.note(.told, fields.merging(["workflow": name, "command": command]) { $1 })
    }
}

extension WorkflowSpec {
    /// The same, whose tasks write their runs down under this name: in an argument of their own, as the ids that a
    /// server hands out are its account of things.
    package func recorded(as name: String) -> WorkflowSpec {
        var spec = self
        for index in spec.steps.indices {
            let names = JSONValue.object([
                .init("workflow", .string(name)), .init("step", .string(spec.steps[index].name)),
            ])
            guard case .object(let own) = spec.steps[index].kwargs.value else { continue }
            spec.steps[index].kwargs = JSON(.object(own + [.init("record", names)]))
        }
        return spec
    }

    /// Its steps, each with the number of attempts that its policy allows.
    package var recordedSteps: String {
        steps.map { "\($0.name):\($0.retry?.maxAttempts ?? 1)" }.joined(separator: ",")
    }
}

extension JSON {
    /// As the recorder of the tasks writes short values without objects.
    package var recorded: String { value.compactText }
}
