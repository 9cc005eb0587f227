import RhythmAMQP
import Testing

@testable import RhythmPeers

@Suite struct TellingTests {
    private let now = ContinuousClock.now

    private func ready() -> Telling {
        var telling = Telling()
        _ = telling.connection(.ready(again: false))
        return telling
    }

    @Test func nobodyHearsAServerThatIsNotConnected() {
        var telling = Telling()
        #expect(telling.muteBecause(at: now) != nil)
        #expect(telling.connection(.connecting) == .nothing && telling.muteBecause(at: now) != nil)
        #expect(telling.connection(.ready(again: false)) == .nothing)
        #expect(telling.muteBecause(at: now) == nil)
        _ = telling.connection(.blocked(reason: "memory"))
        #expect(telling.muteBecause(at: now)?.contains("memory") == true)
        _ = telling.connection(.ready(again: true))
        #expect(telling.muteBecause(at: now) == nil)
        _ = telling.connection(.down(reason: "refused", retryIn: .seconds(1)))
        #expect(telling.muteBecause(at: now) == "refused")
    }

    @Test(arguments: [
        PublishOutcome.notSent(reason: "no connection"), .undecided(reason: "it ended"), .rejected,
    ])
    func whatWasLostIsMadeGood(_ loss: PublishOutcome) {
        var telling = ready()
        telling.submitted(at: now)
        #expect(telling.ended(loss, at: now) == .recheck)
        #expect(telling.muteBecause(at: now) != nil, "the others do not know yet")
        // What is lost before the word is out needs another one.
        telling.submitted(at: now)
        #expect(telling.ended(loss, at: now) == .nothing)
        telling.rechecked(.confirmed, at: now)
        #expect(telling.muteBecause(at: now) != nil)
        #expect(telling.recheckIfDue() == .recheck)
        telling.rechecked(.confirmed, at: now)
        #expect(telling.muteBecause(at: now) == nil && telling.recheckIfDue() == .nothing)
    }

    @Test func itIsSaidWhenThereIsAConnection() {
        var telling = ready()
        _ = telling.connection(.down(reason: "refused", retryIn: .seconds(1)))
        telling.submitted(at: now)
        #expect(telling.ended(.notSent(reason: "no connection"), at: now) == .nothing)
        #expect(telling.connection(.ready(again: true)) == .recheck)
        telling.rechecked(.undecided(reason: "it ended"), at: now)
        #expect(telling.muteBecause(at: now) != nil)
        #expect(telling.connection(.ready(again: true)) == .recheck)
    }

    /// Nobody says that a connection is dead: for a second its silence is nothing.
    @Test func whatIsNotConfirmedIsNotHeard() {
        var telling = ready()
        telling.submitted(at: now)
        #expect(telling.muteBecause(at: now + .milliseconds(900)) == nil)
        #expect(telling.muteBecause(at: now + .milliseconds(1100)) != nil)
        telling.submitted(at: now + .milliseconds(1200))
        _ = telling.ended(.confirmed, at: now + .milliseconds(1300))
        #expect(telling.muteBecause(at: now + .milliseconds(1400)) == nil)
        _ = telling.ended(.confirmed, at: now + .milliseconds(1500))
        #expect(telling.muteBecause(at: now + .seconds(100)) == nil)
    }
}
