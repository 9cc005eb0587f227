import Foundation
import RhythmEngine
import RhythmTesting

@testable import RhythmStoreSQLite

/// A SQLite store in a directory of its own.
final class SQLiteFixture: StoreFixture {
    let directory: URL
    private(set) var store: SQLiteStore?
    private let eventsKept: Int
    private let fewMatches: Int

    init(eventsKept: Int = SQLiteStore.eventsKeptByDefault, fewMatches: Int = 2_000) throws {
        self.eventsKept = eventsKept
        self.fewMatches = fewMatches
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("rhythm-store-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit {
        store?.close()
        try? FileManager.default.removeItem(at: directory)
    }

    var path: String { directory.appendingPathComponent("rhythm.db").path }

    func open() throws -> any Store { try openSQLite() }

    func openSQLite() throws -> SQLiteStore {
        let store = try SQLiteStore(
            path: path, readers: 4, eventsKept: eventsKept, busyTimeout: 5, fewMatches: fewMatches)
        self.store = store
        return store
    }

    func close() throws {
        store?.close()
        store = nil
    }

    /// Takes the files as they are while the store is open, which is what a dead process leaves behind, and puts them
    /// back when the store, which tidies up as it closes, is gone. The shared-memory file is not needed and may be
    /// torn.
    func crash() throws {
        try copyFiles(to: "crashed.db")
        try close()
        try useFiles(of: "crashed.db")
    }

    /// Copies the database file and its WAL.
    func copyFiles(to name: String) throws {
        let target = directory.appendingPathComponent(name).path
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: path + suffix) {
            try? FileManager.default.removeItem(atPath: target + suffix)
            try FileManager.default.copyItem(atPath: path + suffix, toPath: target + suffix)
        }
    }

    /// Puts copies in the place of the files; the store is closed.
    func useFiles(of name: String) throws {
        let source = directory.appendingPathComponent(name).path
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: path + suffix)
            if FileManager.default.fileExists(atPath: source + suffix) {
                try FileManager.default.copyItem(atPath: source + suffix, toPath: path + suffix)
            }
        }
    }
}
