import RhythmClient
import RhythmCore
import RhythmWire
import Testing

@Suite struct ClientStateMachineTests {
    @Test func aCallConnectsGreetsAndIsWritten() {
        var rig = MachineRig()
        let (_, first) = rig.open(.resolve)
        #expect(first.connects)
        #expect(rig.say(.connected).written == ["hello"])
        #expect(rig.receive(0, .helloReply(MachineRig.hello())).written == ["call 1 resolve"])
        #expect(rig.receive(1, Say.resolved).told == ["1 answered"])
        #expect(rig.machine.openCalls == 0)
    }

    @Test func callsOverOneConnectionHaveRisingIDs() {
        var rig = MachineRig()
        _ = rig.open(.resolve)
        _ = rig.connect()
        #expect(rig.open(.delete).1.written == ["call 2 delete"])
        #expect(rig.open(.resolve).1.written == ["call 3 resolve"])
        // Answers come in any order, and a second answer is nobody's.
        #expect(rig.receive(3, Say.resolved).told == ["3 answered"])
        #expect(rig.receive(3, Say.resolved).told == [])
        #expect(rig.receive(1, Say.resolved).told == ["1 answered"])
        #expect(rig.receive(2, Say.error(.notFound, "NO_SUCH_WORKFLOW")).told == ["2 NO_SUCH_WORKFLOW none"])
    }

    /// Neither a frame nor options, however they are printed.
    @Test func nothingPrintsAToken() {
        var options = RhythmClient.Options()
        options.token = "secret-text"
        let frame = ClientFrame(
            callID: 0, body: .hello(Hello(clientName: "c", clientVersion: "1", token: options.token)))
        for printed in [frame, options, frame.body, [frame], Optional(options) as Any] as [Any] {
            var dumped = ""
            dump(printed, to: &dumped)
            for text in ["\(printed)", String(reflecting: printed), dumped] {
                #expect(!text.contains("secret"), "\(text)")
            }
        }
    }

    /// What the connection itself finds wrong, such as a certificate: every call that waits for it ends.
    @Test func aRefusalBeforeTheHelloEndsWhatWaits() {
        var rig = MachineRig()
        _ = rig.open(.resolve)
        _ = rig.say(.connected)
        let error = RhythmError(.unauthenticated, reason: "CERTIFICATE", "no")
        #expect(rig.say(.refused(error)).told == ["1 CERTIFICATE none"])
        #expect(rig.machine.openCalls == 0)
    }

    @Test func moreCallsThanTheServerTakesWait() {
        var rig = MachineRig()
        _ = rig.open(.resolve)
        #expect(rig.connect(maxCalls: 1).written == ["hello", "call 1 resolve"])
        #expect(rig.open(.resolve).1.written == [])
        #expect(rig.receive(1, Say.resolved).written == ["call 2 resolve"])
    }

    @Test(arguments: [
        (Request.resolve, nil as String?), (.pause("r"), nil), (.pause(""), "1 CONNECTION_LOST unknown"),
        (.delete, "1 CONNECTION_LOST unknown"), (.startWorkflow(.example), nil),
    ])
    func aLostConnectionRepeatsWhatMayBeRepeated(_ request: Request, _ told: String?) {
        var rig = MachineRig()
        _ = rig.open(request)
        let name = rig.connect().written.last ?? ""
        let actions = rig.say(.disconnected("cut"))
        #expect(actions.told == (told.map { [$0] } ?? []))
        if told == nil {
            // Nothing was ever answered, so the first attempt was not a success: the second waits 50 ms.
            #expect(!actions.connects)
            #expect(rig.pass(.milliseconds(50)).connects)
            #expect(rig.connect().written == ["hello", name])
        } else {
            #expect(!actions.connects)
            #expect(rig.machine.openCalls == 0)
        }
    }

