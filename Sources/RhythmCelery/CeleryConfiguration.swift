/// Where Celery's workers are reached, and how long the runner waits for what.
///
/// The names have Celery's defaults; an application that changes one of them in its own settings says so here too.
public struct CeleryConfiguration: Sendable {
    /// The broker, as in Celery's `broker_url`: `amqp://user:password@host:5672/vhost`, or `amqps://`; several, tried in
    /// turn, are separated by `;`.
    public var broker: String
    /// The result backend, as in Celery's `result_backend`: `mongodb://host:27017/database`.
    public var results: String
    /// The database of the results if the address names none; as Celery's own default.
    public var resultsDatabase = "celery"
    /// The collection of the result documents (`taskmeta_collection`).
    public var resultsCollection = "celery_taskmeta"
    /// If all workers that know tasks of ours name another collection, it is that one.
    public var learnsResultsCollection = true
    /// Names this server among those that share the broker; stays the same over restarts.
    public var serverID: String
    /// The queue of steps that name none (`task_default_queue`).
    public var defaultQueue = "celery"
    /// `control_exchange`: the mailboxes' exchange is this with `.pidbox` behind it.
    public var controlExchange = "celery"
    /// `event_exchange`.
    public var eventExchange = "celeryev"
    /// If all workers that know tasks of ours name another exchange, it is that one.
    public var learnsEventExchange = true
    /// Workers store the arguments with the result (`result_extended`), so those must be storable.
    public var workersStoreArguments = true
    /// Tasks that are known to be based on the original library's `WorkflowTask`, whatever the workers say.
    public var libraryTasks: Set<String> = []
    /// Those of the library's tasks that are sent without `step`, and so need no private document. Whoever names one
    /// vouches that no process of a worker has run it as a step of the library's, or with a document.
    public var bareTasks: TaskNames = []
    /// Tasks that are given no `workflow_id`, `step` and `app_id`, whatever their steps say: they take no such arguments.
    public var uninjectedTasks: TaskNames = []
    /// Tasks that are known not to be; for workers that answer no remote control.
    public var plainTasks: Set<String> = []
    /// Workers, by their node names, whose silence says nothing: they never have one of our tasks, whatever they answer.
    public var ignoredWorkers: TaskNames = []
    /// Bytes of a task message's body: MongoDB takes result documents of 16 MiB, and the arguments go in there too.
    public var messageBytes = 15 << 20
    /// Running attempts that are to stop are ended with SIGKILL at once. Otherwise they are told with SIGTERM, which a task
    /// may ignore; Celery then gives up its process, and nothing but the system of that machine can end it.
    public var revokesWithKill = false
    /// When workers are asked to send events of their tasks.
    public var taskEvents = TaskEvents.auto
    /// Changes of the result documents are watched where the database can do that.
    public var usesChangeStream = true

    /// Events are listened to.
    var usesEvents: Bool { taskEvents != .never }

    /// The times; the defaults suit workers with Celery's own.
    public var times = Times()

    /// How long the runner waits for what.
    public struct Times: Sendable {
        /// Between two reads of a young attempt's document.
        public var pollShortest: Duration = .milliseconds(1)
        /// Between two reads of an old one's.
        public var pollLongest: Duration = .seconds(1)
        /// A worker that runs an attempt for longer is asked for task events, with ``TaskEvents/auto``.
        public var longAttempt: Duration = .seconds(3)
        /// How long to listen before the workers that were heard of count as all there are. They send a heartbeat every
        /// two seconds.
        public var acquaintance: Duration = .seconds(5)
        /// How long workers may take to answer.
        public var reply: Duration = .seconds(2)
        /// How long an attempt is held back for a worker to say of which kind its task is.
        public var kind: Duration = .seconds(3)
        /// How long nothing was heard of an attempt before the workers are asked whether they hold it.
        public var suspect: Duration = .seconds(15)
        /// Between two such questions while a worker holds it.
        public var ask: Duration = .seconds(30)
        /// Between the two rounds that show that an attempt is lost.
        public var lost: Duration = .seconds(15)
        /// A worker that is silent for so long is looked for.
        public var workerQuiet: Duration = .seconds(10)
        /// A worker that is silent for so long, and whose mailbox is gone, is taken for dead.
        public var workerLost: Duration = .seconds(300)
        /// A worker that said goodbye may finish what it runs for so long. One that ends for good while it runs
        /// something is noticed after this time, or when a worker of its name comes back.
        public var workerLeaving: Duration = .seconds(6 * 3600)
        /// How long the document of an end is waited for that its worker has told of.
        public var result: Duration = .seconds(10)
        /// Between two looks at what runs, while neither documents nor events are known to say that something begins.
        public var runningLook: Duration = .seconds(5)
        /// Between two signals to an attempt that is to stop: SIGTERM, SIGTERM, SIGKILL.
        public var revokeGrace: Duration = .seconds(10)
        /// Between two looks at the queues in which attempts wait.
        public var queueCheck: Duration = .seconds(5)
        /// Between two tries to publish: from this up to ``publishRetryLongest``, doubling.
        public var publishRetry: Duration = .milliseconds(500)
        /// The longest pause between two tries to publish.
        public var publishRetryLongest: Duration = .seconds(10)
        /// A worker that is up for less is asked often what it is like, until it has told.
        var newcomer: Duration = .seconds(10)
        /// How long ends that documents tell are held back where something speaks against them.
        var end = EndRule.Patience()
        /// How long a private document stays after its attempt's end.
        public var privateDocument: Duration = .seconds(60)

        /// Makes the defaults.
        public init() {}

        /// A worker that is silent for so long, and whose mailbox is gone, is taken for dead. Who wants that sooner than
        /// by default wants its attempts to be looked for sooner, too.
        public mutating func shorten(toLose patience: Duration) {
            workerLost = patience
            suspect = min(suspect, patience)
            lost = min(lost, patience)
            // No sooner than a heartbeat may be late.
            workerQuiet = min(workerQuiet, max(.seconds(3), patience / 2))
        }
    }

    /// Makes a configuration with defaults for everything else.
    public init(broker: String, results: String, serverID: String) {
        self.broker = broker
        self.results = results
        self.serverID = serverID
    }
}

/// Why the runner cannot begin.
public struct CeleryRunnerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One sentence, without credentials.
    public let description: String

    init(_ description: String) { self.description = description }
}
