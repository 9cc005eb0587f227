import RhythmClient
import RhythmCore
import RhythmWire
import Testing

/// A client that was given several addresses: which one it tries when, and what becomes of its calls.
@Suite struct SeveralServersTests {
    private static let three = ["a:1", "b:2", "c:3"]

    @Test func theyAreTriedInOrderAtOnceAndThenWithWaits() {
        var rig = MachineRig(endpoints: Self.three)
        #expect(rig.open(.resolve).1.tried == [0])
        #expect(rig.say(.connectFailed("refused")).tried == [1])
        #expect(rig.say(.connectFailed("no route")).tried == [2])
        #expect(rig.say(.connectFailed("refused")).tried == [], "each has had its turn")
        #expect(rig.pass(.milliseconds(49)).tried == [])
        #expect(rig.pass(.milliseconds(1)).tried == [0])
        #expect(rig.say(.connectFailed("refused")).tried == [1], "its wait is over as well")
        #expect(rig.connect().written == ["hello", "call 1 resolve"])
        #expect(rig.receive(1, Say.resolved).told == ["1 answered"])
        // It stays with the one that works, and goes on behind it when that is lost.
        #expect(rig.open(.resolve).1.written == ["call 2 resolve"])
        #expect(rig.say(.disconnected("cut")).tried == [2])
    }

    @Test func aClientMayBeginAnywhere() {
        var rig = MachineRig(endpoints: Self.three, first: 1)
        #expect(rig.open(.resolve).1.tried == [1])
        #expect(rig.say(.connectFailed("refused")).tried == [2])
        #expect(rig.say(.connectFailed("refused")).tried == [0])
    }

    @Test func whatMayBeRepeatedIsAskedElsewhereAndTheRestIsNot() {
        var rig = MachineRig(endpoints: Self.three)
        _ = rig.open(.pause("r"))
        _ = rig.connect()
        _ = rig.open(.delete)
        _ = rig.open(.watch("w"))
        _ = rig.receive(3, Say.snapshot("w", 4))
        let lost = rig.say(.disconnected("cut"))
        #expect(lost.told == ["2 CONNECTION_LOST unknown", "3 interrupted"])
        #expect(lost.tried == [1])
        #expect(rig.connect().written == ["hello", "call 1 pause", "call 2 watch w>4"])
    }

    @Test func withoutPatienceEachIsTriedOnce() {
        var rig = MachineRig(patience: .zero, endpoints: Self.three)
        _ = rig.open(.resolve)
        #expect(rig.say(.connectFailed("refused")).told == [])
        #expect(rig.say(.connected).written == ["hello"])
        #expect(rig.say(.disconnected("it hung up")).told == [])
        let last = rig.say(.connectFailed("no route"))
        #expect(last.told == ["1 UNREACHABLE none"])
        #expect(last.messages == ["cannot reach any of the servers: a:1: refused; b:2: it hung up; c:3: no route"])
        #expect(!last.connects && rig.machine.openCalls == 0)
    }