    @Test func theFirstReconnectionIsAtOnceAndThenTheWaitsGrowToFiveSeconds() {
        var rig = MachineRig()
        let (_, first) = rig.open(.watch("a"))
        #expect(first.connects)
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 1))
        #expect(rig.say(.disconnected("cut")).connects)
        var waits: [Int64] = []
        for _ in 0..<14 {
            #expect(!rig.say(.connectFailed("refused")).connects)
            let due = rig.machine.nextWakeUp ?? rig.now
            waits.append(due.since(rig.now).wholeMilliseconds)
            #expect(!rig.pass(due.since(rig.now) - .milliseconds(1)).connects)
            #expect(rig.pass(.milliseconds(1)).connects)
        }
        #expect(waits.prefix(5) == [50, 80, 128, 204, 327])
        #expect(waits.last == 5000)
        #expect(waits == waits.sorted())
    }

    @Test func aDeadlineEndsAWrittenCallAndTellsTheServer() {
        var rig = MachineRig()
        _ = rig.open(.pause("r"), timeout: .milliseconds(100))
        _ = rig.connect()
        #expect(rig.pass(.milliseconds(99)).told == [])
        let actions = rig.pass(.milliseconds(1))
        #expect(actions.told == ["1 DEADLINE_EXCEEDED unknown"])
        #expect(actions.written == ["cancel 1"])
        #expect(rig.receive(1, Say.resolved).told == [], "the late answer is nobody's")
    }

    @Test func theServerIsToldTheTimeThatIsLeft() throws {
        var rig = MachineRig()
        _ = rig.open(.resolve, timeout: .milliseconds(500))
        rig.now = rig.now + .milliseconds(200)
        let frame = try #require(
            rig.connect().compactMap { action -> ClientFrame? in
                if case .write(let frame) = action, frame.callID == 1 { frame } else { nil }
            }.first)
        #expect(frame.timeoutMilliseconds == 300)
    }

    @Test func aCallThatWasNeverWrittenFailsAsUnreachableAtItsDeadline() {
        var rig = MachineRig()
        _ = rig.open(.delete, timeout: .milliseconds(100))
        _ = rig.say(.connectFailed("refused"))
        #expect(rig.pass(.milliseconds(100)).told == ["1 UNREACHABLE none"])
    }

    @Test func withoutPatienceTheFirstFailedAttemptEndsTheCall() {
        var rig = MachineRig(patience: .zero)
        _ = rig.open(.delete)
        #expect(rig.say(.connectFailed("refused")).told == ["1 UNREACHABLE none"])
        // A watch that was under way waits for the server to come back, however long.
        _ = rig.open(.watch("a"))
        _ = rig.pass(.seconds(10))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 1))
        #expect(rig.say(.disconnected("cut")).told == ["2 interrupted"])
        #expect(rig.say(.connectFailed("refused")).told == [])
    }

    @Test func cancellingTellsTheServerOnceAndTheProgramOnce() {
        var rig = MachineRig()
        let (key, _) = rig.open(.pause("r"))
        _ = rig.connect()
        let actions = rig.say(.cancel(key))
        #expect(actions.written == ["cancel 1"])
        #expect(actions.told == ["1 CANCELLED_BY_CALLER unknown"])
        #expect(rig.say(.cancel(key)).isEmpty)
        #expect(rig.receive(1, Say.resolved).told == [])
        let (queued, _) = rig.open(.watch("a"))
        _ = rig.say(.disconnected("cut"))
        #expect(rig.say(.cancel(queued)).told == ["2 CANCELLED_BY_CALLER"])
    }

    @Test func goAwayDrainsAndWhatWasNotLookedAtIsSentAgain() {
        var rig = MachineRig()
        _ = rig.open(.delete)
        _ = rig.connect()
        _ = rig.open(.delete)
        #expect(rig.receive(0, Say.goAway(1)).told == [])
        #expect(rig.open(.resolve).1.written == [], "nothing new goes to a server that is leaving")
        let end = rig.receive(1, Say.resolved)
        #expect(end.told == ["1 answered"])
        #expect(end.disconnects)
        #expect(end.connects, "an answer came, so the next attempt is made at once")
        #expect(rig.connect().written == ["hello", "call 1 delete", "call 2 resolve"])
    }

    @Test func goAwayThatNeverEndsIsGivenUpAfterItsGrace() {
        var rig = MachineRig()
        _ = rig.open(.delete)
        _ = rig.connect()
        _ = rig.receive(0, Say.goAway(1))
        let actions = rig.pass(.milliseconds(2000))
        #expect(actions.disconnects)
        #expect(actions.told == ["1 CONNECTION_LOST unknown"])
    }

    @Test func aWatchEndedByALeavingServerGoesOnWithTheNextOne() {
        var rig = MachineRig()
        _ = rig.open(.watch("a"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 3))
        _ = rig.receive(0, Say.goAway(1))
        let end = rig.receive(1, Say.error(.unavailable, "SHUTDOWN"))
        #expect(end.told == ["1 interrupted"])
        #expect(end.disconnects && end.connects)
        #expect(rig.connect().written == ["hello", "call 1 watch a>3"])
    }

    @Test func aSilentServerIsPingedAndThenGivenUp() {
        var rig = MachineRig()
        _ = rig.open(.delete, timeout: .seconds(3600))
        _ = rig.connect()
        #expect(rig.pass(.seconds(15)).written == ["ping 0"])
        _ = rig.receive(0, .pong(0))
        #expect(rig.pass(.seconds(14)).isEmpty)
        #expect(rig.pass(.seconds(1)).written == ["ping 0"])
        let lost = rig.pass(.seconds(15))
        #expect(lost.disconnects)
        #expect(lost.told == ["1 CONNECTION_LOST unknown"])
    }

    @Test func pingsAreAnsweredInBothDirections() {
        var rig = MachineRig()
        _ = rig.open(.ping, timeout: .seconds(1))
        #expect(rig.connect().written == ["hello", "ping 2"])
        #expect(rig.receive(0, .pong(9)).told == [])
        #expect(rig.receive(0, .pong(2)).told == ["1 answered"])
        #expect(rig.receive(0, .ping(7)).written == ["pong 7"])
    }

    @Test(arguments: [RhythmError.Code.unauthenticated, .failedPrecondition])
    func aRefusedHelloEndsEveryCall(_ code: RhythmError.Code) {
        var rig = MachineRig()
        _ = rig.open(.resolve)
        _ = rig.open(.watch("a"))
        _ = rig.say(.connected)
        let actions = rig.receive(0, Say.error(code, "NO"))
        #expect(actions.told == ["1 NO none", "2 NO"])
        #expect(actions.disconnects && !actions.connects)
    }

    @Test func somethingThatDoesNotAnswerTheHelloIsNoServer() {
        var rig = MachineRig(patience: .zero)
        _ = rig.open(.resolve)
        _ = rig.say(.connected)
        let actions = rig.pass(.seconds(5))
        #expect(actions.disconnects)
        #expect(actions.told == ["1 UNREACHABLE none"])
    }

    @Test func closingEndsEverythingOnce() {
        var rig = MachineRig()
        _ = rig.open(.resolve)
        _ = rig.connect()
        _ = rig.open(.watch("a"))
        let actions = rig.say(.close)
        #expect(actions.told == ["1 CLIENT_CLOSED none", "2 CLIENT_CLOSED"])
        #expect(actions.disconnects)
        #expect(rig.open(.resolve).1.told == ["3 CLIENT_CLOSED none"])
        #expect(rig.machine.nextWakeUp == nil || rig.pass(.seconds(60)).isEmpty)
    }

    @Test func aRequestThatIsTooLongFailsAlone() {
        var rig = MachineRig()
        _ = rig.open(.pause("r"))
        _ = rig.connect()
        #expect(rig.say(.oversized(callID: 1, bytes: 2 << 20)).told == ["1 FRAME_TOO_LARGE none"])
        #expect(rig.open(.resolve).1.written == ["call 2 resolve"])
    }
}

extension StartWorkflow {
    static let example = StartWorkflow(
        spec: WorkflowSpec(name: "w", appID: "a", steps: [StepSpec(name: "s", task: "t")]), requestID: "r")
}
