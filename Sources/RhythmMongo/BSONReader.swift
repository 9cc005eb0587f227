import CMongoC

/// Reads documents from bytes, checking every length: what makes no sense is an error, never a trap.
///
/// Text that is not UTF-8 (foreign programs can store it) is repaired with U+FFFD; a record should not become
/// unreadable by it.
struct BSONReader {
    /// Documents nested deeper than this are refused; servers stop at 180 or before.
    static let maximumDepth = 200

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private var end: Int

    /// SAFETY: the bytes must outlive the reader; it is a local of ``BSONDocument/init(bytes:)`` and its like.
    private init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        end = bytes.count
    }

    static func document(_ bytes: UnsafeRawBufferPointer) throws(MongoError) -> BSONDocument {
        var reader = BSONReader(bytes)
        let document = try reader.document(depth: 0)
        guard reader.offset == bytes.count else { throw reader.corrupt("bytes after the end") }
        return document
    }

    private mutating func document(depth: Int) throws(MongoError) -> BSONDocument {
        var document = BSONDocument()
        try elements(depth: depth) { key, value in document.append(key(), value) }
        return document
    }

    private mutating func array(depth: Int) throws(MongoError) -> [BSONValue] {
        var elements: [BSONValue] = []
        // The names are the indices by specification; their order is what counts.
        try self.elements(depth: depth) { _, value in elements.append(value) }
        return elements
    }

    private mutating func elements(depth: Int, _ take: (() -> String, BSONValue) -> Void) throws(MongoError) {
        guard depth < Self.maximumDepth else { throw corrupt("nested too deeply") }
        let outerEnd = end
        let length = Int(try integer(Int32.self))
        guard length >= 5, length - 4 <= outerEnd - offset else { throw corrupt("length \(length)") }
        end = offset - 4 + length
        while true {
            let tag = try integer(UInt8.self)
            if tag == 0 { break }
            let name = try nameRange()
            let value = try value(tag, depth: depth)
            let bytes = bytes
            take({ String(decoding: bytes[name], as: UTF8.self) }, value)
        }
        guard offset == end else { throw corrupt("an end before the end") }
        end = outerEnd
    }

    private mutating func value(_ tag: UInt8, depth: Int) throws(MongoError) -> BSONValue {
        switch tag {
        case 0x01: return .double(Double(bitPattern: try integer()))
        case 0x02: return .string(try text())
        case 0x03: return .document(try document(depth: depth + 1))
        case 0x04: return .array(try array(depth: depth + 1))
        case 0x05: return try binary()
        case 0x06: return .undefined
        case 0x07: return .objectID(try objectID())
        case 0x08: return .bool(try integer(UInt8.self) != 0)
        case 0x09: return .date(milliseconds: try integer())
        case 0x0A: return .null
        case 0x0B: return .regex(pattern: try name(), options: try name())
        case 0x0C: return .dbPointer(collection: try text(), id: try objectID())
        case 0x0D: return .javaScript(try text())
        case 0x0E: return .symbol(try text())
        case 0x0F:
            _ = try integer(Int32.self)
            return .javaScriptWithScope(try text(), try document(depth: depth + 1))
        case 0x10: return .int32(try integer())
        case 0x11:
            let increment: UInt32 = try integer()
            return .timestamp(seconds: try integer(), increment: increment)
        case 0x12: return .int64(try integer())
        case 0x13: return .decimal128(try decimal())
        case 0x7F: return .maxKey
        case 0xFF: return .minKey
        default: throw corrupt("type \(tag)")
        }
    }

    private mutating func nameRange() throws(MongoError) -> Range<Int> {
        let start = offset
        while offset < end, bytes[offset] != 0 { offset += 1 }
        guard offset < end else { throw corrupt("a name without end") }
        offset += 1
        return start..<offset - 1
    }

    private mutating func name() throws(MongoError) -> String {
        let range = try nameRange()
        return String(decoding: bytes[range], as: UTF8.self)
    }

    private mutating func text() throws(MongoError) -> String {
        let length = Int(try integer(Int32.self))
        let content = try take(length)
        guard content.last == 0 else { throw corrupt("a text without end") }
        return String(decoding: content.dropLast(), as: UTF8.self)
    }

    private mutating func binary() throws(MongoError) -> BSONValue {
        var length = Int(try integer(Int32.self))
        let subtype = try integer(UInt8.self)
        if subtype == 2 {
            let inner = Int(try integer(Int32.self))
            guard inner == length - 4 else { throw corrupt("a binary value of two lengths") }
            length = inner
        }
        return .binary(subtype: subtype, bytes: Array(try take(length)))
    }

    private mutating func objectID() throws(MongoError) -> BSONObjectID { BSONObjectID(bytes: Array(try take(12))) }

    private mutating func decimal() throws(MongoError) -> String {
        var decimal = bson_decimal128_t()
        decimal.low = try integer()
        decimal.high = try integer()
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(BSON_DECIMAL128_STRING)) { buffer in
            // SAFETY: the buffer has the size that the function asks for, and it ends the text with NUL.
            guard let base = buffer.baseAddress else { return "" }
            bson_decimal128_to_string(&decimal, base)
            return String(cString: base)
        }
    }

    private mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(MongoError) -> Value {
        let size = MemoryLayout<Value>.size
        guard size <= end - offset else { throw corrupt("cut short") }
        defer { offset += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    private mutating func take(_ count: Int) throws(MongoError) -> UnsafeRawBufferPointer.SubSequence {
        guard count >= 0, count <= end - offset else { throw corrupt("length \(count)") }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    private func corrupt(_ what: String) -> MongoError {
        MongoError(.invalidDocument, "a document makes no sense at byte \(offset): \(what)")
    }
}