    /// One that accepts connections and says nothing: the kernel does that for a process that is stopped.
    @Test func oneThatDoesNotAnswerTheHelloIsLeftAfterTwoSeconds() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.resolve)
        _ = rig.say(.connected)
        #expect(rig.pass(.milliseconds(1999)).tried == [])
        let left = rig.pass(.milliseconds(1))
        #expect(left.disconnects && left.tried == [1])
        // If all are slow, each gets more time.
        _ = rig.say(.connected)
        #expect(rig.pass(.seconds(2)).tried == [0])
        _ = rig.say(.connected)
        #expect(!rig.pass(.milliseconds(3999)).disconnects)
        #expect(rig.pass(.milliseconds(1)).disconnects)
    }

    @Test func oneThatFallsSilentInMidCallIsLeftAfterFourSeconds() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.pause("r"))
        _ = rig.connect()
        #expect(rig.pass(.milliseconds(1999)).isEmpty)
        #expect(rig.pass(.milliseconds(1)).written == ["ping 0"])
        // A server that only takes its time answers the ping.
        _ = rig.receive(0, .pong(0))
        #expect(rig.pass(.seconds(2)).written == ["ping 0"])
        let left = rig.pass(.seconds(2))
        #expect(left.disconnects && left.tried == [1])
        #expect(rig.connect().written == ["hello", "call 1 pause"])
    }

    @Test func watchesWaitLongerAndIdleConnectionsAsLongAsTheServerSays() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        let (key, _) = rig.open(.watch("w"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("w", 1))
        #expect(rig.pass(.milliseconds(4999)).isEmpty)
        #expect(rig.pass(.milliseconds(1)).written == ["ping 0"])
        let left = rig.pass(.seconds(5))
        #expect(left.disconnects && left.tried == [1] && left.told == ["1 interrupted"])
        #expect(rig.connect().written == ["hello", "call 1 watch w>1"])
        _ = rig.say(.cancel(key))
        #expect(rig.pass(.milliseconds(14_999)).isEmpty)
        #expect(rig.pass(.milliseconds(1)).written == ["ping 0"])
    }

    @Test func aServerThatGoesAwayIsLeftAtOnce() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.watch("w"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("w", 1))
        _ = rig.open(.resolve)
        let away = rig.receive(0, Say.goAway(2))
        #expect(away.told == ["1 interrupted"])
        #expect(away.disconnects && away.tried == [1])
        #expect(rig.connect().written == ["hello", "call 1 watch w>1", "call 2 resolve"])
    }

    @Test func whatMustNotBeRepeatedMayFinishThere() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.delete)
        _ = rig.connect()
        _ = rig.open(.resolve)
        #expect(!rig.receive(0, Say.goAway(2)).disconnects)
        #expect(rig.receive(2, Say.resolved).told == [], "it is asked elsewhere already")
        let end = rig.receive(1, Say.error(.notFound, "NO_SUCH_WORKFLOW"))
        #expect(end.told == ["1 NO_SUCH_WORKFLOW none"])
        #expect(end.disconnects && end.tried == [1])
        #expect(rig.connect().written == ["hello", "call 1 resolve"])
    }

    @Test func whatOneCannotDoNowIsAskedOfTheOthersOnce() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.delete)
        _ = rig.connect()
        _ = rig.open(.watch("w"))
        _ = rig.receive(2, Say.snapshot("w", 1))
        let away = rig.receive(1, Say.error(.unavailable, "STORE_UNAVAILABLE"))
        #expect(away.told == ["2 interrupted"])
        #expect(away.disconnects && away.tried == [1])
        #expect(rig.connect().written == ["hello", "call 1 watch w>1", "call 2 delete"])
        let end = rig.receive(2, Say.error(.unavailable, "STORE_UNAVAILABLE"))
        #expect(end.told == ["1 STORE_UNAVAILABLE none"])
        #expect(end.messages == ["none of the servers can do it now: a:1: said the peer; b:2: said the peer"])
        #expect(!end.disconnects, "the others may be no better")
        // So they do not send it in circles.
        #expect(rig.open(.resolve).1.written == ["call 3 resolve"])
        #expect(rig.receive(3, Say.error(.unavailable, "STORE_UNAVAILABLE")).tried == [0])
        _ = rig.connect()
        let (_, again) = rig.open(.resolve)
        #expect(again.written == ["call 3 resolve"])
        #expect(rig.receive(3, Say.error(.unavailable, "STORE_UNAVAILABLE")).told == ["4 STORE_UNAVAILABLE none"])
    }

    /// The first server may have done it before it was lost: no other one can say that nothing has happened.
    @Test func whatWasLostOnceIsNeverSaidNotToHaveHappened() {
        // Another one cannot do it now, nor can a third.
        var rig = MachineRig(endpoints: Self.three)
        _ = rig.open(.pause("r"))
        _ = rig.connect()
        #expect(rig.say(.disconnected("cut")).tried == [1])
        _ = rig.connect()
        #expect(rig.receive(1, Say.error(.unavailable, "STORE_UNAVAILABLE")).tried == [2])
        _ = rig.connect()
        _ = rig.receive(1, Say.error(.unavailable, "STORE_UNAVAILABLE"))
        let ends = rig.say(.connectFailed("refused")).told + rig.pass(.seconds(1)).told + rig.pass(.seconds(30)).told
        #expect(ends.count == 1 && ends[0].hasSuffix(" unknown"), "\(ends)")

        // Another one has an answer of its own, whatever it is.
        for (code, reason) in [
            (RhythmError.Code.permissionDenied, "ROLE"), (.aborted, "CONTENTION"), (.unavailable, "STORE_UNAVAILABLE"),
        ] {
            var rig = MachineRig()
            _ = rig.open(.pause("r"))
            _ = rig.connect()
            _ = rig.say(.disconnected("cut"))
            _ = rig.pass(.seconds(1))
            _ = rig.connect()
            #expect(rig.receive(1, Say.error(code, reason)).told == ["1 \(reason) unknown"])
        }

        // Nobody lets the client in.
        var refused = MachineRig(endpoints: ["a:1", "b:2"])
        _ = refused.open(.pause("r"))
        _ = refused.connect()
        _ = refused.say(.disconnected("cut"))
        _ = refused.say(.connected)
        _ = refused.receive(0, Say.error(.unauthenticated, "UNKNOWN_TOKEN"))
        _ = refused.pass(.seconds(1))
        _ = refused.say(.connected)
        #expect(refused.receive(0, Say.error(.unauthenticated, "UNKNOWN_TOKEN")).told == ["1 UNKNOWN_TOKEN unknown"])

        // The only other one has another store, and the first one another certificate.
        var strange = MachineRig(endpoints: ["a:1", "b:2"])
        _ = strange.open(.pause("r"))
        _ = strange.connect(store: "s")
        _ = strange.say(.disconnected("cut"))
        _ = strange.connect(store: "t")
        let error = ClientErrorSamples.certificate
        _ = strange.pass(.seconds(1))
        _ = strange.say(.connected)
        #expect(strange.say(.refused(error)).told == ["1 CERTIFICATE unknown"])
    }

    /// A read changes nothing, and what a server did not look at was not done.
    @Test func whatCannotHaveHappenedIsNotInDoubt() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.resolve)
        _ = rig.connect()
        _ = rig.say(.disconnected("cut"))
        _ = rig.connect()
        #expect(rig.receive(1, Say.error(.permissionDenied, "ROLE")).told == ["1 ROLE none"])
        _ = rig.open(.pause("r"))
        _ = rig.receive(0, Say.goAway(1))
        _ = rig.connect()
        #expect(rig.receive(1, Say.error(.permissionDenied, "ROLE")).told == ["2 ROLE none"])
    }

    @Test func aWatchThatHasReachedItsAgeStays() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.watch("w"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("w", 1))
        let again = rig.receive(1, Say.error(.unavailable, "WATCH_AGE"))
        #expect(!again.disconnects && again.written == ["call 2 watch w>1"])
    }

    @Test func oneThatRefusesTheClientIsPassedOver() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.resolve)
        _ = rig.say(.connected)
        let first = rig.receive(0, Say.error(.unauthenticated, "UNKNOWN_TOKEN"))
        #expect(first.told == [] && first.tried == [1])
        _ = rig.say(.connected)
        let second = rig.receive(0, Say.error(.unauthenticated, "UNKNOWN_TOKEN"))
        #expect(second.told == ["1 UNKNOWN_TOKEN none"])
        #expect(second.messages == ["none of the servers can be used: a:1: said the peer; b:2: said the peer"])
    }

    @Test func whatWasSeenIsDemandedOfEveryServer() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.pause("r"))
        _ = rig.connect(store: "s")
        _ = rig.receive(
            1,
            .reply(.pauseWorkflow(CommandReply(receipt: Say.receipt(version: 7), replayed: false))))
        #expect(rig.open(.status).1.written == ["call 2 status >=7"])
        // An older answer to another call takes nothing back, and the demand goes along to the next server.
        _ = rig.open(.pause("q"))
        _ = rig.receive(
            3,
            .reply(.pauseWorkflow(CommandReply(receipt: Say.receipt(version: 3), replayed: true))))
        _ = rig.say(.disconnected("cut"))
        #expect(rig.connect(store: "s").written == ["hello", "call 1 status >=7"])
        // The server says that there never was such a version: then it is not demanded any more.
        let again = rig.receive(1, Say.error(.outOfRange, "VERSION_AHEAD"))
        #expect(again.told == [] && again.written == ["call 2 status"])
        #expect(rig.receive(2, Say.error(.outOfRange, "VERSION_AHEAD")).told == ["2 VERSION_AHEAD none"])
    }

    @Test func whatWasDeletedIsLookedForInTheStore() {
        var rig = MachineRig()
        _ = rig.open(.delete)
        _ = rig.connect(store: "s")
        _ = rig.receive(1, .reply(.deleteWorkflow(.deleted)))
        #expect(rig.open(.status).1.written == ["call 2 status current"])
    }

    /// Nothing is remembered where one server has the store to itself.
    @Test func oneServerKnowsEverything() {
        var rig = MachineRig()
        _ = rig.open(.watch("w"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("w", 9))
        #expect(rig.open(.status).1.written == ["call 2 status"])
    }

    @Test func aServerOfAnotherStoreIsNotUsed() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.watch("w"))
        _ = rig.connect(store: "s")
        _ = rig.receive(1, Say.snapshot("w", 9))
        #expect(rig.say(.disconnected("cut")).tried == [1])
        let other = rig.connect(store: "t")
        #expect(other.written == ["hello"] && other.disconnects && other.tried == [0])
        #expect(rig.connect(store: "s").written == ["hello", "call 1 watch w>9"])
    }

    /// What one and the same server has is the store, whatever it was.
    @Test func anotherStoreBehindTheSameAddressBeginsAnew() {
        var rig = MachineRig()
        _ = rig.open(.watch("w"))
        _ = rig.connect(store: "s")
        _ = rig.receive(1, Say.snapshot("w", 9))
        _ = rig.say(.disconnected("cut"))
        #expect(rig.connect(store: "t").written == ["hello", "call 1 watch w>-"])
        #expect(rig.receive(1, Say.snapshot("w", 2)).told == ["1 snapshot w 2"])
        #expect(rig.receive(1, Say.transition("w", 3)).told == ["1 transition w 3"])
    }

    @Test func aWatchThatIsAheadOfTheStoreBeginsAnew() {
        var rig = MachineRig()
        _ = rig.open(.watch("w"))
        _ = rig.connect(store: "s")
        _ = rig.receive(1, Say.snapshot("w", 9))
        _ = rig.say(.disconnected("cut"))
        _ = rig.connect(store: "s")
        let again = rig.receive(1, Say.error(.outOfRange, "VERSION_AHEAD"))
        #expect(again.told == [] && again.written == ["call 2 watch w>-"])
        #expect(rig.receive(2, Say.snapshot("w", 4)).told == ["1 snapshot w 4"])
    }

    /// To drain another one instead would be a mistake.
    @Test func whatIsForOneServerIsAskedOfNoOther() {
        var rig = MachineRig(endpoints: ["a:1", "b:2"])
        _ = rig.open(.drainServer(undo: false))
        _ = rig.connect(store: "s")
        #expect(rig.receive(1, Say.error(.unavailable, "STARTING")).told == ["1 STARTING none"])
        _ = rig.open(.drainServer(undo: false))
        #expect(rig.say(.disconnected("cut")).told == ["2 CONNECTION_LOST unknown"])
    }

    /// Whatever happens in whatever order, every call ends once, one connection is made at a time, and as soon as all
    /// servers answer again everything that waits is answered.
    @Test(arguments: 1...4) func nothingIsLostOrToldTwice(servers: Int) {
        for seed in 0..<400 {
            var world = RandomServers(servers: servers, seed: UInt64(seed))
            world.run(events: 120)
            world.settle()
        }
    }
}

