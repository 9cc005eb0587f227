import RhythmTesting
import Synchronization
import Testing

@testable import RhythmAMQP

@Suite struct OutstandingTests {
    /// Publishes with the outcomes they had, by their tag.
    private final class Ledger {
        var outstanding = OutstandingPublishes()
        let outcomes = Collected<(Int, PublishOutcome)>()
        var ids: [String] = []

        func publish(_ count: Int) {
            for _ in 0..<count {
                let number = ids.count + 1
                ids.append(outstanding.add { [outcomes] in outcomes.add((number, $0)) })
            }
        }

        subscript(number: Int) -> [PublishOutcome] { outcomes.all.filter { $0.0 == number }.map(\.1) }
    }

    @Test("Acknowledged one by one, out of order, and many at once")
    func acknowledgements() {
        let ledger = Ledger()
        ledger.publish(6)
        ledger.outstanding.settle(3, multiple: false, accepted: true)
        #expect(ledger[3] == [.confirmed] && ledger.outcomes.count == 1)
        ledger.outstanding.settle(4, multiple: true, accepted: true)
        #expect(ledger.outcomes.count == 4 && ledger.outstanding.count == 2)
        ledger.outstanding.settle(5, multiple: false, accepted: false)
        #expect(ledger[5] == [.rejected])
        // All that are left; then answers to what nobody asked.
        ledger.outstanding.settle(0, multiple: true, accepted: true)
        ledger.outstanding.settle(6, multiple: true, accepted: true)
        ledger.outstanding.settle(99, multiple: false, accepted: true)
        ledger.outstanding.settle(.max, multiple: true, accepted: false)
        #expect(ledger.outcomes.count == 6 && ledger[6] == [.confirmed] && ledger.outstanding.count == 0)
    }

    @Test("A return decides what the acknowledgement behind it means, for its own message only")
    func returns() {
        let ledger = Ledger()
        ledger.publish(4)
        ledger.outstanding.returned(ledger.ids[1], code: 312, text: "NO_ROUTE")
        ledger.outstanding.returned(ledger.ids[2], code: 312, text: "NO_ROUTE")
        ledger.outstanding.returned("nonsense", code: 1, text: "")
        ledger.outstanding.returned(nil, code: 1, text: "")
        #expect(ledger.outcomes.count == 0)
        ledger.outstanding.settle(4, multiple: true, accepted: true)
        let unroutable = PublishOutcome.unroutable(code: 312, text: "NO_ROUTE")
        #expect((1...4).map { ledger[$0] } == [[.confirmed], [unroutable], [unroutable], [.confirmed]])
    }

    @Test("A lost channel decides nothing but what came back, and the next one counts from the start")
    func lostChannel() {
        let ledger = Ledger()
        ledger.publish(3)
        ledger.outstanding.settle(1, multiple: false, accepted: true)
        ledger.outstanding.returned(ledger.ids[2], code: 312, text: "NO_ROUTE")
        ledger.outstanding.loseAll("gone")
        #expect(ledger[2] == [.undecided(reason: "gone")])
        #expect(ledger[3] == [.unroutable(code: 312, text: "NO_ROUTE")], "the broker does not have it")
        ledger.publish(1)
        // A return of the earlier channel is not one of this channel's first message.
        ledger.outstanding.returned(ledger.ids[0], code: 312, text: "NO_ROUTE")
        ledger.outstanding.settle(1, multiple: false, accepted: true)
        #expect(ledger[4] == [.confirmed])
    }

    @Test("Whatever the order of answers, each message has one outcome", arguments: 0..<200)
    func anyOrder(run: Int) {
        let seed = UInt64(run) &* 7919 &+ 1
        var generator = SeededGenerator(seed: seed)
        let ledger = Ledger()
        for _ in 0..<60 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5: ledger.publish(Int.random(in: 1...5, using: &generator))
            case 9: if Int.random(in: 0..<5, using: &generator) == 0 { ledger.outstanding.loseAll("gone") }
            default:
                ledger.outstanding.settle(
                    UInt64.random(in: 0...40, using: &generator), multiple: Bool.random(using: &generator),
                    accepted: Bool.random(using: &generator))
            }
            #expect(ledger.outcomes.count + ledger.outstanding.count == ledger.ids.count, "seed \(seed)")
        }
        ledger.outstanding.loseAll("end")
        let numbers = ledger.outcomes.all.map(\.0).sorted()
        #expect(numbers == Array(1...max(1, ledger.ids.count)).prefix(ledger.ids.count).map { $0 }, "seed \(seed)")
    }

    @Test("Pauses double up to the longest, and differ between clients")
    func backoff() {
        var generator = SeededGenerator(seed: 5)
        var backoff = Backoff(first: .milliseconds(100), last: .seconds(10))
        var pauses: [Duration] = []
        for _ in 0..<40 { pauses.append(backoff.next(using: &generator)) }
        for (index, pause) in pauses.enumerated() {
            let longest = min(Duration.seconds(10), .milliseconds(100) * (1 << min(index, 10)))
            #expect(pause <= longest && pause >= longest / 2, "\(index)")
        }
        #expect(Set(pauses.suffix(10)).count > 5)
        backoff.succeeded()
        #expect(backoff.next(using: &generator) <= .milliseconds(100))
    }
}
