import Dispatch
import Glibc
import Logging
import Synchronization

/// A thread that keeps one connection to the broker: connects, again and again, lets its role work, keeps heartbeats
/// going.
///
/// The C library's connections belong to one thread and block it, which no shared pool of threads bears. Callers leave
/// what they want where the role finds it and call ``wake()``. State reports come on the thread.
final class ConnectionThread: Sendable {
    private let brokers: AMQPBrokers
    private let settings: AMQPSettings
    private let onState: @Sendable (AMQPConnectionState) -> Void
    private let bell = WakeUp()
    private let interrupter = Interrupter()
    private let stopping = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)
    private let thread = Mutex<pthread_t?>(nil)

    /// How long a close lets what is on its way come to its end.
    private static let drainLimit: Duration = .seconds(1)

    init(
        _ brokers: AMQPBrokers, _ settings: AMQPSettings, onState: @escaping @Sendable (AMQPConnectionState) -> Void
    ) {
        self.brokers = brokers
        self.settings = settings
        self.onState = onState
    }

    /// Begins. Once.
    func start(_ makeRole: @escaping @Sendable () -> any ConnectionRole) {
        startThread { [self] in
            thread.withLock { $0 = pthread_self() }
            run(makeRole())
            ended.signal()
        }
    }

    /// Tells the role that there is something to do. Any thread.
    func wake() { bell.ring() }

    /// Asks the thread to end, without waiting. Any thread.
    func stop() {
        stopping.store(true, ordering: .releasing)
        bell.ring()
    }

    /// Ends the thread; returns when it has ended, or after some five seconds if the system itself (a name lookup)
    /// holds it: it ends alone then. Any thread; on its own it does not wait.
    func close() {
        stop()
        let own = thread.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
        guard !own else { return }
        if ended.wait(timeout: .now() + .milliseconds(2500)) == .timedOut {
            interrupter.interrupt()
            guard ended.wait(timeout: .now() + .milliseconds(2500)) == .success else { return }
        }
        // For whoever closes it as well.
        ended.signal()
    }

    private var isStopping: Bool { stopping.load(ordering: .acquiring) }
}

// MARK: On the thread

extension ConnectionThread {
    private func run(_ role: any ConnectionRole) {
        var backoff = Backoff(first: settings.firstRetry, last: settings.lastRetry)
        var generator = SystemRandomNumberGenerator()
        var turn = BrokerTurn(of: brokers.addresses.count, at: brokers.start)
        var again = false
        while !isStopping {
            let address = brokers.addresses[turn.index]
            report(.connecting, of: address)
            var wasReady = false
            do throws(AMQPFailure) {
                try live(address, role) {
                    backoff.succeeded()
                    brokers.found(turn.index)
                    wasReady = true
                    report(.ready(again: again), of: address)
                    again = true
                }
            } catch {
                guard !isStopping else { break }
                role.lost(error)
                let isRoundOver = wasReady ? turn.begin(at: brokers.start) : turn.next()
                // The others of the list are tried at once; only when none was there, there is a pause.
                let pause = isRoundOver ? backoff.next(using: &generator) : .zero
                report(.down(reason: error.description, retryIn: pause), of: address)
                wait(pause, role)
            }
        }
        role.lost(AMQPFailure(.connection, "the connection was closed on our side"))
        role.closed()
        report(.closed, of: brokers.addresses[turn.index])
    }

    /// The life of one connection. Returns when we are to end.
    private func live(
        _ address: AMQPAddress, _ role: any ConnectionRole, ready: () -> Void
    ) throws(AMQPFailure) {
        let session = try Session(address, settings, interrupter)
        try role.opened(session)
        ready()
        var end: ContinuousClock.Instant?
        while true {
            bell.clear()
            // Looked at before what callers left is fetched: what they left before they closed is seen to.
            let closes = isStopping
            let expiry = role.expire(.now)
            try role.work(session)
            try read(session, role)
            if closes {
                let limit = end ?? .now + Self.drainLimit
                end = limit
                if role.isSettled || ContinuousClock.now >= limit { return session.close() }
            }
            if role.hasWork || session.hasInput || closes != isStopping { continue }
            var longest = session.longestWait
            for deadline in [expiry, end].compactMap({ $0 }) { longest = min(longest, deadline - .now) }
            bell.wait(orReadable: session.descriptor, limit: longest)
        }
    }

    /// Hands over what has arrived; not all at once, so that a flood does not keep the rest of the work waiting.
    private func read(_ session: Session, _ role: any ConnectionRole) throws(AMQPFailure) {
        for _ in 0..<256 {
            guard let incoming = try session.next() else { return }
            switch incoming {
            case .blocked(let reason): report(.blocked(reason: reason), of: session.address)
            case .unblocked: report(.ready(again: true), of: session.address)
            default: break
            }
            try role.received(incoming, session)
        }
    }

    private func wait(_ pause: Duration, _ role: any ConnectionRole) {
        let end = ContinuousClock.now + pause
        while !isStopping, ContinuousClock.now < end {
            bell.clear()
            let expiry = role.expire(.now)
            bell.wait(limit: min(end, expiry ?? end) - .now)
        }
    }

    private func report(_ state: AMQPConnectionState, of address: AMQPAddress) {
        switch state {
        case .connecting: settings.logger.debug("connecting to \(address)")
        case .ready: settings.logger.info("connected to \(address)")
        case .blocked(let reason): settings.logger.warning("\(address) takes no messages for now: \(reason)")
        case .down(let reason, let pause): settings.logger.warning("no connection: \(reason); trying again in \(pause)")
        case .closed: settings.logger.debug("closed the connection to \(address)")
        }
        onState(state)
    }
}

/// Whose turn it is, of the brokers of a list.
struct BrokerTurn {
    private let count: Int
    private(set) var index: Int
    /// How many were tried in vain since one was found.
    private var failures = 0

    init(of count: Int, at index: Int) {
        self.count = count
        self.index = index
    }

    /// One that was there is lost: it is tried again first, or the one that another connection has found meanwhile.
    ///
    /// - Returns: true: a pause comes first.
    mutating func begin(at index: Int) -> Bool {
        self.index = index
        failures = 0
        return true
    }

    /// One was tried in vain.
    ///
    /// - Returns: whether all of them were.
    mutating func next() -> Bool {
        failures += 1
        index = (index + 1) % count
        return failures.isMultiple(of: count)
    }
}

/// Runs `body` on a thread of its own, with all signals blocked: they are the main thread's.
private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var every = sigset_t()
    var before = sigset_t()
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    // SAFETY: retained here, released once by the thread, which is its only user.
    let start = Unmanaged.passRetained(Start(body)).toOpaque()
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, start)
    precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
    pthread_detach(thread)
}
