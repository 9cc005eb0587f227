import RhythmAuth
import Testing

@Suite(.timeLimit(.minutes(1))) struct FailureThrottleTests {
    private func delay(_ verdict: FailureThrottle.Verdict) -> Duration? {
        if case .answer(let delay) = verdict { delay } else { nil }
    }

    private static let minute: UInt64 = 60_000_000_000

    @Test func eachFailureIsAnsweredLaterThanTheOneBefore() {
        var throttle = FailureThrottle()
        var delays: [Duration] = []
        for number in 0..<10 {
            delays.append(delay(throttle.fail("a", at: UInt64(number))) ?? .zero)
            throttle.release("a")
        }
        #expect(delays.first == FailureThrottle.firstDelay && delays.last == FailureThrottle.longestDelay)
        #expect(delays == delays.sorted() && delays[1] == delays[0] * 2)
        #expect(throttle.failures(of: "a") == 10 && throttle.total == 10)
        #expect(delay(throttle.fail("b", at: 11)) == FailureThrottle.firstDelay, "others are not made to wait")
    }

    @Test func whatIsLongAgoIsForgotten() {
        var throttle = FailureThrottle()
        for _ in 0..<5 {
            _ = throttle.fail("a", at: 0)
            throttle.release("a")
        }
        #expect(delay(throttle.fail("a", at: 6 * Self.minute)) == FailureThrottle.firstDelay)
    }

    @Test func onlySomeMayWait() {
        var throttle = FailureThrottle()
        for _ in 0..<FailureThrottle.waitingMax { #expect(throttle.fail("a", at: 1) != .hangUp) }
        #expect(throttle.fail("a", at: 2) == .hangUp)
        #expect(throttle.fail("b", at: 2) != .hangUp)
        throttle.release("a")
        #expect(throttle.fail("a", at: 3) != .hangUp)
        var waiting = FailureThrottle.waitingMax + 1
        for number in 0..<1000 where throttle.fail("x\(number)", at: 4) != .hangUp { waiting += 1 }
        #expect(waiting == FailureThrottle.waitingMaxOfAll)
    }

    @Test func itsMemoryIsBounded() {
        var throttle = FailureThrottle()
        for number in 0..<20_000 {
            if throttle.fail("x\(number)", at: UInt64(number)) != .hangUp { throttle.release("x\(number)") }
        }
        #expect(throttle.count <= FailureThrottle.addressesMax)
        #expect(throttle.failures(of: "x19999") == 1 && throttle.failures(of: "x0") == 0, "the oldest goes first")
        #expect(throttle.total == 20_000)
    }
}
