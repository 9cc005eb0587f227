import ArgumentParser
import CRhythmShims
import Foundation
import RhythmCore
import RhythmMongo

/// The command line of the server: reads the settings, then hands over to ``Daemon``.
@main
struct Rhythmd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rhythmd", abstract: "Runs workflows of long steps and never loses one.",
        discussion: """
            Steps run as local processes: a step's task is the name of an executable file in the tasks directory. \
            With a broker they run on Celery workers instead: a step's task is the name of a Celery task.

            Examples:
              rhythmd --data /var/lib/rhythm --tasks /srv/tasks --queue archive=2
              rhythmd --store mongodb://db/flows --broker amqp://user@rabbit/vhost --results mongodb://db/celery

            Command lines can be seen by other users: put addresses with passwords into variables or the file.

            Every option can also be given as an environment variable (RHYTHM_LISTEN, RHYTHM_ADVERTISE, RHYTHM_DATA, \
            RHYTHM_TASKS, RHYTHM_QUEUES, RHYTHM_DEFAULT_CONCURRENCY, RHYTHM_INSECURE, RHYTHM_TOKENS, RHYTHM_TLS_CERT, RHYTHM_TLS_KEY, \
            RHYTHM_TLS_CLIENT_CA, RHYTHM_ALLOW_UIDS, RHYTHM_LOG_LEVEL, RHYTHM_DRAIN_GRACE, RHYTHM_TASK_GRACE, \
            RHYTHM_SUPERVISOR, RHYTHM_STORE, RHYTHM_BROKER, RHYTHM_RESULTS, RHYTHM_DEFAULT_QUEUE, \
            RHYTHM_WORKER_LOST_AFTER, RHYTHM_WORKER_LEAVING, RHYTHM_TASK_EVENTS, RHYTHM_LEASE, RHYTHM_PROJECTION, \
            RHYTHM_LIBRARY_TASKS, RHYTHM_BARE_TASKS, RHYTHM_NO_INJECT, RHYTHM_RESULTS_COLLECTION, RHYTHM_CONTROL_EXCHANGE, \
            RHYTHM_EVENT_EXCHANGE, RHYTHM_IGNORE_WORKERS, RHYTHM_LOG_FORMAT, RHYTHM_METRICS, \
            RHYTHM_MAX_CONNECTION_AGE, RHYTHM_MAX_WATCH_AGE, RHYTHM_START_TIMEOUT, RHYTHM_STALE_READS, \
            RHYTHM_DIFFERENT_SETTINGS, RHYTHM_LIMITS) or in a YAML file (--config, RHYTHM_CONFIG). A flag wins over a variable, a variable \
            over the file.

            On loopback everybody may connect unless --tokens or --tls-client-ca is given; from elsewhere nobody may, \
            without one of them. 'rhythm token create' writes the tokens file.

            SIGHUP reads the tokens file and the certificates again; what cannot be read changes nothing. SIGTERM and \
            SIGINT stop the server: open calls finish, running steps go on and are found again by the \
            next start. Exit codes: 0 stopped, 1 could not start, 2 wrong options.
            """, version: Daemon.version)

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Listen here; may be repeated. With a certificate host:port speaks TLS; tls:// and tcp:// before it say \
            which. Default 127.0.0.1:7744.
            """, valueName: "host:port|unix:path"))
    var listen: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Tell clients and other servers this address in place of those it listens on; may be repeated. Default: \
            where it listens, with the machine's name where that is everywhere.
            """, valueName: "address"))
    var advertise: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Keep the database, attempts and logs here. Default ~/.local/state/rhythm.", valueName: "dir"))
    var data: String?

    @Option(name: .long, help: ArgumentHelp("Run tasks from here. Default DATA/tasks.", valueName: "dir"))
    var tasks: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Run at most N attempts of a queue at once; may be repeated.", valueName: "name=n"))
    var queue: [String] = []

    @Option(name: .long, help: ArgumentHelp("The same for queues that are not named. Default 4.", valueName: "n"))
    var defaultConcurrency: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Keep workflows here: sqlite:PATH (default: in DATA) or mongodb://HOST/DATABASE.", valueName: "url"))
    var store: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Run steps on Celery workers through this broker; several, separated by ;, are tried in turn.",
            valueName: "amqp://..."))
    var broker: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The workers' result backend. Default: the store, if that is MongoDB.", valueName: "mongodb://..."))
    var results: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The collection of the results. Default: what the workers say, else celery_taskmeta.", valueName: "name"))
    var resultsCollection: String?

    @Option(
        name: .long, help: ArgumentHelp("Celery's control_exchange. Default celery.", valueName: "name"))
    var controlExchange: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Celery's event_exchange. Default: what the workers say, else celeryev.", valueName: "name"))
    var eventExchange: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Wait for no word of this worker, such as old@host: it has nothing to do with the steps. Ends in * for all that"
                + " begin so; may be repeated.", valueName: "worker"))
    var ignoreWorker: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Give this task no workflow_id, step and app_id, whatever its step says: it takes no such arguments. Ends in *"
                + " for all that begin so; may be repeated.", valueName: "task"))
    var noInject: [String] = []

    @Option(
        name: .long, help: ArgumentHelp("The queue of steps that name none. Default celery.", valueName: "name"))
    var defaultQueue: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Take a worker for dead when it is silent for so long and its mailbox is gone. Default 300.",
            valueName: "seconds"))
    var workerLostAfter: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Give a worker that said goodbye so long to finish what it runs. Default 21600.", valueName: "seconds"))
    var workerLeaving: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Have workers send task events: auto (those that run long steps), always or never. Default auto.",
            valueName: "when"))
    var taskEvents: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Take over from a server that shares the store and is silent for so long. Default 15.",
            valueName: "seconds"))
    var lease: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Whether readers of the original library see the workflows of a MongoDB store. Default on.",
            valueName: "on|off"))
    var projection: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "This task is based on sca-rhythm's WorkflowTask, whatever workers say; may be repeated.",
            valueName: "task"))
    var libraryTask: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Send this task of sca-rhythm's WorkflowTask without a document of its own: faster, for tasks that nothing"
                + " but Rhythm starts. Ends in * for all that begin so; may be repeated.", valueName: "task"))
    var bareTask: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Limit what a peer may cost: \(LimitSettings.known.map(\.name).joined(separator: ", ")); may be repeated.",
            valueName: "name=value"))
    var limit: [String] = []

    @Option(name: .long, help: ArgumentHelp("Read settings from a YAML file.", valueName: "file"))
    var config: String?

    @Flag(name: .long, help: "Listen also where other machines can connect, although nobody is authenticated.")
    var insecure = false

    @Option(name: .long, help: ArgumentHelp("Let in only who has a token of this file.", valueName: "file"))
    var tokens: String?

    @Option(name: .long, help: ArgumentHelp("Speak TLS with this certificate (PEM).", valueName: "file"))
    var tlsCert: String?

    @Option(name: .long, help: ArgumentHelp("The key of the certificate (PEM).", valueName: "file"))
    var tlsKey: String?

    @Option(
        name: .customLong("tls-client-ca"),
        help: ArgumentHelp("Ask TLS clients for a certificate of this CA (PEM).", valueName: "file"))
    var tlsClientCA: String?

    @Option(
        name: .customLong("allow-uid"),
        help: ArgumentHelp(
            "Let this user use the unix sockets; may be repeated. Default: the server's own user, and root.",
            valueName: "uid"))
    var allowUID: [UInt32] = []

    @Option(
        name: .long, help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel: String?

    @Option(name: .long, help: ArgumentHelp("Log lines of text (default) or of JSON.", valueName: "text|json"))
    var logFormat: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Answer GET /metrics, /healthz and /readyz here, such as 127.0.0.1:9464. Default: nowhere.",
            valueName: "host:port"))
    var metrics: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Ask connections older than this, give or take a tenth, to come again. Default: no limit.",
            valueName: "seconds"))
    var maxConnectionAge: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "End watches older than this, give or take a tenth; clients resume them. Default: no limit.",
            valueName: "seconds"))
    var maxWatchAge: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Wait so long at the start for a MongoDB store that is away. Default: as long as it takes.",
            valueName: "seconds"))
    var startTimeout: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "While a shared store is away and others may have changed it: refuse reads (default), or allow them to be"
                + " answered from memory.", valueName: "refuse|allow"))
    var staleReads: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where another server of the store lives whose settings and this one's do harm together: refuse to start"
                + " (default), or allow it.", valueName: "refuse|allow"))
    var differentSettings: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Give open calls this long when the server stops. Default 5.", valueName: "seconds"))
    var drainGrace: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Give revoked tasks this long between SIGTERM and SIGKILL. Default 10.", valueName: "seconds"))
    var taskGrace: Double?

    @Option(
        name: .long, help: ArgumentHelp("The rhythm-supervisor program. Default: beside this one.", valueName: "path"))
    var supervisor: String?

    /// Wrong options end with the same code wherever they are found out.
    static func main() async {
        do {
            let command = try parse()
            try await command.run()
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            complain(withoutAddresses(message(for: error)) + "; see 'rhythmd --help'")
            Foundation.exit(2)
        }
    }

    func run() async throws {
        let settings: Settings
        do {
            settings = try resolve()
        } catch {
            Self.complain("\(error)")
            throw ExitCode(2)
        }
        do {
            try await Daemon(settings).run()
        } catch {
            Self.complain("\(error)")
            Self.leave(1)
        }
        Self.leave(0)
    }

    /// Ends the process here and now. What libraries tidy up at an ordinary exit must not be tidied up while threads of
    /// this program still use it; all that matters is stored or closed by then.
    private static func leave(_ status: Int32) -> Never {
        fflush(nil)
        MongoLibrary.forgetCounters()
        _exit(status)
    }

    private func resolve() throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        var file = PartialSettings()
        if let path = config ?? environment["RHYTHM_CONFIG"], !path.isEmpty {
            do {
                file = try PartialSettings(yaml: String(contentsOfFile: path, encoding: .utf8), path: path)
            } catch let error as SettingsError {
                throw error
            } catch {
                throw SettingsError("config: cannot read \(path): \(error.localizedDescription)")
            }
        }
        let flags = PartialSettings(
            listen: listen.isEmpty ? nil : listen, advertise: advertise.isEmpty ? nil : advertise, data: data,
            tasks: tasks,
            queues: queue.isEmpty ? nil : try PartialSettings.queues(queue, source: "--queue"),
            defaultConcurrency: defaultConcurrency, insecure: insecure ? true : nil, tokens: tokens, tlsCert: tlsCert,
            tlsKey: tlsKey, tlsClientCA: tlsClientCA, allowUIDs: allowUID.isEmpty ? nil : allowUID, logLevel: logLevel,
            drainGraceSeconds: drainGrace, taskGraceSeconds: taskGrace, supervisor: supervisor,
            store: store, broker: broker, results: results, defaultQueue: defaultQueue,
            workerLostAfterSeconds: workerLostAfter, workerLeavingSeconds: workerLeaving, taskEvents: taskEvents,
            libraryTasks: libraryTask.isEmpty ? nil : libraryTask, bareTasks: bareTask.isEmpty ? nil : bareTask,
            noInject: noInject.isEmpty ? nil : noInject, resultsCollection: resultsCollection,
            controlExchange: controlExchange, eventExchange: eventExchange,
            ignoreWorkers: ignoreWorker.isEmpty ? nil : ignoreWorker,
            leaseSeconds: lease, projection: projection,
            logFormat: logFormat, metrics: metrics, maxConnectionAgeSeconds: maxConnectionAge,
            maxWatchAgeSeconds: maxWatchAge, startTimeoutSeconds: startTimeout,
            staleReads: staleReads, differentSettings: differentSettings,
            limits: limit.isEmpty ? nil : try LimitSettings.values(limit, source: "--limit"))
        return try flags.over(PartialSettings(environment: environment)).over(file)
            .resolved(home: environment["HOME"]) { rhythm_is_loopback($0) != 0 }
    }

    /// What the command line's parser says, up to the first address that it quotes: one that is misplaced may hold a
    /// password, and that a quotation mark.
    static func withoutAddresses(_ message: String) -> String {
        var shown: [String] = []
        for part in message.split(separator: "'", omittingEmptySubsequences: false) {
            let isOption = part.hasPrefix("--")
            let text = isOption ? part.prefix { $0 != "=" } : part
            // An option may have an address for the name of its value.
            if part.contains("://"), !isOption || text != part {
                shown += [isOption ? String(text) : "an address", ""]
                break
            }
            shown.append(String(part))
        }
        return shown.joined(separator: "'")
    }

    private static func complain(_ message: String) {
        FileHandle.standardError.write(Data("rhythmd: \(message)\n".utf8))
    }
}
