import Dispatch
import Logging
import RhythmAMQP
import RhythmCore
import RhythmEngine
import Synchronization

/// The connections to the broker, and what travels over them.
///
/// Task messages and control messages go over connections of their own: the broker closes the channel of a message to an
/// exchange that is gone, and everything behind it on that channel would become undecided.
final class Links: Sendable {
    /// The connections.
    enum Name: Hashable, Sendable {
        case tasks, control, events, mailbox, inspector
    }

    private struct Open {
        let tasks: AMQPPublisher
        let control: AMQPPublisher
        var events: AMQPSubscriber?
        let mailbox: AMQPSubscriber
        let inspector: AMQPInspector
    }

    /// Messages wait in the event queue while the server restarts, but not for long, and not too many.
    private static let eventTTL: Int32 = 300_000
    private static let eventsMax: Int32 = 100_000
    /// A server that does not come back leaves no queue behind.
    private static let eventQueueExpiry: Int32 = 3_600_000

    private static let patience: Duration = .seconds(2)

    private let brokers: AMQPBrokers
    private let configuration: CeleryConfiguration
    private let inbox: DeskInbox
    private let settings: AMQPSettings
    private let replyKey = RandomUUID.make()
    private let open = Mutex<Open?>(nil)
    private let eventExchange: Mutex<String>
    /// Asks from now on before attempts are sent.
    func ask(_ mayBegin: @escaping @Sendable () -> Int?) { self.mayBegin.withLock { $0 = mayBegin } }

    /// Not nil if attempts may be sent: they are still this server's to run, as far as it can know. See
    /// ``TaskRunner/ask(_:)`` for the number.
    var opening: Int? {
        let ask = mayBegin.withLock { $0 }
        return ask.map { $0() } ?? 0
    }

    /// Has the desk told of it, behind all that the inbox holds.
    func announce(opening: Int) { inbox.put(.mayBegin(opening: opening)) }

    private let mayBegin = Mutex<(@Sendable () -> Int?)?>(nil)
    /// Why messages do not get to the workers, by connection; nothing for those that work.
    private let troubles = Mutex<[Name: String]>([
        .tasks: "the broker is not connected yet", .control: "the broker is not connected yet",
    ])

    init(_ brokers: AMQPBrokers, _ configuration: CeleryConfiguration, inbox: DeskInbox, logger: Logger) {
        self.brokers = brokers
        self.configuration = configuration
        self.inbox = inbox
        settings = AMQPSettings(logger: logger)
        eventExchange = Mutex(configuration.eventExchange)
    }

    private var mailboxes: String { configuration.controlExchange + ".pidbox" }
    private var replies: String { "reply." + mailboxes }
    private var eventQueue: String { "rhythm.events." + configuration.serverID }

    /// A worker's own mailbox queue: exclusive to its connection, and gone with it.
    func mailboxQueue(of node: String) -> String { "\(node).\(mailboxes)" }

    /// Connects, in the background.
    func connect() {
        let inbox = inbox
        func tell(_ name: Name) -> @Sendable (AMQPConnectionState) -> Void {
            { [weak self] state in
                self?.note(state, of: name)
                inbox.put(.link(name, state))
            }
        }
        let opened = Open(
            tasks: AMQPPublisher(brokers, settings: settings, onState: tell(.tasks)),
            control: AMQPPublisher(brokers, settings: settings, onState: tell(.control)),
            events: configuration.usesEvents ? makeEvents() : nil,
            mailbox: makeMailbox(tell(.mailbox)),
            inspector: AMQPInspector(brokers, settings: settings, onState: tell(.inspector)))
        open.withLock { $0 = opened }
    }

    /// Why messages do not get to the workers now; nil if they do.
    var trouble: String? { troubles.withLock { $0[.tasks] ?? $0[.control] } }

    private func note(_ state: AMQPConnectionState, of name: Name) {
        guard name == .tasks || name == .control else { return }
        troubles.withLock { troubles in
            switch state {
            case .ready: troubles[name] = nil
            case .blocked(let reason): troubles[name] = "the broker takes no messages: \(reason)"
            case .down(let reason, _): troubles[name] = "the broker cannot be reached: \(reason)"
            // As it was, until it is known how it comes out.
            case .connecting, .closed: break
            }
        }
    }

    /// Listens to the events of another exchange from now on, in the same queue. Closing takes its time: not at once.
    func hearEvents(of exchange: String) {
        eventExchange.withLock { $0 = exchange }
        DispatchQueue.global().async { [self] in
            // The old one has said its last word before the new one says its first.
            open.withLock({ $0?.events })?.close()
            guard open.withLock({ $0 != nil }) else { return }
            let events = makeEvents()
            let isOpen = open.withLock { open in
                open?.events = events
                return open != nil
            }
            if !isOpen { events.close() }
        }
    }

