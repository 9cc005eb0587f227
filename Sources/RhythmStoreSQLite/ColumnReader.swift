import GRDB
import GRDBSQLite
import RhythmCore
import RhythmEngine

/// Reads the columns of a statement's current row, one after the other, and says which of them makes no sense.
struct ColumnReader {
    private let handle: OpaquePointer
    private let table: StaticString
    /// The row's id for messages; set it as soon as it is known.
    var id = "?"
    private var index: Int32 = -1

    /// SAFETY: valid until the statement steps on; the caller stays on its connection's queue.
    init(_ handle: OpaquePointer, table: StaticString) {
        self.handle = handle
        self.table = table
    }

    mutating func int64() throws(StoreError) -> Int64 {
        guard let value = int64IfAny() else { throw corrupt("is missing") }
        return value
    }

    mutating func int64IfAny() -> Int64? {
        index += 1
        return sqlite3_column_type(handle, index) == SQLITE_NULL ? nil : sqlite3_column_int64(handle, index)
    }

    mutating func int() throws(StoreError) -> Int { Int(try int64()) }

    mutating func bool() throws(StoreError) -> Bool { try int64() != 0 }

    mutating func timestamp() throws(StoreError) -> Timestamp { Timestamp(microseconds: try int64()) }

    mutating func timestampIfAny() -> Timestamp? { int64IfAny().map { Timestamp(microseconds: $0) } }

    mutating func double() throws(StoreError) -> Double {
        guard let value = doubleIfAny() else { throw corrupt("is missing") }
        return value
    }

    mutating func doubleIfAny() -> Double? {
        index += 1
        return sqlite3_column_type(handle, index) == SQLITE_NULL ? nil : sqlite3_column_double(handle, index)
    }

    mutating func text() throws(StoreError) -> String {
        guard let value = try textIfAny() else { throw corrupt("is missing") }
        return value
    }

    mutating func textIfAny() throws(StoreError) -> String? {
        index += 1
        guard let start = sqlite3_column_text(handle, index) else { return nil }
        // SAFETY: SQLite lends `count` bytes at `start` until the next call on this column; they are copied here.
        let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, index)))
        guard let text = String(validating: bytes, as: UTF8.self) else { throw corrupt("is not UTF-8") }
        return text
    }

    mutating func json() throws(StoreError) -> JSON {
        // In two steps: in one, `parsed` would blame the column before.
        let text = try text()
        return try parsed(text)
    }

    mutating func jsonIfAny() throws(StoreError) -> JSON? {
        guard let text = try textIfAny() else { return nil }
        return try parsed(text)
    }

    /// One of a fixed set of words.
    mutating func word<Word: RawRepresentable>(
        _ type: Word.Type = Word.self
    ) throws(StoreError) -> Word where Word.RawValue == String {
        let text = try text()
        guard let word = Word(rawValue: text) else { throw corrupt("'\(text)' is not a \(Word.self)") }
        return word
    }

    mutating func wordIfAny<Word: RawRepresentable>(
        _ type: Word.Type = Word.self
    ) throws(StoreError) -> Word? where Word.RawValue == String {
        guard let text = try textIfAny() else { return nil }
        guard let word = Word(rawValue: text) else { throw corrupt("'\(text)' is not a \(Word.self)") }
        return word
    }

    /// The error that blames the column that was read last.
    func corrupt(_ problem: String) -> StoreError {
        let column = sqlite3_column_name(handle, index).map { String(cString: $0) } ?? "column \(index)"
        return StoreError(
            .corrupt,
            "table \(table), row \(id), column \(column): \(problem); restore the file from a backup")
    }

    private func parsed(_ text: String) throws(StoreError) -> JSON {
        do {
            return try JSON(parsing: text)
        } catch {
            throw corrupt("\(error)")
        }
    }
}