/// A client among servers that come, go, refuse, fall silent and answer as a seed says.
private struct RandomServers {
    private var rig: MachineRig
    private var random: Numbers
    private let servers: Int
    private let seed: UInt64
    private var connection = State.none
    /// Calls that were written on the present connection and have no answer yet.
    private var open: [UInt64: CallKey] = [:]
    private var alive: Set<CallKey> = []
    private var streams: Set<CallKey> = []

    private enum State { case none, connecting, greeting, ready }

    init(servers: Int, seed: UInt64) {
        rig = MachineRig(endpoints: (0..<servers).map { "s:\($0)" })
        random = Numbers(state: seed)
        self.servers = servers
        self.seed = seed
    }

    mutating func run(events: Int) {
        for _ in 0..<events { step() }
    }

    private mutating func step() {
        switch (connection, Int.random(in: 0..<10, using: &random)) {
        case (_, 0...1): openCall()
        case (_, 2): pass(.milliseconds(Int64.random(in: 0...6000, using: &random)))
        case (_, 3): if let key = alive.sorted().randomElement(using: &random) { take(rig.say(.cancel(key))) }
        case (.connecting, 4...6):
            connection = .none
            take(rig.say(.connectFailed("refused")))
        case (.connecting, _):
            connection = .greeting
            take(rig.say(.connected))
        case (.greeting, 4): lose()
        case (.greeting, 5): take(rig.receive(0, Say.error(.unauthenticated, "UNKNOWN_TOKEN")))
        case (.greeting, _): welcome()
        case (.ready, 4): lose()
        case (.ready, 5): take(rig.receive(0, Say.goAway(open.keys.max() ?? 0)))
        case (.ready, _): answer()
        case (.none, _): break
        }
    }

