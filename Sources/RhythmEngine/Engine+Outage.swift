import Logging
import RhythmCore

/// What an engine does while its store is away: nothing is asked of it, so that nothing waits for it.
///
/// The first thing that fails says that it is away. From then on commands are refused at once, for nothing of them has
/// happened, and what attempts report is kept. Somebody else looks whether the store is back (``Store/link``) and says so
/// by ``storeAnswers()``.
extension Engine {
    /// The store did not do what it was asked, and the trouble is not one record's.
    ///
    /// - Parameter reading: It was asked to read: then a read is enough to prove that it is well again.
    func storeFailed(_ error: StoreError, reading: Bool = false) {
        if storeTrouble == nil { logger.error("the store refuses: \(error)") }
        troubleIsOfReading = reading && (storeTrouble == nil || troubleIsOfReading)
        storeTrouble = error
        if error.code == .unavailable, storeLink != nil { isHeldOff = true }
        gate?.close()
        expectLateWrites()
    }

    /// The store did what it was asked.
    func storeWorks() {
        guard let trouble = storeTrouble else { return }
        logger.notice("the store works again")
        storeTrouble = nil
        // Nothing was compared while another one had this server's name.
        if trouble.code == .replaced { expectLateWrites() }
    }

    /// Nothing waits to be stored that would show whether the store takes it: then any write of it shows enough.
    var nothingIsHeld: Bool { heldReports.isEmpty && doubtful.isEmpty && unsavedProgress.isEmpty }

    /// The store has read what it was asked for. What it says of writes is proved by writes alone.
    func storeReads() {
        if troubleIsOfReading { storeWorks() }
    }

    /// The way to the store, if somebody can look whether it is open.
    var storeLink: (any StoreLink)? { store.link }

    /// The store answers: what was held off is done by the next ``process(_:)``. Whoever calls that has to look, while
    /// ``isHeldOff`` says so, whether the store is back.
    public func storeAnswers() {
        isHeldOff = false
        retryAt = nil
        // A shared store proves it by the lease, which is renewed now; of any other there may be nothing to be asked.
        if shared != nil {
            leaseDueAt = clock.now()
        } else if storeTrouble?.code == .unavailable {
            storeWorks()
        }
    }

    /// Refuses and keeps what comes while the store is away.
    func holdOff(_ inputs: [Input]) {
        let failure = RhythmError(awayError)
        var publication = Publication()
        publication.storeIsAway = true
        for input in inputs {
            switch input {
            case .command(_, _, let reply): reply(.failure(failure))
            case .adopt(_, let reply): reply(.failure(failure))
            case .report(let report): heldReports.append(report)
            case .changedElsewhere(let id):
                // Whoever changed it follows it now. If not, it is found out when the store is back.
                guard let known = active[id] else { continue }
                // Else there would be something to be stored for ever.
                unsavedProgress[id] = nil
                letGo(of: known, &publication)
            }
        }
        if heldReports.count > 1_000 { heldReports = Self.worthKeeping(heldReports) }
        if !publication.isEmpty { publish(publication) }
    }

    /// Why nothing is asked of the store; of what was not asked the outcome is known.
    var awayError: StoreError {
        var error = storeTrouble ?? StoreError(.unavailable, "the store is away")
        error.outcomeUnknown = false
        return error
    }
}
