import RhythmCore
import Testing

@Suite struct PriorityTests {
    @Test(
        arguments: [
            // own priority, index, expected
            (nil, 0, 1), (nil, 1, 2), (nil, 8, 9), (nil, 9, 9), (nil, 999, 9), (0, 0, 0), (0, 5, 0), (9, 0, 9),
            (5, 8, 5),
            (-3, 2, 0), (42, 2, 9),
        ] as [(Int?, Int, Int)])
    func rule(own: Int?, index: Int, expected: Int) {
        #expect(StepSpec(name: "s", task: "t", priority: own).effectivePriority(at: index) == expected)
    }

    @Test func dispatchCarriesIt() throws {
        var rig = try Rig(steps: 2)
        #expect(rig.dispatched.map(\.priority) == [1])
        try rig.succeed()
        #expect(rig.dispatched.map(\.priority) == [2])
    }
}

@Suite struct RetryPolicyTests {
    @Test func delaysGrowUpToTheLimit() {
        let policy = RetryPolicy(maxAttempts: 20)
        #expect(
            (1...11).map { policy.delay(beforeRetry: $0) }
                == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map { Duration.seconds($0) })
    }

    @Test func fractionsOfASecondAreExact() {
        // 0.29 s is 289,999.99... us in binary.
        let policy = RetryPolicy(maxAttempts: 3, backoff: .milliseconds(290), factor: 1)
        #expect(policy.delay(beforeRetry: 1) == .milliseconds(290))
    }

    @Test func slowGrowthGoesOnAfterManyRetries() {
        let policy = RetryPolicy(maxAttempts: 1000, backoff: .milliseconds(1), factor: 1.05, maxBackoff: .seconds(10))
        #expect(policy.delay(beforeRetry: 100) > policy.delay(beforeRetry: 99))
        #expect(policy.delay(beforeRetry: 999) == .seconds(10))
    }

    @Test(arguments: [1, 2, 64, 1000, Int.max])
    func nothingOverflows(retry: Int) {
        let wild = RetryPolicy(
            maxAttempts: 1000, backoff: .seconds(366 * 86_400), factor: 100, maxBackoff: .seconds(366 * 86_400))
        #expect(wild.delay(beforeRetry: retry) == .seconds(366 * 86_400))
        #expect(RetryPolicy(maxAttempts: 9, backoff: .zero).delay(beforeRetry: retry) == .zero)
        #expect(RetryPolicy(maxAttempts: 9, maxBackoff: .zero).delay(beforeRetry: retry) == .zero)
    }
}