    private mutating func openCall() {
        let kinds: [CallKind] = [.unary(.resolve), .unary(.delete), .unary(.pause("r")), .watch("w"), .ping]
        let kind = kinds.randomElement(using: &random) ?? .ping
        let (key, actions) = rig.open(kind, timeout: isStream(kind) ? nil : .seconds(30))
        alive.insert(key)
        if isStream(kind) { streams.insert(key) }
        take(actions)
    }

    private func isStream(_ kind: CallKind) -> Bool { if case .watch = kind { true } else { false } }

    private mutating func pass(_ duration: Duration) { take(rig.pass(duration)) }

    private mutating func lose() {
        connection = .none
        open = [:]
        take(rig.say(.disconnected("cut")))
    }

    private mutating func welcome() {
        connection = .ready
        take(rig.receive(0, .helloReply(MachineRig.hello())))
    }

    private mutating func answer(always: Bool = false) {
        guard let (id, key) = open.sorted(by: { $0.key < $1.key }).randomElement(using: &random) else { return }
        let isUnavailable = !always && Int.random(in: 0..<3, using: &random) == 0
        open[id] = nil
        if isUnavailable {
            take(rig.receive(id, Say.error(.unavailable, "STORE_UNAVAILABLE")))
        } else if streams.contains(key) {
            take(rig.receive(id, .status(nil)))
        } else {
            take(rig.receive(id, Say.resolved))
        }
    }

