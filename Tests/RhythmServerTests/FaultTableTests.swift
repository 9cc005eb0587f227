import Foundation
import Testing

/// What a bad peer can do, and the tests that show what comes of it. Each is written `Suite.test`; all of them speak raw
/// bytes to a real server, or to the decoder in front of it.
enum FaultTable {
    struct Fault: Sendable, CustomTestStringConvertible {
        let number: Int
        let what: String
        let tests: [String]

        var testDescription: String { "\(number): \(what)" }

        init(_ number: Int, _ what: String, _ tests: String...) {
            self.number = number
            self.what = what
            self.tests = tests
        }
    }

    static let faults: [Fault] = [
        Fault(
            1, "a length of 4 GiB",
            "HelloTests.impossibleLengthsCostNoMemory", "HelloTests.anythingElseIsClosedAtOnce"),
        Fault(
            2, "a frame of exactly the limit, and one byte more",
            "MultiplexTests.requestThatIsTooLongEndsItsCallOnly",
            "MultiplexTests.answerThatIsTooLongFailsItsCallOnly", "FramingTests.theLimitIsExact"),
        Fault(
            3, "another protocol",
            "HelloTests.anythingElseIsClosedAtOnce", "CrowdTests.refusalsAreLoggedOnceAMinute",
            "PartingTests.theLastWordArrivesBeforeTheEnd",
            "FramingTests.otherProtocolsAreRefusedByTheirFirstBytes"),
        Fault(
            4, "connects and sends nothing",
            "HelloTests.mustComeInTime", "CrowdTests.whoHasNotSaidHelloIsCappedSeparately"),
        Fault(
            5, "one byte every few seconds",
            "BadPeerTests.frameMustBeCompleteInTime", "BadPeerTests.dribbledFrameIsNotInTime"),
        Fault(
            6, "half open: the cable is pulled",
            "BadPeerTests.silentPeerIsPingedAndThenCutOff", "LostPeerTests.whatAVanishedPeerHeldIsFreed",
            "HalfOpenTests.itsSlotsAreFreedAfterTheIntervalAndTheTimeout"),
        Fault(7, "the client is done while calls are open", "BadPeerTests.finWithCallsInFlight"),
        Fault(
            8, "a session cut at every byte",
            "BadPeerTests.sessionCutAnywhereLeavesNothingBehind",
            "FramingTests.aSessionCutAnywhereGivesTheFramesThatWereWhole"),
        Fault(
            9, "frames split and joined at random",
            "BadPeerTests.chunksDoNotMatter", "FramingTests.anyChunkingGivesTheSameFrames"),
        Fault(
            10, "a call id used again, or a lower one",
            "MultiplexTests.callIDsMustGrow", "MultiplexTests.brokenFrameWithAnOpenIDIsAProtocolError"),
        Fault(
            11, "call id 0, and the last one there is (any parity is right)",
            "MultiplexTests.callIDsMustGrow", "LostPeerTests.callIDsEndWithTheLast"),
        Fault(
            12, "frames about a call that is over",
            "MultiplexTests.cancelEndsACallOnce", "LostPeerTests.unknownFramesAboutCallsAreIgnored"),
        Fault(13, "stream frames about a call with one answer", "LostPeerTests.unknownFramesAboutCallsAreIgnored"),
        Fault(14, "an unknown call", "MultiplexTests.whatItDoesNotKnowIsUnimplemented"),
        Fault(
            15, "an unknown kind of frame",
            "MultiplexTests.whatItDoesNotKnowIsUnimplemented",
            "HostileInputTests.anUnknownBodyIsAnswerableAndUnknownFieldsAreIgnored"),
        Fault(
            16, "a payload cut short or mutated",
            "MultiplexTests.whatCannotBeReadEndsItsCallOnly",
            "MultiplexTests.whatCannotBeReadAndNamesNoCallEndsTheConnection",
            "HostileInputTests.mutatedFramesDoNoHarm", "HostileInputTests.meaningIsCheckedToo",
            "CorpusTests.everyInputOfTheFuzzersIsHarmless"),
        Fault(
            17, "a protobuf bomb",
            "FloodTests.bombsAreRefusedAndForgotten", "HostileInputTests.bombsStayWithinTheBudget"),
        Fault(18, "deep nesting", "ProtocolFileTests.noMessageContainsItself"),
        Fault(
            19, "NUL or bad UTF-8 in a text",
            "MultiplexTests.whatCannotBeReadEndsItsCallOnly", "HostileInputTests.textsHoldUTF8WithoutNUL"),
        Fault(
            20, "a flood of calls, a flood of connections",
            "MultiplexTests.callsBeyondTheLimitAreRefused", "CrowdTests.connectionsOfOneAddressAreCapped",
            "CrowdTests.allConnectionsAreCapped"),
        Fault(
            21, "a flood of calls that are opened and cancelled",
            "FloodTests.cancelledCallsKeepTheirPlaceWhileTheyAreWorkedOn",
            "FloodTests.tooManyCancelsEndTheConnection"),
        Fault(
            22, "a flood of small frames from somebody who reads nothing",
            "FloodTests.floodsOfSmallFramesAreNotReadOn"),
        Fault(
            23, "too many pings",
            "FloodTests.tooManyPingsEndTheConnection", "HelloTests.announcesItselfAndItsLimits"),
        Fault(
            24, "a watcher that reads nothing",
            "SlowReaderTests.stalledReaderCostsNothingAndMissesNothing", "SlowReaderTests.deletionDuringAStall",
            "FloodTests.whoeverLetsMostWaitIsCutOff"),
        Fault(25, "one abandoned stream among many", "LostPeerTests.stalledReaderDelaysNobody"),
        Fault(
            26, "numbers that cannot be (the protocol has no credit)",
            "HostileInputTests.meaningIsCheckedToo", "WatchTests.wrongRequestsAreRefused"),
        Fault(
            27, "a deadline of 0, a huge one, one that is over",
            "LostPeerTests.deadlinesAreClampedAndDefaulted", "MultiplexTests.deadlineEndsTheWaitingNotTheWork"),
        Fault(
            28, "the client dies after its start was stored",
            "LostPeerTests.startWhoseAnswerWasLostIsFoundByItsRequestID",
            "CallTests.startIsRepeatedByItsRequestID"),
        Fault(
            29, "a shutdown with 1,000 watches",
            "DrainTests.watchesEndAtOnceAndCanResume", "DrainTests.doesNotWaitBeyondTheGrace"),
        Fault(
            30, "resuming from the future, from what is gone, from a restart, twice",
            "WatchTests.wrongRequestsAreRefused", "WatchResumeTests.whatIsNoLongerKeptIsAGap",
            "WatchResumeTests.fromEveryVersionAfterARestart", "WatchResumeTests.whileItGoesOn"),
        Fault(31, "no descriptor is left", "DescriptorTests.runningOutOfDescriptorsIsSurvived"),
        Fault(
            32, "a peer closes with data unread",
            "LostPeerTests.whatWasSentBeforeAHangUpIsRead", "BadPeerTests.sessionCutAnywhereLeavesNothingBehind"),
    ]
}

@Suite struct FaultTableTests {
    @Test func isComplete() { #expect(FaultTable.faults.map(\.number) == Array(1...32)) }

    @Test(arguments: FaultTable.faults) func namesTestsThatExist(fault: FaultTable.Fault) throws {
        #expect(!fault.tests.isEmpty)
        for test in fault.tests {
            let parts = test.split(separator: ".")
            try #require(parts.count == 2)
            let text = try #require(Self.sources["\(parts[0]).swift"], "there is no suite \(parts[0])")
            #expect(text.contains("func \(parts[1])("), "\(parts[0]) has no test \(parts[1])")
        }
    }

    /// The suites of this module and of the decoder, by file name.
    private static let sources: [String: String] = {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        var sources: [String: String] = [:]
        for module in ["RhythmServerTests", "RhythmWireTests"] {
            let folder = tests.appending(path: module)
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] {
                sources[name] = try? String(contentsOf: folder.appending(path: name), encoding: .utf8)
            }
        }
        return sources
    }()
}
