import Dispatch
import Glibc
import RhythmCore
import RhythmLane
import RhythmTLS
import RhythmWire
import Synchronization

/// The shell around ``ClientStateMachine``: socket, timer and waiting programs, all on one lane.
///
/// Thread rule: everything but ``submit(_:)`` happens on the lane. Commands from programs are gathered and taken in
/// batches, so that the frames of calls made at the same time go out in one write.
actor ClientConnection {
    /// What a program wants.
    enum Command: Sendable {
        case open(CallKey, CallKind, timeout: Duration?, slack: Duration, Waiter)
        case cancel(CallKey)
        case unpark(CallKey)
        case close
    }

    /// Who is told about a call.
    enum Waiter: Sendable {
        case answer(CheckedContinuation<Result<Answer, RhythmError>, Never>)
        case watch(UpdateBuffer<WatchUpdate>)
        case log(UpdateBuffer<LogChunk>)
    }

    private struct Inbox {
        var commands: [Command] = []
        var lastKey: UInt64 = 0
    }

    private nonisolated let lane: Lane
    private nonisolated let inbox = Mutex(Inbox())
    private let endpoints: [Endpoint]
    /// The one that is tried or in use; changes before any call hears of it.
    private nonisolated let present: Mutex<String>
    /// What `tls://` endpoints speak.
    private let tls: TLSContext?
    private let connectTimeout: Duration

    private var machine: ClientStateMachine
    private var actions: [ClientStateMachine.Action] = []
    private var isPerforming = false
    private var waiters: [CallKey: Waiter] = [:]
    private var channel: Channel?
    /// Counts connections, so that what is said about an earlier one is not taken for the present one.
    private var generation = 0
    private var decoder = FrameDecoder()
    private var requestLimit = Int.max
    private var timer: (any DispatchSourceTimer)?
    private var timerMoment: Moment?

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(
        endpoints: [Endpoint], tls: TLSContext?, connectTimeout: Duration,
        configuration: ClientStateMachine.Configuration
    ) {
        lane = Lane(label: "rhythm.client")
        self.endpoints = endpoints
        self.tls = tls
        self.connectTimeout = connectTimeout
        machine = ClientStateMachine(configuration: configuration) { Double.random(in: 0...1) }
        present = Mutex(machine.endpoint)
    }

    // MARK: - From any thread

    /// The address that is tried or in use.
    nonisolated var endpoint: String { present.withLock { $0 } }

    /// A key for a new call.
    nonisolated func makeKey() -> CallKey {
        inbox.withLock { inbox in
            inbox.lastKey += 1
            return CallKey(rawValue: inbox.lastKey)
        }
    }

    /// Hands a command over.
    nonisolated func submit(_ command: Command) {
        let isFirst = inbox.withLock { inbox in
            inbox.commands.append(command)
            return inbox.commands.count == 1
        }
        guard isFirst else { return }
        lane.queue.async { self.assumeIsolated { $0.takeCommands() } }
    }

    // MARK: - On the lane

    private func takeCommands() {
        let commands = inbox.withLock { inbox in
            defer { inbox.commands = [] }
            return inbox.commands
        }
        let now = Self.now()
        for command in commands {
            switch command {
            case .open(let key, let kind, let timeout, let slack, let waiter):
                waiters[key] = waiter
                feed(.open(key, kind, timeout: timeout, slack: slack), at: now)
            case .cancel(let key): feed(.cancel(key), at: now)
            case .unpark(let key): feed(.relieved(key), at: now)
            case .close: feed(.close, at: now)
            }
        }
        settle()
    }

    /// Tells the machine what happened and does what it says.
    private func feed(_ event: ClientStateMachine.Event, at now: Moment) {
        machine.handle(event, at: now, appendingTo: &actions)
        guard !isPerforming else { return }
        // An action can lead to another event (a frame that is too long, a reader that is far behind), whose actions
        // come behind those that are already on the list.
        isPerforming = true
        var index = 0
        while index < actions.count {
            let action = actions[index]
            index += 1
            perform(action, at: now)
        }
        actions.removeAll(keepingCapacity: true)
        isPerforming = false
    }

    private func perform(_ action: ClientStateMachine.Action, at now: Moment) {
        switch action {
        case .connect(let index): connect(to: index)
        case .write(let frame): write(frame, at: now)
        case .setFrameLimit(let limit):
            decoder.limit = limit
            requestLimit = machine.requestLimit
        case .disconnect: disconnect()
        case .complete(let key, let result):
            guard case .answer(let continuation)? = waiters.removeValue(forKey: key) else { return }
            continuation.resume(returning: result)
        case .deliver(let key, let item):
            if deliver(item, to: key) == .park { feed(.congested(key), at: now) }
        case .finish(let key, let error):
            switch waiters.removeValue(forKey: key) {
            case .watch(let buffer): buffer.finish(error)
            case .log(let buffer): buffer.finish(error)
            case .answer, nil: break
            }
        }
    }

    private func deliver(_ item: StreamItem, to key: CallKey) -> UpdateAdvice {
        switch (item, waiters[key]) {
        case (.watch(let update), .watch(let buffer)?): buffer.push(update)
        case (.log(let chunk), .log(let buffer)?): buffer.push(chunk)
        default: .goOn
        }
    }

    private func write(_ frame: ClientFrame, at now: Moment) {
        guard let channel else { return }
        do {
            try frame.append(to: &channel.output, limit: requestLimit)
        } catch {
            var bytes = 0
            if case .tooLong(let length, _) = error.kind { bytes = length }
            feed(.oversized(callID: frame.callID, bytes: bytes), at: now)
        }
    }

    /// Sends what was gathered, and sets the timer.
    private func settle() {
        channel?.flush()
        setTimer()
    }
}

