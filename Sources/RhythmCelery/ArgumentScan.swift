/// Walks once over a JSON text that is known to be well formed, looking for what is fine in JSON and still ruins a
/// task message.
///
/// Everything found here would not fail the attempt visibly: the worker would drop the message, or run the task and
/// then be unable to store its document, so that the outcome would be lost. It is refused before it is sent.
struct ArgumentScan {
    /// What was found first.
    struct Finding: Error, Hashable {
        /// Where, for instance `[0][3]` counted from the value that was scanned; object members by name.
        var path: String
        /// What stands there, cut.
        var value: String
        /// What would be right.
        var wanted: String
    }

    /// MongoDB takes 100 levels; the arguments lie two levels deep in the result document.
    static let depthLimit = 90
    /// The wrappers that kombu resolves and whose Python values a result document can hold.
    private static let storableTypes: Set<String> = ["datetime", "bytes", "base64"]
    /// Those that kombu resolves into values that pymongo cannot store.
    private static let otherTypes: Set<String> = ["date", "time", "decimal", "uuid"]

    private struct Level {
        let isObject: Bool
        var index = 0
        var key = ""
        var type: String?
        var hasValue = false
        var members = 0
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private let isExtended: Bool
    private var offset = 0
    private static let storage =
        "a worker that stores arguments with results (result_extended) could not store its result document with"
    private var levels: [Level] = []
    /// The first byte of each element of the outermost array.
    private(set) var elements: [UInt8] = []

    /// Scans `text`.
    ///
    /// - Parameter isExtended: the workers store the arguments in the result document (`result_extended`), so they must
    ///   be storable.
    /// - Returns: the first byte of each element of the outermost array, empty if it is none.
    static func check(_ text: String, isExtended: Bool) throws(Finding) -> [UInt8] {
        var text = text
        return try text.withUTF8 { bytes in
            Result { () throws(Finding) in
                // SAFETY: the scan lives inside this closure, as long as the bytes do.
                var scan = ArgumentScan(bytes: bytes, isExtended: isExtended)
                try scan.run()
                return scan.elements
            }
        }.get()
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, isExtended: Bool) {
        self.bytes = bytes
        self.isExtended = isExtended
    }

    private mutating func run() throws(Finding) {
        while offset < bytes.count {
            let byte = bytes[offset]
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                noteElement(byte)
                levels.append(Level(isObject: byte == UInt8(ascii: "{")))
                guard levels.count <= Self.depthLimit else {
                    throw finding("a value \(levels.count) levels deep", "at most \(Self.depthLimit) levels")
                }
                offset += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                try close()
                offset += 1
            case UInt8(ascii: ","):
                if !levels.isEmpty { levels[levels.count - 1].index += 1 }
                offset += 1
            case UInt8(ascii: "\""): try string()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                noteElement(byte)
                try number()
            case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "N"), UInt8(ascii: "I"):
                noteElement(byte)
                word()
            default: offset += 1
            }
        }
    }

    private mutating func noteElement(_ byte: UInt8) {
        if levels.count == 1, !levels[0].isObject { elements.append(byte) }
    }

    private mutating func word() {
        while offset < bytes.count, (0x41...0x5A).contains(bytes[offset]) || (0x61...0x7A).contains(bytes[offset]) {
            offset += 1
        }
    }

    private mutating func number() throws(Finding) {
        let start = offset
        var isInteger = true
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"): offset += 1
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
                isInteger = false
                offset += 1
            case UInt8(ascii: "I"):
                word()
                return
            default:
                guard isExtended, isInteger, offset - start > 18 else { return }
                try checkInteger(start)
                return
            }
        }
        if isExtended, isInteger, offset - start > 18 { try checkInteger(start) }
    }

    private func checkInteger(_ start: Int) throws(Finding) {
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        guard Int64(text) != nil else {
            throw finding(
                text, "an integer of at most 64 bits: \(Self.storage) this one")
        }
    }

    private mutating func string() throws(Finding) {
        let start = offset + 1
        offset = start
        var hasNUL = false
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
            guard bytes[offset] == UInt8(ascii: "\\") else {
                offset += 1
                continue
            }
            guard bytes[offset + 1] == UInt8(ascii: "u") else {
                offset += 2
                continue
            }
            let unit = hex(at: offset + 2)
            if unit == 0 { hasNUL = true }
            offset += 6
            guard (0xD800...0xDFFF).contains(unit) else { continue }
            let pairs =
                unit < 0xDC00 && offset + 6 <= bytes.count && bytes[offset] == UInt8(ascii: "\\")
                && bytes[offset + 1] == UInt8(ascii: "u") && (0xDC00...0xDFFF).contains(hex(at: offset + 2))
            guard pairs else { throw finding(excerpt(start), "text without half a surrogate pair") }
            offset += 6
        }
        let end = offset
        offset += 1
        try tookString(start..<end, hasNUL: hasNUL)
    }

    private mutating func tookString(_ range: Range<Int>, hasNUL: Bool) throws(Finding) {
        guard let level = levels.last else { return }
        guard level.isObject else {
            noteElement(UInt8(ascii: "\""))
            return
        }
        var next = offset
        while next < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[next]) { next += 1 }
        let isName = next < bytes.count && bytes[next] == UInt8(ascii: ":")
        let text = String(decoding: bytes[range], as: UTF8.self)
        if isName {
            if hasNUL { throw finding(excerpt(range.lowerBound), "a name without a NUL character") }
            levels[levels.count - 1].key = text
            levels[levels.count - 1].members += 1
            if text == "__value__" { levels[levels.count - 1].hasValue = true }
        } else if level.key == "__type__" {
            levels[levels.count - 1].type = text
        }
    }

    /// kombu resolves an object with exactly these two members, and drops the whole message if it cannot.
    private mutating func close() throws(Finding) {
        guard let level = levels.last else { return }
        if level.isObject, level.members == 2, level.hasValue, let type = level.type {
            guard Self.storableTypes.contains(type) || Self.otherTypes.contains(type) else {
                throw finding(#"{"__type__": "\#(type)", ...}"#, "a type that Celery can read, such as datetime")
            }
            if isExtended, !Self.storableTypes.contains(type) {
                throw finding(
                    #"{"__type__": "\#(type)", ...}"#,
                    "plain text: \(Self.storage) a value of this type")
            }
        }
        levels.removeLast()
    }

    private func hex(at start: Int) -> UInt16 {
        guard start + 4 <= bytes.count else { return 0 }
        return UInt16(String(decoding: bytes[start..<(start + 4)], as: UTF8.self), radix: 16) ?? 0
    }

    private func excerpt(_ start: Int) -> String {
        String(decoding: bytes[start..<min(bytes.count, start + 40)], as: UTF8.self)
    }

    private func finding(_ value: String, _ wanted: String) -> Finding {
        let path = levels.map { $0.isObject ? ".\($0.key)" : "[\($0.index)]" }.joined()
        return Finding(path: String(path.prefix(200)), value: String(value.prefix(80)), wanted: wanted)
    }
}
