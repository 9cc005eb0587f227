import CRhythmShims
import DequeModule
import Glibc
import Logging
import RhythmAuth
import RhythmCore
import RhythmLane
import RhythmTLS
import RhythmWire

/// One connection: its socket, its frames, its calls. Lives on the server's lane.
///
/// Life: `awaitingHello` -> `ready` -> (`leaving`: the peer or the server wants to end it, open calls still finish) ->
/// `parting` (everything is said; what still comes is read and thrown away) -> `closed`; or `awaitingHello` ->
/// `turnedAway` (its credentials are wrong, which it is told after a while) -> `closed`. Each leads to `closed` at once
/// when the peer is gone.
/// It holds its server and its calls hold it, strongly: weak references cost more than all else that is done with them.
/// The circles end when it is closed.
final class Connection {
    enum Phase { case awaitingHello, ready, leaving, turnedAway, parting, closed }

    let id: UInt64
    let peer: String
    /// Who the peer is, once its hello was accepted.
    var caller = Caller.nobody
    var phase = Phase.awaitingHello
    var calls: [UInt64: Call] = [:]
    /// Watches and logs that have something to send.
    var readyStreams = StreamQueue()
    var lastHeardAt: UInt64
    /// Uptime in nanoseconds, as all times here.
    let openedAt: UInt64
    /// When it has reached its age.
    let oldAt: UInt64
    var callsBegun: UInt64 = 0
    var bytesIn = 0
    /// What was read and thrown away since it is parting.
    var thrownAway = 0
    var clientName = ""

    let server: ServerCore
    let descriptor: Int32
    private let isUnix: Bool
    private let uid: UInt32?
    /// Between the socket and the frames, on a connection that is encrypted.
    let tls: TLSSession?
    var decoder = FrameDecoder()
    /// Frames on their way out.
    var output = OutputBuffer()
    /// With TLS: their ciphertext, and what the handshake says. Kept short; what waits, waits in `output`.
    var sealed = OutputBuffer()
    /// What was read and not looked at, because too much waits for the peer.
    var held: [UInt8] = []
    var lastCallID: UInt64 = 0
    /// Nothing is read for now: too much waits for the peer.
    var readIsSuspended = false
    /// Nothing can be sent any more.
    var isLost = false
    /// What came is being looked at.
    var isReading = false
    /// Nothing is read any more.
    var readIsOver = false
    /// The socket is full.
    var waitsToWrite = false
    /// What the poller was asked about the socket last.
    private var asked: Poller.Interest = []
    /// The timer for the Hello, and later for a frame that has begun.
    var frameTimer: UInt64?
    var blockedSince: UInt64?
    var lastPingAt: UInt64 = 0
    var isFlushing = false
    /// Its streams go on in a later turn of the lane.
    var isUnfinished = false
    /// Calls that have ended while the engine or the store still works for them. They count, or whoever opens and cancels
    /// calls could have any number of them under way.
    var abandonedCalls = 0
    private var isIntroduced = false
    /// Frames among those that wait which are no answers.
    var waitingControlFrames = 0
    /// What the server counts as waiting for this peer.
    var accountedBytes = 0
    var readsUnderWay = 0
    /// Reads of the store that have yet to begin.
    var readsToCome = Deque<() -> Void>()
    var pings: RateLimit
    var cancels: RateLimit

    init(id: UInt64, descriptor: Int32, peer: String, endpoint: Endpoint, tls: TLSSession?, server: ServerCore) {
        self.id = id
        self.descriptor = descriptor
        self.tls = tls
        self.server = server
        isUnix = if case .unix = endpoint { true } else { false }
        var user: UInt32 = 0
        uid = isUnix && rhythm_peer_uid(descriptor, &user) == 0 ? user : nil
        self.peer = uid.map { "unix, uid \($0)" } ?? peer
        openedAt = LaneTimers.now()
        lastHeardAt = openedAt
        oldAt = Self.endOfAge(server.configuration.maxConnectionAge, from: openedAt)
        pings = RateLimit(perSecond: server.configuration.maxPingsPerSecond, at: lastHeardAt)
        cancels = RateLimit(perSecond: server.configuration.maxCancelsPerSecond, at: lastHeardAt)
    }

    /// When something that begins now has reached its age: a tenth sooner or later than said.
    static func endOfAge(_ age: Duration?, from now: UInt64) -> UInt64 {
        guard let age else { return .max }
        return now &+ UInt64(Double(age.wholeMicroseconds) * 1000 * Double.random(in: 0.9...1.1))
    }

    /// What the connection itself says about its peer.
    var evidence: Authenticator.Evidence {
        Authenticator.Evidence(uid: uid, isUnix: isUnix, certificate: tls?.peerSubject)
    }

    /// The peer without its port: whose failures are counted together.
    var address: String {
        if isUnix { return peer }
        return peer.lastIndex(of: ":").map { String(peer[..<$0]) } ?? peer
    }

    /// Frames are looked at.
    var takesFrames: Bool {
        switch phase {
        case .awaitingHello, .ready, .leaving: true
        case .turnedAway, .parting, .closed: false
        }
    }

    /// Nothing is said any more.
    var isOver: Bool { phase == .parting || phase == .closed }

    /// What went over the network towards the peer.
    var bytesOut: Int { tls == nil ? output.totalSent : sealed.totalSent }

    /// Begins to read. Called once.
    func start() {
        frameTimer = server.schedule(after: server.configuration.helloTimeout, for: self) {
            $0.refuse("HELLO_TIMEOUT", "no Hello came within \($0.server.configuration.helloTimeout)")
        }
        asked = .reading
        guard server.poller.add(descriptor, id: id, asked) else {
            server.logger.error("connection refused", metadata: ["peer": "\(peer)", "reason": "NO_POLLER"])
            return close()
        }
    }

    /// The socket has something to say.
    func ready(_ news: Poller.News) {
        if news.isWritable, waitsToWrite { writable() }
        guard news.isReadable, phase != .closed else { return }
        if phase == .parting {
            throwAwayWhatComes()
        } else if !readIsOver, !readIsSuspended {
            readable()
        } else if news.isGone {
            // Nobody is there to be answered, and this would be said without end.
            lost()
        }
    }

    /// Has the poller tell what is of interest now.
    func askPoller() {
        guard phase != .closed else { return }
        var interest: Poller.Interest = []
        if phase == .parting || !(readIsOver || readIsSuspended) { interest.insert(.reading) }
        if waitsToWrite, phase != .parting { interest.insert(.writing) }
        guard interest != asked else { return }
        asked = interest
        server.poller.change(descriptor, id: id, interest)
    }

    /// No longer one that has yet to say an acceptable Hello: it has, or it goes.
    func introduced() {
        guard !isIntroduced else { return }
        isIntroduced = true
        server.crowd.introduced()
    }

    /// Nothing waits for the peer but what its streams have yet to make.
    var hasOnlyStreams: Bool { output.isEmpty && !readyStreams.isEmpty }

    /// Bytes wait for the peer beyond what streams may add to.
    var isCongested: Bool { waitingBytes >= ServerConfiguration.streamHighWater }

    /// So much waits for the peer that it gets nothing more to ask for.
    var hasEnoughToTake: Bool {
        waitingBytes > ServerConfiguration.readHighWater
            || waitingControlFrames > ServerConfiguration.controlHighWater
    }

    /// How much waits for the peer.
    var waitingBytes: Int { output.count + sealed.count }
}