// MARK: - The connection

extension ClientConnection {
    private func connect(to index: Int) {
        generation += 1
        let generation = generation
        let endpoint = endpoints[index]
        present.withLock { $0 = endpoint.description }
        Connector.connect(to: endpoint, timeout: connectTimeout) { [lane, self] outcome in
            lane.queue.async { self.assumeIsolated { $0.connected(outcome, endpoint, generation) } }
        }
    }

    private func connected(_ outcome: Connector.Outcome, _ endpoint: Endpoint, _ generation: Int) {
        let now = Self.now()
        switch outcome {
        case .failure(let reason): feed(.connectFailed(reason.text), at: now)
        case .success(let descriptor):
            let session: TLSSession?
            do throws(TLSError) {
                session = try makeSession(endpoint)
            } catch {
                Glibc.close(descriptor)
                feed(.connectFailed(error.description), at: now)
                break
            }
            decoder = FrameDecoder()
            requestLimit = .max
            // The sources hold the actor weakly: a client that nobody holds any more hangs up.
            channel = Channel(
                takingOwnership: descriptor, tls: session, queue: lane.queue,
                onReadable: { [weak self] in self?.assumeIsolated { $0.readable(generation) } },
                onWritable: { [weak self] in self?.assumeIsolated { $0.writable(generation) } })
            feed(.connected, at: now)
        }
        settle()
    }

    private func makeSession(_ endpoint: Endpoint) throws(TLSError) -> TLSSession? {
        guard case .tls(let host, _) = endpoint, let tls else { return nil }
        return try TLSSession(tls, .client(host: host))
    }

    private func disconnect() {
        channel?.close()
        channel = nil
        generation += 1
    }

    private func writable(_ generation: Int) {
        guard generation == self.generation else { return }
        channel?.flush()
    }

    private func readable(_ generation: Int) {
        guard generation == self.generation, let channel else { return }
        let now = Self.now()
        let end = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            channel.read(into: buffer) { bytes in
                take(bytes, at: now)
                return generation == self.generation
            }
        }
        if generation == self.generation {
            switch end {
            case .drained: break
            case .eof: lost("the server closed it", at: now)
            case .failed(let code): lost(String(cString: strerror(code)), at: now)
            case .failedTLS(let error): failed(error, at: now)
            }
        }
        settle()
    }

    private func take(_ bytes: UnsafeRawBufferPointer, at now: Moment) {
        var rest = bytes
        let generation = generation
        while generation == self.generation {
            do {
                guard let frame = try decoder.nextServerFrame(from: &rest) else { return }
                feed(.received(frame), at: now)
            } catch {
                if error.isFatal {
                    lost("it sent a frame that cannot be read (\(error.rhythmError.message))", at: now)
                } else if let callID = error.callID {
                    feed(.unreadable(callID: callID, error.rhythmError.message), at: now)
                }
            }
        }
    }

    /// A certificate that is not accepted, on whichever side, will not be accepted a moment later either.
    private func failed(_ error: TLSError, at now: Moment) {
        guard error.kind == .certificate else { return lost(error.description, at: now) }
        disconnect()
        feed(.refused(ClientError.tls(endpoint, why: error.description)), at: now)
    }

    private func lost(_ why: String, at now: Moment) {
        disconnect()
        feed(.disconnected(why), at: now)
    }
}

// MARK: - Time

extension ClientConnection {
    private static func now() -> Moment { Moment(nanoseconds: DispatchTime.now().uptimeNanoseconds) }

    /// One timer for everything. It may fire for a call that has ended; that is cheaper than setting it for each call.
    private func setTimer() {
        guard let next = machine.nextWakeUp else { return }
        if let timerMoment, timerMoment <= next { return }
        timerMoment = next
        let timer = timer ?? makeTimer()
        timer.schedule(deadline: DispatchTime(uptimeNanoseconds: next.nanoseconds), leeway: .milliseconds(1))
    }

    private func makeTimer() -> any DispatchSourceTimer {
        let timer = DispatchSource.makeTimerSource(queue: lane.queue)
        timer.setEventHandler { [weak self] in self?.assumeIsolated { $0.timerFired() } }
        timer.activate()
        self.timer = timer
        return timer
    }

    private func timerFired() {
        timerMoment = nil
        feed(.timePassed, at: Self.now())
        settle()
    }
}