    private func makeEvents() -> AMQPSubscriber {
        let inbox = inbox
        let exchange = eventExchange.withLock { $0 }
        return AMQPSubscriber(
            brokers,
            declarations: [
                .exchange(exchange, .topic, durable: true),
                .queue(
                    eventQueue, durable: true,
                    arguments: [
                        "x-message-ttl": .int32(Self.eventTTL), "x-max-length": .int32(Self.eventsMax),
                        "x-expires": .int32(Self.eventQueueExpiry),
                    ]),
                .binding(queue: eventQueue, exchange: exchange, routingKey: "task.#"),
                .binding(queue: eventQueue, exchange: exchange, routingKey: "worker.#"),
            ],
            consume: [AMQPConsumption(queue: eventQueue)], settings: settings,
            onState: { inbox.put(.link(.events, $0)) }
        ) { delivery in
            let events = EventBatch(body: delivery.body).events
            if !events.isEmpty { inbox.put(.events(events)) }
        }
    }

    /// Hears what all workers are told, and what they answer to this server. Without events it hears of workers, too.
    private func makeMailbox(_ onState: @escaping @Sendable (AMQPConnectionState) -> Void) -> AMQPSubscriber {
        let inbox = inbox
        let replies = replies
        return AMQPSubscriber(
            brokers,
            declarations: [
                .exchange(mailboxes, .fanout, durable: false), .exchange(replies, .direct, durable: false),
                .queue("", durable: false, exclusive: true, autoDelete: true),
                .binding(queue: "", exchange: mailboxes, routingKey: ""),
                .binding(queue: "", exchange: replies, routingKey: replyKey),
            ],
            consume: [AMQPConsumption(queue: "")], settings: settings, onState: onState
        ) { delivery in
            if delivery.exchange == replies {
                if let reply = ControlReply(headers: delivery.headers, body: delivery.body) { inbox.put(.reply(reply)) }
            } else if let call = ControlCall(body: delivery.body) {
                inbox.put(.call(call))
            }
        }
    }

    /// Ends all connections. May take seconds: not on the lane.
    func close() {
        guard let opened = open.withLock({ $0.take() }) else { return }
        opened.events?.close()
        opened.mailbox.close()
        opened.tasks.close()
        opened.control.close()
        opened.inspector.close()
    }

    // MARK: What travels

    /// Sends a task message; the outcome comes as ``DeskInbox/Input/published(_:number:_:)``.
    func publish(_ message: AMQPMessage, of task: TaskID, number: Int) {
        let inbox = inbox
        guard let tasks = open.withLock({ $0?.tasks }) else {
            return inbox.put(.published(task, number: number, .notSent(reason: "the runner is stopped")))
        }
        // What cannot be written soon waits here instead, where it can be withdrawn.
        tasks.publish(message, patience: Self.patience) { inbox.put(.published(task, number: number, $0)) }
    }

    /// Tells workers something. Lost ones are told again by whoever needs it.
    func tell(_ request: ControlRequest, ticket: String? = nil) {
        send(
            request.message(
                exchange: mailboxes, ticket: ticket,
                replyTo: ControlRequest.ReplyAddress(exchange: replies, routingKey: replyKey)))
    }

    /// Answers a worker that is starting.
    func answerHello(_ revoked: [TaskID], ticket: String, to address: ControlRequest.ReplyAddress) {
        send(
            ControlRequest.helloAnswer(revoked: revoked, from: configuration.serverID, ticket: ticket, to: address))
    }

    private func send(_ message: AMQPMessage) {
        open.withLock { $0?.control }?.publish(message, patience: Self.patience) { _ in }
    }

    /// Looks at a queue that attempts wait in.
    func look(at queue: String) {
        let inbox = inbox
        open.withLock { $0?.inspector }?.queue(queue) { inbox.put(.queue(queue, $0)) }
    }

    /// Looks at a queue for an examination.
    func examine(queue: String, begun: Duration) {
        let inbox = inbox
        open.withLock { $0?.inspector }?.queue(queue) { inbox.put(.examinedQueue(queue, $0, begun: begun)) }
    }

    /// The broker, or all of them, for messages; without passwords.
    var brokerName: String { brokers.description }

    /// Looks for a worker's mailbox.
    func look(for node: String) {
        let inbox = inbox
        open.withLock { $0?.inspector }?.queue(mailboxQueue(of: node)) { inbox.put(.mailbox(node, $0)) }
    }
}
