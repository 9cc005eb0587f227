import RhythmCore

/// What the library's `get_embellished_workflow` returns, or our copy of it, flat: a path and a value for each field, in a
/// form in which equal things are equal.
struct Embellished {
    private var fields: [String: JSONValue] = [:]

    /// What only our copy has.
    private static let added: Set<String> = [
        "labels", "args", "kwargs", "version", "started_at", "ended_at", "paused", "cancelled", "quiesced",
        "resume_lock",
    ]

    init(_ value: JSONValue) {
        guard case .object(let members) = value else { return }
        for member in members where !Self.added.contains(member.name) { add(member.value, "\(member.name)") }
    }

    private mutating func add(_ value: JSONValue, _ path: String) {
        switch value {
        case .object(let members):
            for member in members where !Self.isAddedToRun(member.name, path) {
                add(member.value, "\(path).\(member.name)")
            }
        case .array(let elements):
            for (index, element) in elements.enumerated() { add(element, "\(path)[\(index)]") }
        case .null: fields[path] = .null
        default: fields[path] = Self.normal(value, path)
        }
    }

    private static func isAddedToRun(_ name: String, _ path: String) -> Bool {
        name == "not_begun" || ((name == "progress" || name == "attempt") && path.hasSuffix("_task_run"))
            || ((name == "progress" || name == "attempt") && path.hasSuffix("]") && path.contains("prev_task_runs"))
    }

    /// Times are ours to the microsecond, the library's to the millisecond; those that a worker stored are its own.
    private static func normal(_ value: JSONValue, _ path: String) -> JSONValue {
        guard let text = value.stringValue else { return value }
        if path.hasSuffix("_at") || path.contains("date_") {
            return .string(String(text.replacing("Z", with: "").prefix(19)))
        }
        return value
    }

    /// Fields that differ although they mean the same, and why:
    /// - the workflow id that a task of the library's class was given is that of its private document;
    /// - `group_id` and `parent_id` are the headers by which our attempts are found, and `traceback` is cut by nobody,
    ///   so both have it.
    private static func mayDiffer(_ path: String) -> Bool {
        path.hasSuffix(".kwargs.workflow_id") || path.hasSuffix(".group_id") || path.hasSuffix(".parent_id")
            || path.hasSuffix(".stamped_headers") || path.hasSuffix(".date_start") || path.hasSuffix(".date_done")
            || path == "updated_at"
    }

    func differences(from other: Embellished) -> [String] {
        Set(fields.keys).union(other.fields.keys).sorted().compactMap { path in
            guard fields[path] != other.fields[path], !Self.mayDiffer(path) else { return nil }
            return "\(path): \(String(describing: fields[path])) and \(String(describing: other.fields[path]))"
        }
    }
}