    /// Keeps what the machine says, and that it says nothing that makes no sense.
    private mutating func take(_ actions: [ClientStateMachine.Action]) {
        for action in actions {
            switch action {
            case .connect(let index):
                #expect(connection == .none, "seed \(seed): two connections at once")
                #expect((0..<servers).contains(index), "seed \(seed)")
                connection = .connecting
            case .disconnect:
                #expect(connection != .none, "seed \(seed): nothing to hang up")
                connection = .none
                open = [:]
            case .write(let frame):
                #expect(connection == .greeting || connection == .ready, "seed \(seed): written to nobody")
                switch frame.body {
                case .call: open[frame.callID] = rig.machine.key(of: frame.callID)
                case .cancel: open[frame.callID] = nil
                case .ping, .pong, .hello: break
                }
            case .complete(let key, _), .finish(let key, _):
                #expect(alive.remove(key) != nil, "seed \(seed): call \(key.rawValue) ended twice")
            case .deliver(let key, _):
                #expect(alive.contains(key), "seed \(seed): call \(key.rawValue) was told something after its end")
            case .setFrameLimit: break
            }
        }
        #expect(rig.machine.openCalls == alive.count, "seed \(seed)")
        #expect(
            rig.machine.nextWakeUp != nil || alive.isEmpty || connection != .none, "seed \(seed): it waits for nothing")
    }

    /// From now on everything works.
    mutating func settle() {
        for _ in 0..<2000 where !alive.isEmpty {
            switch connection {
            case .none: pass(.milliseconds(500))
            case .connecting:
                connection = .greeting
                take(rig.say(.connected))
            case .greeting: welcome()
            case .ready:
                if open.isEmpty {
                    // Pings are answered by their number, and a server that was told to go may have to be waited for.
                    for key in alive.sorted() { take(rig.receive(0, .pong(key.rawValue + 1))) }
                    pass(.milliseconds(100))
                } else {
                    answer(always: true)
                }
            }
        }
        #expect(alive.isEmpty, "seed \(seed): \(alive.count) calls never ended")
    }

    /// SplitMix64.
    struct Numbers: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}

private enum ClientErrorSamples {
    static let certificate = RhythmError(.unauthenticated, reason: "CERTIFICATE", "no TLS")
}
