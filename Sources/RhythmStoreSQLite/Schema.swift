import GRDB
import RhythmEngine

/// The tables, how they came to be, and the mark that tells our files from others.
///
/// - `workflows`: a small row each, because every transition rewrites it. `key` is a number of our own: children are
///   found by it, so their keys are short and those of one workflow lie together. `status`, `settled`, `steps_done`,
///   `pending_step` and `steps_total` are copies of what ``Workflow`` derives, written with what they are derived from;
///   lists and filters use them, and nothing reads them back into a record.
/// - `specs`: what was asked for and never changes; may be large.
/// - `attempts`: by workflow, step and number. There is no index on the task id: nobody looks for one, and a
///   random key would dirty a page of its own with every attempt.
/// - `events`: by workflow and version.
/// - `identity`: one row, the name of what is stored; a copy of the file has it too.
/// - `labels`: one row for each label of each workflow, for filters only.
///
/// Every index on `workflows` begins with what a list may ask for and goes on with its order; see ``ListStatement``.
enum Schema {
    /// The number of migrations. Files with a higher one are refused.
    static let version: Int64 = 3
    /// `Rhyt` in ASCII, in the file's header (https://www.sqlite.org/fileformat2.html#application_id).
    static let applicationID: Int64 = 0x5268_7974

    /// The steps from an empty file to the present form. A migration that was released is never changed.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(sql: "PRAGMA application_id = \(applicationID); PRAGMA user_version = 1")
            try db.execute(sql: workflows)
            try db.execute(sql: children)
        }
        migrator.registerMigration("2") { db in
            try db.execute(
                sql: """
                    ALTER TABLE attempts ADD COLUMN queued_at INTEGER;
                    ALTER TABLE attempts ADD COLUMN waiting TEXT;
                    PRAGMA user_version = 2;
                    """)
        }
        migrator.registerMigration("3") { db in
            try db.execute(
                sql: "ALTER TABLE attempts ADD COLUMN progress_reported TEXT; PRAGMA user_version = 3;")
        }
        // Of no concern to programs that do not know it, so the version stays.
        migrator.registerMigration("identity") { db in
            try db.execute(
                sql: """
                    CREATE TABLE identity (id TEXT NOT NULL) STRICT;
                    INSERT INTO identity (id) VALUES (lower(hex(randomblob(16))));
                    """)
        }
        return migrator
    }

    /// Names what is stored in the file.
    static func identity(_ db: Database) throws -> String {
        try String.fetchOne(db, sql: "SELECT id FROM identity LIMIT 1") ?? ""
    }

    /// Refuses files of other programs and of newer versions of this one, before anything is written to them.
    static func check(_ db: Database, path: String) throws {
        let application = try Int64.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let found = try Int64.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        // The migrator's own table comes before our first transaction: a process may have ended in between.
        let tables = try Int64.fetchOne(db, sql: "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '%grdb_%'")
        if tables == 0, application == 0, found == 0 { return }
        guard application == applicationID else {
            throw StoreError(
                .corrupt, "\(path) is a database of another program (application id \(application)); name another file")
        }
        guard found <= version else {
            throw StoreError(
                .tooNew,
                "\(path) has schema version \(found); this program knows versions up to \(version): use a newer one")
        }
    }

    private static let workflows = """
        CREATE TABLE workflows (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL,
            name TEXT NOT NULL,
            app_id TEXT NOT NULL,
            labels TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            request_id TEXT NOT NULL,
            steps_total INTEGER NOT NULL,
            status TEXT NOT NULL,
            settled INTEGER NOT NULL,
            steps_done INTEGER NOT NULL,
            pending_step TEXT NOT NULL,
            control TEXT NOT NULL,
            resume_from INTEGER,
            resume_args TEXT,
            deletes_when_settled INTEGER NOT NULL,
            version INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            started_at INTEGER,
            ended_at INTEGER,
            requests TEXT
        ) STRICT;
        CREATE UNIQUE INDEX workflows_id ON workflows (id);
        CREATE UNIQUE INDEX workflows_request ON workflows (request_id) WHERE request_id <> '';
        CREATE INDEX workflows_unsettled ON workflows (settled) WHERE settled = 0;
        CREATE INDEX workflows_created ON workflows (status, created_at, id);
        CREATE INDEX workflows_updated ON workflows (status, updated_at, id);
        CREATE INDEX workflows_app ON workflows (app_id, status, created_at, id);
        CREATE INDEX workflows_name ON workflows (name, status, created_at, id);
        """

    private static let children = """
        CREATE TABLE specs (
            workflow INTEGER PRIMARY KEY REFERENCES workflows (key) ON DELETE CASCADE,
            description TEXT NOT NULL,
            args TEXT NOT NULL,
            kwargs TEXT NOT NULL,
            steps TEXT NOT NULL
        ) STRICT;
        CREATE TABLE labels (
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            workflow INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
            PRIMARY KEY (key, value, workflow)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX labels_workflow ON labels (workflow);
        CREATE TABLE attempts (
            workflow INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
            step INTEGER NOT NULL,
            number INTEGER NOT NULL,
            id TEXT NOT NULL,
            retry INTEGER NOT NULL,
            args TEXT NOT NULL,
            kwargs TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            status TEXT NOT NULL,
            not_before INTEGER,
            dispatched_at INTEGER,
            started_at INTEGER,
            ended_at INTEGER,
            result TEXT,
            failure_type TEXT,
            failure_message TEXT,
            failure_module TEXT,
            failure_traceback TEXT,
            failure_retriable INTEGER,
            worker TEXT,
            queue TEXT,
            retries INTEGER NOT NULL,
            revocation_reason TEXT,
            revocation_at INTEGER,
            superseded INTEGER NOT NULL,
            late_status TEXT,
            late_at INTEGER,
            late_detail TEXT,
            progress_name TEXT,
            progress_units TEXT,
            progress_done REAL,
            progress_total REAL,
            progress_first_at INTEGER,
            progress_updated_at INTEGER,
            progress_first_done REAL,
            progress_weighted_sum REAL,
            progress_weight REAL,
            PRIMARY KEY (workflow, step, number)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE events (
            workflow INTEGER NOT NULL REFERENCES workflows (key) ON DELETE CASCADE,
            version INTEGER NOT NULL,
            at INTEGER NOT NULL,
            kind TEXT NOT NULL,
            status TEXT NOT NULL,
            steps_done INTEGER NOT NULL,
            step TEXT NOT NULL,
            task_id TEXT,
            attempt INTEGER NOT NULL,
            detail TEXT NOT NULL,
            PRIMARY KEY (workflow, version)
        ) STRICT, WITHOUT ROWID;
        """
}
