/// JSON as the text it came in: checked once, kept byte for byte, and taken apart only where a rule needs to.
///
/// Arguments and results travel through Rhythm unread. Keeping their text keeps what a tree of Swift numbers would lose
/// (integers over 64 bits, the spelling of a float) and costs nothing on the way through.
public struct JSON: Sendable, Hashable, CustomStringConvertible {
    /// The checked text, without white space around it.
    public let text: String

    /// Wraps text that is known to be JSON; nothing is checked.
    init(unchecked text: String) { self.text = text }

    /// Checks `text` and wraps it.
    ///
    /// Beside RFC 8259 it accepts `NaN`, `Infinity` and `-Infinity`, which Python writes.
    /// - Throws: ``JSONError`` with the offset and what was expected.
    public init(parsing text: String) throws(JSONError) {
        var text = text
        let span = try text.withUTF8 { bytes in
            Result { () throws(JSONError) -> Range<Int> in
                var scanner = JSONScanner(bytes)
                scanner.skipSpace()
                let start = scanner.offset
                try scanner.skipValue()
                let end = scanner.offset
                scanner.skipSpace()
                guard scanner.atEnd else { throw scanner.error("nothing more after the value") }
                return start..<end
            }
        }.get()
        if span.lowerBound == 0, span.upperBound == text.utf8.count {
            self.text = text
        } else {
            let utf8 = text.utf8
            let from = utf8.index(utf8.startIndex, offsetBy: span.lowerBound)
            let to = utf8.index(utf8.startIndex, offsetBy: span.upperBound)
            self.text = String(text[from..<to])
        }
    }

    /// Writes a tree as compact text.
    public init(_ value: JSONValue) { self.text = value.compactText }

    /// `null`
    public static let null = JSON(unchecked: "null")
    /// `[]`
    public static let emptyArray = JSON(unchecked: "[]")
    /// `{}`
    public static let emptyObject = JSON(unchecked: "{}")

    /// The array `[element]`.
    public static func array(of elements: [JSON]) -> JSON {
        JSON(unchecked: "[" + elements.map(\.text).joined(separator: ",") + "]")
    }

    /// A string, escaped.
    public static func string(_ value: String) -> JSON { JSON(.string(value)) }

    /// Whether the text is an array.
    public var isArray: Bool { text.utf8.first == UInt8(ascii: "[") }
    /// Whether the text is an object.
    public var isObject: Bool { text.utf8.first == UInt8(ascii: "{") }

    /// The first element of an array; nil for an empty array and for anything that is no array.
    public var firstElement: JSON? {
        guard isArray else { return nil }
        var copy = text
        let span: Range<Int>? = copy.withUTF8 { bytes in
            var scanner = JSONScanner(bytes)
            scanner.offset = 1
            scanner.skipSpace()
            if scanner.peek == UInt8(ascii: "]") { return nil }
            let start = scanner.offset
            // The text was checked when it was made, so this cannot throw.
            guard (try? scanner.skipValue()) != nil else { return nil }
            return start..<scanner.offset
        }
        guard let span else { return nil }
        let utf8 = text.utf8
        let from = utf8.index(utf8.startIndex, offsetBy: span.lowerBound)
        let to = utf8.index(utf8.startIndex, offsetBy: span.upperBound)
        return JSON(unchecked: String(text[from..<to]))
    }

    /// The text as a tree.
    public var value: JSONValue {
        var copy = text
        return copy.withUTF8 { bytes in
            var scanner = JSONScanner(bytes)
            return (try? scanner.parseValue()) ?? .null
        }
    }

    /// The text itself.
    public var description: String { text }
}

/// Why a text is not JSON.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Where, counted in bytes from the beginning.
    public let offset: Int
    /// What would have been right there.
    public let expected: String

    /// One sentence for a person.
    public var description: String { "not JSON at byte \(offset): expected \(expected)" }
}
