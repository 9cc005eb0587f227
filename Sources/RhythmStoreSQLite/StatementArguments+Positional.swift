import GRDB
import GRDBSQLite

/// Binds the arguments of a statement one after the other, straight through SQLite's own interface.
///
/// GRDB's `StatementArguments` would box every value and copy every list twice; with some fifty values a change that
/// costs more than SQLite itself. Text is bound with its length, so a NUL inside it survives.
struct ArgumentBinder {
    private let handle: OpaquePointer
    private var index: Int32 = 0

    // SAFETY: SQLITE_TRANSIENT is the documented destructor value -1 ("copy the text now"); it is never called.
    private static var copied: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    /// SAFETY: `handle` belongs to a statement that the caller keeps alive, on its connection's queue.
    init(_ handle: OpaquePointer) { self.handle = handle }

    mutating func bind(_ value: Int64) {
        index += 1
        check(sqlite3_bind_int64(handle, index, value))
    }

    mutating func bind(_ value: Int) { bind(Int64(value)) }

    mutating func bind(_ value: Bool) { bind(value ? Int64(1) : 0) }

    mutating func bind(_ value: Double) {
        index += 1
        check(sqlite3_bind_double(handle, index, value))
    }

    mutating func bind(_ value: String) {
        index += 1
        var text = value
        let code = text.withUTF8 { bytes -> Int32 in
            guard let start = bytes.baseAddress, !bytes.isEmpty else {
                return sqlite3_bind_text(handle, index, "", 0, Self.copied)
            }
            // SAFETY: UInt8 and CChar have one layout; the text is copied before the closure returns.
            return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                sqlite3_bind_text64(
                    handle, index, $0, sqlite3_uint64(bytes.count), Self.copied, UInt8(SQLITE_UTF8))
            }
        }
        check(code)
    }

    mutating func bindNull() {
        index += 1
        check(sqlite3_bind_null(handle, index))
    }

    mutating func bind(_ value: Int64?) { if let value { bind(value) } else { bindNull() } }
    mutating func bind(_ value: Int?) { if let value { bind(Int64(value)) } else { bindNull() } }
    mutating func bind(_ value: Double?) { if let value { bind(value) } else { bindNull() } }
    mutating func bind(_ value: String?) { if let value { bind(value) } else { bindNull() } }

    /// Binding touches no file: it fails only for a wrong index, a wrong state, or text over SQLite's 1 GB limit, and
    /// the limits of a workflow keep every text far below that.
    private func check(_ code: Int32) {
        precondition(code == SQLITE_OK, "binding argument \(index) failed with SQLite code \(code)")
    }
}

extension Statement {
    /// Prepares this statement for positional binding; called once, when it is made.
    func takesPositionalArguments() -> Statement {
        // Tells GRDB that the arguments are its user's business from here on.
        setUncheckedArguments(StatementArguments())
        return self
    }

    /// Binds all arguments anew.
    func bindAll(_ bind: (inout ArgumentBinder) throws -> Void) rethrows {
        // Only reports once more why the last execution failed, which its caller was told.
        sqlite3_reset(sqliteStatement)
        var binder = ArgumentBinder(sqliteStatement)
        try bind(&binder)
    }

    /// Binds all arguments, runs the statement to its end, and lets go of the arguments.
    func run(_ bind: (inout ArgumentBinder) throws -> Void) throws {
        try bindAll(bind)
        defer {
            sqlite3_reset(sqliteStatement)
            sqlite3_clear_bindings(sqliteStatement)
        }
        try execute()
    }

    /// Binds all arguments and calls `row` with a reader for every row.
    ///
    /// `table` names the table in the message if a row makes no sense.
    func forEachRow(
        of table: StaticString, _ bind: (inout ArgumentBinder) throws -> Void,
        row: (inout ColumnReader) throws -> Void
    ) throws {
        try bindAll(bind)
        defer { sqlite3_clear_bindings(sqliteStatement) }
        let rows = try Row.fetchCursor(self)
        while try rows.next() != nil {
            var reader = ColumnReader(sqliteStatement, table: table)
            try row(&reader)
        }
    }
}
