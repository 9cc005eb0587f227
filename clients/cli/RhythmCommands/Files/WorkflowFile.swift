import Foundation
package import RhythmCore

/// A workflow file: YAML, or JSON if its name ends so or it begins with a brace.
package enum WorkflowFile {
    /// What the command line says beside the file.
    package struct Overrides: Sendable {
        package var id: String?
        package var name: String?
        package var appID: String?
        package var labels: [(String, String)] = []
        package var args: JSON?
        package var kwargs: JSON?

        package init() {}
    }

    /// Reads a file (`-` is standard input) and checks it.
    package static func load(_ path: String, overrides: Overrides = Overrides()) throws(CommandFailure) -> WorkflowSpec
    {
        let text = try contents(of: path)
        do {
            return try spec(text, isJSON: path.hasSuffix(".json"), overrides: overrides)
        } catch {
            let field = error.field.isEmpty ? "" : "\(error.field): "
            let advice =
                path == "-"
                ? "Correct what is piped in."
                : "Correct the file; 'rhythm validate \(path)' checks it without starting anything."
            throw CommandFailure(.usage, "\(path): \(field)\(error.message)", advice: advice)
        }
    }

    /// Reads the text of a file and checks it.
    package static func spec(
        _ text: String, isJSON: Bool = false, overrides: Overrides = Overrides()
    ) throws(RhythmError) -> WorkflowSpec {
        var value = try tree(text, isJSON: isJSON)
        if case .object = value { value = merge(value, overrides) }
        let spec = try WorkflowSpec(decoding: value)
        try spec.validate()
        return spec
    }

    private static func tree(_ text: String, isJSON: Bool) throws(RhythmError) -> JSONValue {
        let first = text.first { !$0.isWhitespace }
        guard isJSON || first == "{" else { return try YAMLReader.read(text) }
        do {
            return try JSON(parsing: text).value
        } catch {
            // Flow style YAML begins with a brace too.
            if !isJSON, let value = try? YAMLReader.read(text) { return value }
            throw RhythmError(.invalidArgument, reason: "BAD_JSON", "\(error), \(place(error.offset, in: text))")
        }
    }

    private static func place(_ offset: Int, in text: String) -> String {
        let before = text.utf8.prefix(offset)
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        return "line \(line)"
    }

    private static func merge(_ value: JSONValue, _ overrides: Overrides) -> JSONValue {
        var members: [JSONValue.Member] = []
        if let id = overrides.id { members.append(.init("id", .string(id))) }
        if let name = overrides.name { members.append(.init("name", .string(name))) }
        if let appID = overrides.appID { members.append(.init("app_id", .string(appID))) }
        if let args = overrides.args { members.append(.init("args", args.value)) }
        if let kwargs = overrides.kwargs { members.append(.init("kwargs", kwargs.value)) }
        if !overrides.labels.isEmpty {
            let given = JSONValue.object(overrides.labels.map { .init($0.0, .string($0.1)) })
            let own = value["labels"] ?? .object([])
            if case .object = own { members.append(.init("labels", own.merging(given))) }
        }
        return members.isEmpty ? value : value.merging(.object(members))
    }

    private static func contents(of path: String) throws(CommandFailure) -> String {
        let data: Data
        do {
            data =
                try path == "-" ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(filePath: path))
        } catch {
            let exists = FileManager.default.fileExists(atPath: path)
            throw CommandFailure(
                .usage, "\(path): \(exists ? "cannot be read" : "no such file")",
                advice: "Give the path of a workflow file; 'rhythm start --help' shows one.")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw CommandFailure(.usage, "\(path): not UTF-8 text", advice: "Save the file as UTF-8.")
        }
        return text
    }
}
