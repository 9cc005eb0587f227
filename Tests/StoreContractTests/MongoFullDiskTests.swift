import Glibc
import RhythmCore
import RhythmEngine
import RhythmMongo
import RhythmTesting
import Testing

@testable import RhythmStoreMongo

/// What happens when the database has no more room.
@Suite(.timeLimit(.minutes(5))) struct MongoFullDiskTests {
    /// The database that the tests run on gives up when its journal has no room: then it answers nothing any more, reads
    /// neither, and says no more than that until it is started again. What was acknowledged is there then as it was; of
    /// what was refused each workflow is there whole or not at all.
    @Test func fullDisk() throws {
        let mount = try ProcessGuard.shared.get().makeFolder("small-disk")
        try Test.cancel(
            if: run("mount", "-t", "tmpfs", "-o", "size=48m", "none", mount) != 0, "mounting is not permitted here")
        defer { _ = umount2(mount, Int32(MNT_DETACH)) }
        let server = try MongoServer(.standalone, folder: mount)
        defer { server.kill() }
        let pool = try MongoPool(uri: server.address("f", options: "serverSelectionTimeoutMS=300&socketTimeoutMS=5000"))
        let store = try MongoStore(pool: pool, serverID: "s")
        var disk = FullDisk(store: store)
        for _ in 0..<5 { try disk.commit() }
        #expect(disk.refusals.isEmpty)

        try fill(mount + "/filler", leaving: 256 << 10)
        for _ in 0..<1000 where disk.refusals.isEmpty { try disk.commit() }
        let refusal = try #require(disk.refusals.first, "seed \(disk.seed)")
        print("a full disk: \(refusal)")
        #expect(refusal.code == .unavailable || refusal.code == .full)
        // As much as the database says, and which one it is.
        #expect(refusal.message.contains("127.0.0.1:\(server.port)/f: "), "\(refusal)")
        #expect(refusal.message.contains("internal server error"), "\(refusal)")
        for _ in 0..<3 { try disk.commit() }
        #expect(disk.refusals.count == 4, "it stores nothing more")
        // All of it may have been written before the room came to its end.
        #expect(disk.refusals.allSatisfy { $0.outcomeUnknown }, "\(disk.refusals)")

        unlink(mount + "/filler")
        server.kill()
        try server.start()
        let deadline = ContinuousClock.now + .seconds(20)
        while (try? store.renewLease()) == nil { try #require(ContinuousClock.now < deadline) }
        try disk.check()
        for _ in 0..<5 { try disk.commit() }
        #expect(disk.refusals.count == 4, "there is room again")
        try disk.check()
    }

    /// Fills the file system but for some bytes.
    private func fill(_ path: String, leaving room: Int) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { close(file) }
        let zeroes = [UInt8](repeating: 0, count: 4096)
        var length = 0
        while case let written = write(file, zeroes, zeroes.count), written > 0 { length += written }
        #expect(errno == ENOSPC)
        try #require(ftruncate(file, max(0, length - room)) == 0)
    }
}

/// A store on such a disk, and what it has acknowledged.
private struct FullDisk {
    let store: MongoStore
    private(set) var refusals: [StoreError] = []
    private var samples = WorkflowSamples(.unseeded())
    private var stored: [WorkflowID: Workflow] = [:]
    /// What batches of unknown outcome would have made of workflows.
    private var possible: [WorkflowID: Workflow] = [:]

    init(store: MongoStore) { self.store = store }

    var seed: UInt64 { samples.random.seed }

    /// Some new workflows, and some further transitions of old ones.
    mutating func commit() throws {
        var changes = (0..<4).map { _ in samples.start() }
        for workflow in stored.values.filter({ possible[$0.id] == nil }).prefix(4) {
            var workflow = workflow
            if let change = samples.advance(&workflow) { changes.append(change) }
        }
        do throws(StoreError) {
            #expect(try store.commit(CommitBatch(changes: changes)) == [])
            for change in changes { stored[change.workflow.id] = change.workflow }
        } catch {
            refusals.append(error)
            if error.outcomeUnknown { for change in changes { possible[change.workflow.id] = change.workflow } }
        }
    }

    /// Everything that was acknowledged is there, and nothing that is half of something.
    mutating func check() throws {
        for (id, workflow) in possible {
            let found = try store.load(id)
            #expect(found == workflow || found == stored[id], "seed \(seed)")
            stored[id] = found
        }
        possible = [:]
        for (id, workflow) in stored {
            #expect(try store.load(id) == workflow, "seed \(seed)")
            let last = try store.reader.events(of: id, after: 0, limit: .max).last?.version
            #expect(last == workflow.version, "seed \(seed)")
        }
        #expect(stored.count > 20)
        #expect(try store.reader.ids(withPrefix: "", limit: .max).count == stored.count, "seed \(seed)")
    }
}
