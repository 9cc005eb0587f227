import Logging
import RhythmCore

/// What an engine does because what one server tells may not reach another: news are no promise, what is stored is.
extension Engine {
    /// Others do not hear of what this server does, or do again.
    func setMute(_ isMute: Bool) {
        guard let telling = shared as? any TellingStore, telling.isMute != isMute else { return }
        telling.isMute = isMute
        // They are to know at once.
        if leaseDueAt != nil { leaseDueAt = clock.now() }
    }

    /// Finds out whether something may have been stored that nobody told.
    func lookAround() throws(StoreError) {
        guard let telling = shared as? any TellingStore else { return }
        let found = try telling.surroundings()
        var publication = Publication()
        publication.mayHaveMissed = found.somebodyLeft
        if found.somebodyIsMute != othersAreMute {
            othersAreMute = found.somebodyIsMute
            publication.othersAreMute = othersAreMute
            // It was noticed later than it began, or ended.
            publication.mayHaveMissed = true
            logger.notice(
                othersAreMute
                    ? "another server cannot tell what it does: the store is looked into"
                    : "all servers tell what they do")
        }
        guard publication.mayHaveMissed else { return }
        // What is followed here may have been changed as well.
        compareNow()
        publish(publication)
    }

    /// Something may have been stored that was not told: memory is compared with the store at once.
    func compareNow() {
        expectLateWrites()
        reconciliation?.dueAt = clock.now()
    }
}
