import ArgumentParser
import Foundation
import Logging
import RhythmCelery
import RhythmServer
import RhythmWire
import Testing

@testable import rhythmd

@Suite struct SettingsTests {
    private func resolve(_ partial: PartialSettings) throws(SettingsError) -> Settings {
        try partial.resolved(home: "/users/op") { $0.hasPrefix("127.") }
    }

    @Test("nothing given: loopback, the state directory of the user, tasks beside the data")
    func defaults() throws {
        let settings = try resolve(PartialSettings())
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 7744)])
        #expect(settings.data == "/users/op/.local/state/rhythm")
        #expect(settings.tasks == "/users/op/.local/state/rhythm/tasks")
        #expect(settings.insecure == false && settings.logLevel == .info)
        #expect(settings.drainGrace == .seconds(5) && settings.taskGrace == .seconds(10))
    }

    @Test("a flag wins over a variable, a variable over the file")
    func precedence() throws {
        let flags = PartialSettings(data: "/flag")
        let variables = try PartialSettings(environment: [
            "RHYTHM_DATA": "/variable", "RHYTHM_TASKS": "/variable-tasks",
        ])
        let file = try PartialSettings(yaml: "data: /file\ntasks: /file-tasks\nlog_level: debug\n", path: "f.yaml")
        let settings = try resolve(flags.over(variables).over(file))
        #expect(settings.data == "/flag")
        #expect(settings.tasks == "/variable-tasks")
        #expect(settings.logLevel == .debug)
    }

    @Test("what a server is to call itself, from each source; an address that nobody can use is refused")
    func advertise() throws {
        let variables = try PartialSettings(environment: ["RHYTHM_ADVERTISE": "a.example:7744,tls://b.example:1"])
        let file = try PartialSettings(yaml: "advertise: [\"c.example:2\"]\n", path: "f.yaml")
        #expect(try resolve(PartialSettings()).advertise == [])
        #expect(
            try resolve(variables.over(file)).advertise
                == [.tcp(host: "a.example", port: 7744), .tls(host: "b.example", port: 1)])
        #expect(try resolve(file).advertise == [.tcp(host: "c.example", port: 2)])
        #expect(
            try Rhythmd.parse(["--advertise", "x:1", "--advertise", "y:2"]).advertise == ["x:1", "y:2"])
        for wrong in ["x", "x:0", "", "http://x"] {
            let error = #expect(throws: SettingsError.self) { try resolve(PartialSettings(advertise: [wrong])) }
            #expect(error?.description.contains("advertise: '\(wrong)'") == true)
        }
    }

    @Test("every variable that the README names has an effect, and the help names it")
    func variablesAreTold() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        let table = try #require(readme.range(of: "## Configuring the server")).upperBound
        let rows = readme[table...].split(separator: "\n").drop { !$0.hasPrefix("| `--listen") }
            .prefix { $0.hasPrefix("|") }
        let names = Set(rows.flatMap { $0.matches(of: /RHYTHM_[A-Z_]+/).map { String($0.output) } })
        #expect(names.count > 30 && names.isSuperset(of: ["RHYTHM_PROJECTION", "RHYTHM_DIFFERENT_SETTINGS"]))
        let help = Rhythmd.helpMessage(columns: 10_000)
        for name in names.sorted() {
            #expect(help.contains("\(name),") || help.contains("\(name))"), "\(name) is not in the help")
            let value = ["RHYTHM_QUEUES": "a=1", "RHYTHM_LIMITS": "max_calls=1"][name] ?? "1"
            #expect(try PartialSettings(environment: [name: value]) != PartialSettings(), "\(name) has no effect")
        }
    }

    @Test("a file says everything that flags can say")
    func wholeFile() throws {
        let yaml = """
            listen: ["127.0.0.1:1", "unix:/run/r.sock"]
            data: /d
            tasks: /t
            queues: {archive: 2, stage: 1}
            default_concurrency: 8
            insecure: false
            tokens: /k/tokens
            tls_cert: /k/cert.pem
            tls_key: /k/key.pem
            tls_client_ca: /k/ca.pem
            allow_uids: [0, 1000]
            log_level: warning
            drain_grace: 1.5
            task_grace: 30
            supervisor: /s
            store: mongodb://db/flows
            broker: amqp://rabbit/v
            default_queue: q
            worker_lost_after: 60
            worker_leaving: 900
            task_events: never
            library_tasks: [old.task]
            bare_tasks: [ours, flows.*]
            no_inject: [plain.*]
            results_collection: mine
            control_exchange: ctl
            event_exchange: ev
            ignore_workers: [old@*]
            lease: 5
            projection: off
            log_format: json
            metrics: 127.0.0.1:9464
            max_connection_age: 3600
            max_watch_age: 1800
            start_timeout: 60
            stale_reads: allow
            different_settings: allow
            limits: {max_calls: 64, ping_interval: 2.5}
            """
        let settings = try resolve(PartialSettings(yaml: yaml, path: "f.yaml"))
        let limits = try LimitSettings(["max_calls": 64, "ping_interval": 2.5])
        #expect(
            settings
                == Settings(
                    listen: [.tls(host: "127.0.0.1", port: 1), .unix(path: "/run/r.sock")], data: "/d", tasks: "/t",
                    queues: ["archive": 2, "stage": 1], defaultConcurrency: 8, insecure: false,
                    security: SecuritySettings(
                        tokens: "/k/tokens",
                        tls: .init(certificate: "/k/cert.pem", key: "/k/key.pem", clientCA: "/k/ca.pem"),
                        allowUIDs: [0, 1000]), logLevel: .warning,
                    drainGrace: .milliseconds(1500), taskGrace: .seconds(30), supervisor: "/s",
                    backends: BackendSettings(
                        store: .mongodb("mongodb://db/flows"), lease: .seconds(5),
                        celery: .init(
                            broker: "amqp://rabbit/v", results: "mongodb://db/flows", defaultQueue: "q",
                            workerLostAfter: .seconds(60), workerLeaving: .seconds(900),
                            taskEvents: .never, libraryTasks: ["old.task"],
                            bareTasks: ["ours", "flows.*"], resultsCollection: "mine", controlExchange: "ctl",
                            eventExchange: "ev", ignoredWorkers: ["old@*"]), projects: false,
                        uninjectedTasks: ["plain.*"]),
                    operation: OperationSettings(
                        logFormat: .json, metrics: .tcp(host: "127.0.0.1", port: 9464),
                        maxConnectionAge: .seconds(3600), maxWatchAge: .seconds(1800), startTimeout: .seconds(60),
                        allowsStaleReads: true, allowsDifferentSettings: true),
                    limits: limits))
    }

    @Test("nothing is said about operations: text, no metrics, no ages; 0 is no age either")
    func operationDefaults() throws {
        let settings = try resolve(PartialSettings(maxConnectionAgeSeconds: 0))
        #expect(settings.operation == OperationSettings())
        #expect(settings.operation.metrics == nil && settings.operation.maxConnectionAge == nil)
    }

    @Test(
        "what cannot be used of operations is refused by name",
        arguments: [
            (PartialSettings(logFormat: "xml"), "log_format"), (PartialSettings(metrics: "9464"), "metrics"),
            (PartialSettings(metrics: "unix:/x"), "metrics"), (PartialSettings(metrics: "0.0.0.0:9464"), "metrics"),
            (PartialSettings(maxConnectionAgeSeconds: 0.5), "max_connection_age"),
            (PartialSettings(maxWatchAgeSeconds: -1), "max_watch_age"),
            (PartialSettings(startTimeoutSeconds: -1), "start_timeout"),
            (PartialSettings(staleReads: "perhaps"), "stale_reads"),
            (PartialSettings(differentSettings: "no"), "different_settings"),
        ])
    func operations(_ partial: PartialSettings, _ setting: String) {
        let error = #expect(throws: SettingsError.self) { _ = try resolve(partial) }
        #expect(error?.description.hasPrefix(setting + ":") == true, "\(String(describing: error))")
    }

    @Test("metrics leave the machine only with --insecure")
    func openMetrics() throws {
        let settings = try resolve(PartialSettings(insecure: true, metrics: "0.0.0.0:9464"))
        #expect(settings.operation.metrics == .tcp(host: "0.0.0.0", port: 9464))
    }

    @Test(
        "what cannot be used of store, broker and results is refused without showing it",
        arguments: [
            (PartialSettings(store: "postgres://u:secret@h"), "store"),
            (PartialSettings(broker: "redis://u:secret@h"), "broker"),
            (PartialSettings(broker: "amqp://u:secret@h"), "results"),
            (PartialSettings(broker: "amqp://u:secret@h", results: "redis://u:secret@h"), "results"),
            (PartialSettings(results: "mongodb://u:secret@h/d"), "results"),
            (PartialSettings(store: "mongodb://u:secret@h/d", leaseSeconds: 0.1), "lease"),
            (PartialSettings(projection: "off"), "projection"),
            (PartialSettings(store: "mongodb://u:secret@h/d", projection: "perhaps"), "projection"),
            (PartialSettings(taskEvents: "always"), "task_events"), (PartialSettings(bareTasks: ["t"]), "bare_tasks"),
            (PartialSettings(broker: "amqp://h", results: "mongodb://u:secret@h", bareTasks: ["a*b"]), "bare_tasks"),
            (PartialSettings(broker: "amqp://h", results: "mongodb://u:secret@h", bareTasks: [""]), "bare_tasks"),
            (
                PartialSettings(broker: "amqp://h", results: "mongodb://u:secret@h", ignoreWorkers: ["*x"]),
                "ignore_workers"
            ),
            (PartialSettings(noInject: ["a*b"]), "no_inject"),
            (PartialSettings(ignoreWorkers: ["w"]), "ignore_workers"),
            (PartialSettings(resultsCollection: "c"), "results_collection"),
            (PartialSettings(controlExchange: "c"), "control_exchange"),
            (PartialSettings(eventExchange: "c"), "event_exchange"),
            (
                PartialSettings(broker: "amqp://h", results: "mongodb://h", resultsCollection: "a$"),
                "results_collection"
            ),
            (PartialSettings(broker: "amqp://h", results: "mongodb://h", controlExchange: ""), "control_exchange"),
            (PartialSettings(broker: "amqp://u:1/secret@h", results: "mongodb://h"), "broker"),
            (PartialSettings(broker: "amqp://u:1;secret@h", results: "mongodb://h"), "broker"),
            (PartialSettings(broker: "amqp://h:0", results: "mongodb://h"), "broker"),
            (PartialSettings(store: "mongodb://secret@h/d"), "store"),
            (PartialSettings(broker: "amqp://h", results: "mongodb://u:1/secret@h/d"), "results"),
            (PartialSettings(broker: "amqp://h", results: "mongodb://h/d?authMechanism=MONGODB-X509"), "results"),
            (PartialSettings(broker: "amqp://h", results: "mongodb://u:secret@h", taskEvents: "now"), "task_events"),
        ])
    func backends(_ partial: PartialSettings, _ setting: String) {
        let error = #expect(throws: SettingsError.self) { _ = try resolve(partial) }
        #expect(error?.description.hasPrefix(setting + ":") == true, "\(String(describing: error))")
        #expect(error?.description.contains("secret") == false)
    }

    @Test("what is said of Celery's workers reaches the runner")
    func celery() throws {
        let settings = try resolve(
            PartialSettings(
                broker: "amqp://h", results: "mongodb://h/d", defaultQueue: "q", workerLostAfterSeconds: 10,
                workerLeavingSeconds: 600, taskEvents: "always", libraryTasks: ["old.task"],
                bareTasks: ["flows.*"]))
        let configuration = try #require(settings.backends.celery?.configuration(serverID: "s1"))
        #expect(configuration.broker == "amqp://h" && configuration.results == "mongodb://h/d")
        #expect(configuration.serverID == "s1" && configuration.defaultQueue == "q")
        #expect(configuration.times.workerLost == .seconds(10) && configuration.times.workerLeaving == .seconds(600))
        #expect(configuration.taskEvents == .always && configuration.libraryTasks == ["old.task"])
        #expect(configuration.bareTasks.contains("flows.copy") && !configuration.bareTasks.contains("old.task"))
    }

    @Test("names of Celery's that are given are used, and those that are not are learned")
    func namesOfCelerys() throws {
        let given = PartialSettings(
            broker: "amqp://h", results: "mongodb://h/d", resultsCollection: "mine", controlExchange: "ctl",
            eventExchange: "ev", ignoreWorkers: ["old@*"])
        let configuration = try #require(resolve(given).backends.celery?.configuration(serverID: "s1"))
        #expect(configuration.resultsCollection == "mine" && !configuration.learnsResultsCollection)
        #expect(configuration.eventExchange == "ev" && !configuration.learnsEventExchange)
        #expect(configuration.controlExchange == "ctl" && configuration.ignoredWorkers.contains("old@h"))
        let free = try #require(
            resolve(PartialSettings(broker: "amqp://h", results: "mongodb://h/d")).backends.celery?.configuration(
                serverID: "s1"))
        #expect(free.resultsCollection == "celery_taskmeta" && free.learnsResultsCollection)
        #expect(free.eventExchange == "celeryev" && free.learnsEventExchange && free.controlExchange == "celery")
    }

    @Test("several brokers: a list in the file is what ; is elsewhere")
    func brokers() throws {
        let file = try PartialSettings(yaml: "broker: [amqp://a, 'amqp://b']", path: "f.yaml")
        #expect(file.broker == "amqp://a;amqp://b")
        #expect(try PartialSettings(yaml: "broker: amqp://a;amqp://b", path: "f.yaml").broker == file.broker)
    }

    @Test(
        "an address where none belongs is not shown",
        arguments: [
            ["amqp://u:secret@h"], ["--brokr", "amqp://u:secret@h"], ["--brokr=amqp://u:secret@h"],
            ["--broker"], ["amqp://u:1'secret@h"], ["--brokr=amqp://u:1'secret@h"],
            ["--default-concurrency", "amqp://u:secret@h"], ["--default-concurrency=amqp://u:secret@h"],
        ])
    func misplacedAddresses(arguments: [String]) {
        do {
            _ = try Rhythmd.parse(arguments)
            Issue.record("taken")
        } catch {
            let text = Rhythmd.withoutAddresses(Rhythmd.message(for: error))
            #expect(!text.contains("secret") && !text.isEmpty, "\(text)")
        }
    }

    @Test("tasks that are given nothing need no broker")
    func noInject() throws {
        let settings = try resolve(PartialSettings(noInject: ["plain.*"]))
        #expect(settings.backends.celery == nil && settings.backends.uninjectedTasks.contains("plain.copy"))
    }

    @Test(
        "a line of a file that cannot be read is not shown: it may hold a password",
        arguments: [
            "broker: \"amqp://u:secret@h", "broker: amqp://u:secret@h: x: y", "broker: [amqp://u:secret@h",
            "broker: {amqp://u:secret@h",
            "broker: amqp://u:secret@h\nbroker: amqp://u:secret@h", "broker: !!binary amqp://u:secret@h\n\t- x",
            "broker: {amqp://u:secret@h: 1}", "broker: [[amqp://u:secret@h]]", "broker: *secret", "- amqp://u:secret@h",
        ])
    func brokenFiles(yaml: String) throws {
        let error = #expect(throws: SettingsError.self) { try PartialSettings(yaml: yaml, path: "f.yaml") }
        #expect(error?.description.contains("secret") == false, "\(String(describing: error))")
    }

    @Test("variables say the same, empty ones say nothing")
    func variables() throws {
        let partial = try PartialSettings(environment: [
            "RHYTHM_LISTEN": "127.0.0.1:1,unix:/run/r.sock", "RHYTHM_QUEUES": "archive=2,stage=1",
            "RHYTHM_DEFAULT_CONCURRENCY": "8", "RHYTHM_INSECURE": "1", "RHYTHM_DRAIN_GRACE": "2",
            "RHYTHM_TASK_GRACE": "3", "RHYTHM_DATA": "", "RHYTHM_TOKENS": "/k/tokens", "RHYTHM_TLS_CERT": "/k/c",
            "RHYTHM_TLS_KEY": "/k/k", "RHYTHM_TLS_CLIENT_CA": "/k/ca", "RHYTHM_ALLOW_UIDS": "0,1000",
            "RHYTHM_LOG_FORMAT": "json", "RHYTHM_METRICS": "127.0.0.1:1", "RHYTHM_MAX_CONNECTION_AGE": "60",
            "RHYTHM_MAX_WATCH_AGE": "30", "RHYTHM_START_TIMEOUT": "20", "RHYTHM_STALE_READS": "refuse",
            "RHYTHM_DIFFERENT_SETTINGS": "refuse",
            "RHYTHM_WORKER_LEAVING": "600", "RHYTHM_TASK_EVENTS": "always",
            "RHYTHM_LIBRARY_TASKS": "old", "RHYTHM_BARE_TASKS": "a,b.*", "RHYTHM_NO_INJECT": "c,d.*",
            "RHYTHM_RESULTS_COLLECTION": "mine", "RHYTHM_CONTROL_EXCHANGE": "ctl", "RHYTHM_EVENT_EXCHANGE": "ev",
            "RHYTHM_IGNORE_WORKERS": "x@h,y*", "RHYTHM_BROKER": "amqp://a;amqp://b",
        ])
        #expect(
            partial
                == PartialSettings(
                    listen: ["127.0.0.1:1", "unix:/run/r.sock"], queues: ["archive": 2, "stage": 1],
                    defaultConcurrency: 8, insecure: true, tokens: "/k/tokens", tlsCert: "/k/c", tlsKey: "/k/k",
                    tlsClientCA: "/k/ca", allowUIDs: [0, 1000], drainGraceSeconds: 2, taskGraceSeconds: 3,
                    broker: "amqp://a;amqp://b",
                    workerLeavingSeconds: 600, taskEvents: "always", libraryTasks: ["old"], bareTasks: ["a", "b.*"],
                    noInject: ["c", "d.*"], resultsCollection: "mine", controlExchange: "ctl", eventExchange: "ev",
                    ignoreWorkers: ["x@h", "y*"], logFormat: "json", metrics: "127.0.0.1:1",
                    maxConnectionAgeSeconds: 60, maxWatchAgeSeconds: 30, startTimeoutSeconds: 20,
                    staleReads: "refuse",
                    differentSettings: "refuse"))
    }

    @Test(
        "what cannot be used is named with its value and what would be right",
        arguments: [
            (PartialSettings(listen: ["nowhere"]), "listen: 'nowhere' is neither"),
            (PartialSettings(listen: []), "listen: the list is empty"),
            (PartialSettings(listen: ["0.0.0.0:7744"]), "--insecure"),
            (PartialSettings(listen: ["127.0.0.1:1", "tcp://0.0.0.0:7744"]), "can be reached from other machines"),
            (PartialSettings(listen: ["tls://127.0.0.1:1"]), "needs a certificate"),
            (PartialSettings(tlsCert: "/c"), "tls_key: is missing"),
            (PartialSettings(tlsKey: "/k"), "tls_cert: is missing"),
            (PartialSettings(tlsClientCA: "/ca"), "tls_client_ca: needs the server's own certificate"),
            (PartialSettings(queues: ["q": 0]), "queue: 'q=0'"),
            (PartialSettings(defaultConcurrency: 0), "default_concurrency: 0"),
            (PartialSettings(logLevel: "loud"), "log_level: 'loud' is none of trace"),
            (PartialSettings(drainGraceSeconds: -1), "drain_grace: -1.0"),
            (PartialSettings(taskGraceSeconds: 1e9), "task_grace:"),
        ])
    func refusals(partial: PartialSettings, message: String) {
        let error = #expect(throws: SettingsError.self) { try resolve(partial) }
        #expect(error?.description.contains(message) == true, "\(String(describing: error))")
    }

    @Test("limits reach the server, and what they cannot be is named")
    func limits() throws {
        let partial = try PartialSettings(environment: ["RHYTHM_LIMITS": "max_calls=7,stall_timeout=1.5"])
        var configuration = ServerConfiguration()
        try resolve(partial).limits.apply(to: &configuration)
        #expect(configuration.maxCalls == 7 && configuration.stallTimeout == .milliseconds(1500))
        #expect(configuration.maxConnections == ServerConfiguration().maxConnections)
        for limit in LimitSettings.known {
            for value in [limit.range.lowerBound, limit.range.upperBound] {
                try LimitSettings([limit.name: value]).apply(to: &configuration)
            }
            #expect(throws: SettingsError.self) { try LimitSettings([limit.name: limit.range.upperBound + 1]) }
        }
        for (limits, message) in [
            (["max_call": 3.0], "there is no 'max_call'"), (["max_calls": 1.5], "max_calls=1.5 is not a whole number"),
            (["ping_interval": 0], "ping_interval=0.0 is not between"),
        ] {
            let error = #expect(throws: SettingsError.self) { try resolve(PartialSettings(limits: limits)) }
            #expect(error?.description.contains(message) == true, "\(String(describing: error))")
        }
        #expect(throws: SettingsError.self) { try PartialSettings(environment: ["RHYTHM_LIMITS": "max_calls"]) }
    }

    @Test("without a home directory the data directory must be named")
    func noHome() {
        #expect(throws: SettingsError.self) { try PartialSettings().resolved(home: nil) { _ in true } }
    }

    @Test("other machines are let in only if asked")
    func insecure() throws {
        let settings = try resolve(PartialSettings(listen: ["0.0.0.0:7744"], insecure: true))
        #expect(settings.listen == [.tcp(host: "0.0.0.0", port: 7744)])
    }

    @Test("what other machines can reach needs tokens or certificates")
    func openDoors() throws {
        let tls = PartialSettings(tlsCert: "/c", tlsKey: "/k")
        let mutual = PartialSettings(tlsCert: "/c", tlsKey: "/k", tlsClientCA: "/ca")
        let tokens = PartialSettings(tokens: "/t")
        let plain = PartialSettings()
        let cases: [(PartialSettings, String, Bool)] = [
            (plain, "0.0.0.0:1", false), (tokens, "0.0.0.0:1", true), (tls, "0.0.0.0:1", false),
            (mutual, "0.0.0.0:1", true), (tokens.over(tls), "0.0.0.0:1", true), (mutual, "tcp://0.0.0.0:1", false),
            (mutual, "tls://0.0.0.0:1", true), (tls, "tls://127.0.0.1:1", true), (plain, "unix:/s", true),
            (plain, "tcp://127.0.0.1:1", true), (tokens, "tls://0.0.0.0:1", false),
        ]
        for (partial, address, isAllowed) in cases {
            let settings = try? resolve(PartialSettings(listen: [address]).over(partial))
            #expect((settings != nil) == isAllowed, "\(address) with \(partial)")
        }
        #expect(
            try resolve(PartialSettings(listen: ["127.0.0.1:1", "tcp://127.0.0.1:2"]).over(tls)).listen
                == [.tls(host: "127.0.0.1", port: 1), .tcp(host: "127.0.0.1", port: 2)],
            "a certificate makes HOST:PORT speak TLS")
    }

    @Test(
        "mistakes in a file name the line and the key",
        arguments: [
            ("task: /t", "f.yaml:1: task: no such setting"), ("data: [1]", "f.yaml:1: data: expected a text"),
            ("- a", "expected keys and values"), ("a: [", "f.yaml: not YAML"),
            ("data: /d\nqueues: 3", "f.yaml:2: queues: expected names and numbers"),
            ("queues: {a: many}", "queues.a: expected a whole number"),
            ("allow_uids: [root]", "f.yaml:1: allow_uids: 'root' is not a user's number"),
            ("insecure: perhaps", "expected true or false"),
        ])
    func fileMistakes(yaml: String, message: String) {
        let error = #expect(throws: SettingsError.self) { try PartialSettings(yaml: yaml, path: "f.yaml") }
        #expect(error?.description.contains(message) == true, "\(String(describing: error))")
    }

    @Test("an empty file says nothing")
    func emptyFile() throws {
        #expect(try PartialSettings(yaml: "# nothing\n", path: "f.yaml") == PartialSettings())
    }

    @Test("entries of the form NAME=N", arguments: ["x", "=1", "x=", "x=many"])
    func queues(entry: String) {
        #expect(throws: SettingsError.self) { try PartialSettings.queues([entry], source: "--queue") }
    }
}

@Suite struct EndpointTests {
    @Test(
        "addresses that can be read, and how they are written",
        arguments: [
            ("127.0.0.1:7744", Endpoint.tcp(host: "127.0.0.1", port: 7744)), ("host:0", .tcp(host: "host", port: 0)),
            ("[::1]:80", .tcp(host: "::1", port: 80)), ("tls://host:1", .tls(host: "host", port: 1)),
            ("tls://[::1]:80", .tls(host: "::1", port: 80)), ("unix:/run/r.sock", .unix(path: "/run/r.sock")),
        ])
    func good(text: String, endpoint: Endpoint) {
        #expect(Endpoint(text) == endpoint)
        #expect(endpoint.description == text)
    }

    @Test(
        "and those that cannot",
        arguments: [
            "", "host", ":1", "::1:80", "host:65536", "host:-1", "unix:", "h\0:1", "tls://", "tls://h", "http://h:1",
        ])
    func bad(text: String) { #expect(Endpoint(text) == nil) }
}
