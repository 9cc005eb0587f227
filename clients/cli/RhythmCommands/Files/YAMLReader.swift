package import RhythmCore
import Yams

/// Turns YAML into JSON without changing what was written.
///
/// The rules are those of YAML 1.2's core schema, not of 1.1: only `true` and `false` are booleans, so that `no` and
/// `on` stay words; `1:30` is text; quoted scalars are always text; numbers keep every digit. A number with a leading zero,
/// which is octal in one version and decimal in the other, is refused.
package enum YAMLReader {
    /// Nodes of a document, aliases counted as often as they are used: a few lines of YAML can mean billions.
    private static let maximumNodes = 200_000
    private static let maximumDepth = 64

    /// Reads one document.
    package static func read(_ text: String) throws(RhythmError) -> JSONValue {
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw invalid("", "not YAML: \("\(error)".trimmingPrefix("error: "))")
        }
        guard let node else { throw invalid("", "the file is empty") }
        var count = 0
        return try convert(node, path: "", depth: 0, count: &count)
    }

    private static func invalid(_ path: String, _ message: String) -> RhythmError {
        RhythmError(.invalidArgument, reason: "BAD_YAML", message, field: path)
    }

    private static func convert(
        _ node: Node, path: String, depth: Int, count: inout Int
    ) throws(RhythmError) -> JSONValue {
        count += 1
        guard count <= maximumNodes else { throw invalid(path, "more than \(maximumNodes) values") }
        guard depth <= maximumDepth else { throw invalid(path, "more than \(maximumDepth) levels") }
        switch node {
        case .scalar(let scalar): return try convert(scalar, path: path)
        case .sequence(let sequence):
            var elements: [JSONValue] = []
            for (index, element) in sequence.enumerated() {
                elements.append(
                    try convert(element, path: "\(path)[\(index)]", depth: depth + 1, count: &count))
            }
            return .array(elements)
        case .mapping(let mapping):
            var members: [JSONValue.Member] = []
            for (key, value) in mapping {
                guard let name = key.scalar?.string else { throw invalid(path, "a key that is not a word") }
                let inner = path.isEmpty ? name : "\(path).\(name)"
                members.append(.init(name, try convert(value, path: inner, depth: depth + 1, count: &count)))
            }
            return .object(members)
        case .alias: throw invalid(path, "an alias that leads nowhere")
        }
    }

    private static func convert(_ scalar: Node.Scalar, path: String) throws(RhythmError) -> JSONValue {
        let text = scalar.string
        // The tag is not asked for its meaning: that would apply the rules of YAML 1.1.
        switch scalar.tag.rawValue {
        case "":
            if scalar.style != .plain { return .string(text) }
        case "!", "tag:yaml.org,2002:str": return .string(text)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
            break
        case let tag: throw invalid(path, "the tag '\(tag)' is not known; write plain values")
        }
        return try plain(text, path: path)
    }

    private static func plain(_ text: String, path: String) throws(RhythmError) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".nan", ".NaN", ".NAN": return .number("NaN")
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .number("Infinity")
        case "-.inf", "-.Inf", "-.INF": return .number("-Infinity")
        default: break
        }
        if let spelling = based(text) { return .number(spelling) }
        return try decimal(text, path: path).map { .number($0) } ?? .string(text)
    }

    /// `0x1F` and `0o17` as decimal numbers; nil for anything else and for what 64 bits do not hold.
    private static func based(_ text: String) -> String? {
        if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16).map { "\($0)" } }
        if text.hasPrefix("0o") { return UInt64(text.dropFirst(2), radix: 8).map { "\($0)" } }
        return nil
    }

    /// A decimal number in JSON's spelling; nil if it is none.
    private static func decimal(_ text: String, path: String) throws(RhythmError) -> String? {
        var rest = Substring(text)
        func digits() -> Substring { rest.prefix { $0.isASCII && $0.isNumber } }
        let sign = rest.hasPrefix("-") ? "-" : ""
        if rest.hasPrefix("-") || rest.hasPrefix("+") { rest = rest.dropFirst() }
        let whole = digits()
        rest = rest.dropFirst(whole.count)
        var fraction: Substring = ""
        if rest.hasPrefix(".") {
            rest = rest.dropFirst()
            fraction = digits()
            rest = rest.dropFirst(fraction.count)
        }
        guard !whole.isEmpty || !fraction.isEmpty else { return nil }
        var exponent = ""
        if rest.hasPrefix("e") || rest.hasPrefix("E") {
            rest = rest.dropFirst()
            let mark = rest.first.map { $0 == "-" || $0 == "+" } == true ? rest.prefix(1) : ""
            rest = rest.dropFirst(mark.count)
            let power = digits()
            guard !power.isEmpty else { return nil }
            rest = rest.dropFirst(power.count)
            exponent = "e\(mark)\(power)"
        }
        guard rest.isEmpty else { return nil }
        guard whole.count <= 1 || whole.first != "0" else {
            throw invalid(
                path, "\(text) begins with a zero, which YAML versions read differently; put it in quotes for text")
        }
        let point = text.contains(".") ? ".\(fraction.isEmpty ? "0" : fraction)" : ""
        return sign + (whole.isEmpty ? "0" : String(whole)) + point + exponent
    }
}
