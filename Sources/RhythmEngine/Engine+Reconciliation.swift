import Logging
import RhythmCore

/// What an engine does about writes that arrive late.
///
/// A database that was frozen, or the network before it, may carry out requests that nobody waits for any more, those
/// of a process that died since among them. Each names the revision that it was made from, so it overwrites nothing.
/// But this server may follow, by what is stored, a workflow that it does not have in memory, or has as it was before;
/// and no other server would touch it while this one lives. So for a while after such trouble, and after each start,
/// the engine compares.
extension Engine {
    /// The first time after trouble comes so soon, and finds most of what there is to find. As each reads something of
    /// every workflow that is followed, there are only two more, after pauses five times as long each.
    private static let firstPause = Duration.seconds(2)
    /// What is still on its way a minute after the store works again has been lost.
    private static let longestPause = Duration.seconds(50)

    /// When to compare next, and the pause before that.
    struct Reconciliation {
        var dueAt: Timestamp
        var pause: Duration
    }

    /// What the store was asked last may be done later than it looks.
    func expectLateWrites() {
        // What is stored is another one's to follow.
        guard remote != nil, storeTrouble?.code != .replaced else { return }
        reconciliation = Reconciliation(dueAt: clock.now() + Self.firstPause, pause: Self.firstPause)
    }

    /// Other servers can be heard, or not, from now on.
    func setDeaf(_ isDeaf: Bool) {
        self.isDeaf = isDeaf
        // Now, as much as when they are heard again: what they said in between came to nobody.
        expectLateWrites()
        reconciliation?.dueAt = clock.now()
    }

    /// Compares what this server has in memory with what is stored, if it is time to.
    func reconcile(now: Timestamp) {
        guard let remote, let due = reconciliation, due.dueAt <= now else { return }
        if isDeaf || othersAreMute {
            // What others do to what is followed here is told by nothing else.
            let pause = max(Self.firstPause, .milliseconds(2 * active.count))
            reconciliation = Reconciliation(dueAt: now + pause, pause: Self.firstPause)
            var news = Publication(foreign: [], progress: [], deleted: [])
            news.mayHaveMissed = true
            publish(news)
        } else {
            let pause = due.pause * 5
            reconciliation = pause > Self.longestPause ? nil : Reconciliation(dueAt: now + pause, pause: pause)
        }
        do throws(StoreError) { try compare(with: remote) } catch {
            logger.error("what is stored could not be compared: \(error)")
            if error.concernsOneRecord { expectLateWrites() } else { storeFailed(error, reading: true) }
        }
    }

    /// Attempts may begin again, if nothing but this server's ignorance is in the way.
    func openGate() {
        guard let gate, let remote, !gate.isOpen, storeTrouble == nil || troubleIsOfReading else { return }
        if let link = store.link, let last = link.lastProof, last.duration(to: .now) >= link.proofLasts { return }
        do throws(StoreError) {
            try compare(with: remote)
            if storeTrouble == nil, doubtful.values.allSatisfy(\.isUnreadable) {
                releaseUnreadable()
                gate.open()
            }
        } catch {
            logger.error("what is stored could not be compared: \(error)")
            if !error.concernsOneRecord { storeFailed(error, reading: true) }
        }
        if !gate.isOpen { retryAt = clock.now() + Self.storeRetryInterval }
    }

    /// Of a workflow whose record cannot be read nobody knows whether its attempts are still the ones that count. They
    /// must not begin; if it can be read again, what it says then is done.
    private func releaseUnreadable() {
        for (id, doubt) in doubtful where !doubt.isReleased {
            doubtful[id]?.isReleased = true
            guard let workflow = active[id] else { continue }
            runner.perform(workflow.liveAttempts.map { .release(workflow[$0].id) })
        }
    }

    private func compare(with remote: any RemoteStore) throws(StoreError) {
        let stored = try remote.unsettledVersions()
        storeReads()
        for id in active.keys.filter({ active[$0]?.version != stored[$0] }).sorted() where doubtful[id] == nil {
            refresh(id)
            // It is away again. Each further read would only wait for it, and be repeated later.
            if doubtful[id] != nil, storeTrouble != nil { return }
        }
        let unknown = stored.keys.filter { active[$0] == nil && doubtful[$0] == nil }.sorted()
        for id in unknown {
            do throws(StoreError) { try takeIn(id) } catch {
                guard error.concernsOneRecord else { throw error }
                logger.error("nobody goes on with workflow \(id): \(error)")
            }
        }
    }

    /// Follows a workflow that is this server's by what is stored, though it did not know.
    private func takeIn(_ id: WorkflowID) throws(StoreError) {
        guard let found = try store.load(id), !found.isSettled, follows(id) else { return }
        // Whoever wrote them could not tell.
        let events = try store.reader.events(of: id, after: 0, limit: .max)
        logger.notice("a late write made workflow \(id) this server's; going on with it")
        install(found)
        runner.perform(found.outstandingEffects)
        var publication = Publication()
        publication.changes.append(.init(workflow: found, events: events))
        publish(publication)
    }
}
