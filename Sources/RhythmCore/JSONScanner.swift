/// Walks over JSON text without building anything, or builds a tree of it.
///
/// Accepts RFC 8259 plus Python's `NaN`, `Infinity` and `-Infinity`. Nesting is limited, so hostile text cannot
/// exhaust the stack.
struct JSONScanner {
    /// Deeper nesting is refused.
    static let maximumDepth = 128

    private let bytes: UnsafeBufferPointer<UInt8>
    /// The position of the next byte.
    var offset = 0
    private var depth = 0

    /// SAFETY: the scanner must not outlive the closure that lends `bytes`.
    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var atEnd: Bool { offset >= bytes.count }
    var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    func error(_ expected: String) -> JSONError { JSONError(offset: offset, expected: expected) }

    mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }

    /// Moves behind one value.
    mutating func skipValue() throws(JSONError) {
        switch peek {
        case UInt8(ascii: "{"):
            try enter()
            try members { scanner, _ throws(JSONError) in try scanner.skipValue() }
        case UInt8(ascii: "["):
            try enter()
            try elements { scanner throws(JSONError) in try scanner.skipValue() }
        case UInt8(ascii: "\""): _ = try skipString()
        default: _ = try skipScalar()
        }
    }

    /// Builds the tree of one value.
    mutating func parseValue() throws(JSONError) -> JSONValue {
        switch peek {
        case UInt8(ascii: "{"):
            try enter()
            var list: [JSONValue.Member] = []
            try members { scanner, name throws(JSONError) in
                list.append(.init(Self.unescape(name), try scanner.parseValue()))
            }
            return .object(list)
        case UInt8(ascii: "["):
            try enter()
            var list: [JSONValue] = []
            try elements { scanner throws(JSONError) in list.append(try scanner.parseValue()) }
            return .array(list)
        case UInt8(ascii: "\""):
            return .string(Self.unescape(try skipString()))
        default:
            let text = String(decoding: try skipScalar(), as: UTF8.self)
            switch text {
            case "true": return .bool(true)
            case "false": return .bool(false)
            case "null": return .null
            default: return .number(text)
            }
        }
    }

    private mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= Self.maximumDepth else { throw error("at most \(Self.maximumDepth) levels of nesting") }
        offset += 1
    }

    private mutating func elements(
        _ each: (inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        try list(close: UInt8(ascii: "]"), named: "',' or ']'", each)
    }

    private mutating func members(
        _ each: (inout JSONScanner, Slice<UnsafeBufferPointer<UInt8>>) throws(JSONError) -> Void
    ) throws(JSONError) {
        try list(close: UInt8(ascii: "}"), named: "',' or '}'") { scanner throws(JSONError) in
            guard scanner.peek == UInt8(ascii: "\"") else { throw scanner.error("a name in quotes") }
            let name = try scanner.skipString()
            scanner.skipSpace()
            guard scanner.peek == UInt8(ascii: ":") else { throw scanner.error("':'") }
            scanner.offset += 1
            scanner.skipSpace()
            try each(&scanner, name)
        }
    }

    private mutating func list(
        close: UInt8, named: String, _ each: (inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        skipSpace()
        if peek == close {
            offset += 1
            depth -= 1
            return
        }
        while true {
            skipSpace()
            try each(&self)
            skipSpace()
            switch peek {
            case UInt8(ascii: ","): offset += 1
            case close:
                offset += 1
                depth -= 1
                return
            default: throw error(named)
            }
        }
    }

    /// Moves behind a string and returns what stands between its quotes, escapes checked but not resolved.
    private mutating func skipString() throws(JSONError) -> Slice<UnsafeBufferPointer<UInt8>> {
        offset += 1
        let start = offset
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return bytes[start..<(offset - 1)]
            case UInt8(ascii: "\\"):
                offset += 1
                try skipEscape()
            case 0..<0x20: throw error("an escape instead of a control character")
            default: offset += 1
            }
        }
        throw error("'\"'")
    }

    private mutating func skipEscape() throws(JSONError) {
        switch peek {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            offset += 1
        case UInt8(ascii: "u"):
            offset += 1
            for _ in 0..<4 {
                guard let byte = peek, Self.hexDigit(byte) != nil else { throw error("four hexadecimal digits") }
                offset += 1
            }
        default: throw error("one of \"\\/bfnrtu after a backslash")
        }
    }

    private mutating func skipScalar() throws(JSONError) -> Slice<UnsafeBufferPointer<UInt8>> {
        let start = offset
        for word in ["true", "false", "null", "NaN", "Infinity", "-Infinity"] where matches(word) {
            offset += word.utf8.count
            return bytes[start..<offset]
        }
        if peek == UInt8(ascii: "-") { offset += 1 }
        guard let first = peek, Self.isDigit(first) else { throw error("a value") }
        if first == UInt8(ascii: "0") { offset += 1 } else { skipDigits() }
        if peek == UInt8(ascii: ".") {
            offset += 1
            guard let digit = peek, Self.isDigit(digit) else { throw error("a digit") }
            skipDigits()
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            offset += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { offset += 1 }
            guard let digit = peek, Self.isDigit(digit) else { throw error("a digit") }
            skipDigits()
        }
        return bytes[start..<offset]
    }

    private func matches(_ word: String) -> Bool {
        let length = word.utf8.count
        guard offset + length <= bytes.count else { return false }
        return bytes[offset..<(offset + length)].elementsEqual(word.utf8)
    }

    private mutating func skipDigits() { while let byte = peek, Self.isDigit(byte) { offset += 1 } }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func hexDigit(_ byte: UInt8) -> UInt16? {
        switch byte {
        case 0x30...0x39: UInt16(byte - 0x30)
        case 0x41...0x46: UInt16(byte - 0x41 + 10)
        case 0x61...0x66: UInt16(byte - 0x61 + 10)
        default: nil
        }
    }

    /// Resolves the escapes of a checked string; a lone surrogate becomes U+FFFD.
    private static func unescape(_ raw: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        guard raw.contains(UInt8(ascii: "\\")) else { return String(decoding: raw, as: UTF8.self) }
        var units: [UInt8] = []
        var surrogates: [UInt16] = []
        func flush() {
            if !surrogates.isEmpty {
                units += Array(String(decoding: surrogates, as: UTF16.self).utf8)
                surrogates = []
            }
        }
        var index = raw.startIndex
        while index < raw.endIndex {
            guard raw[index] == UInt8(ascii: "\\") else {
                flush()
                units.append(raw[index])
                index += 1
                continue
            }
            let kind = raw[index + 1]
            index += 2
            if kind == UInt8(ascii: "u") {
                surrogates.append((0..<4).reduce(0) { $0 << 4 | (hexDigit(raw[index + $1]) ?? 0) })
                index += 4
                continue
            }
            flush()
            switch kind {
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0C)
            case UInt8(ascii: "n"): units.append(0x0A)
            case UInt8(ascii: "r"): units.append(0x0D)
            case UInt8(ascii: "t"): units.append(0x09)
            default: units.append(kind)
            }
        }
        flush()
        return String(decoding: units, as: UTF8.self)
    }
}
