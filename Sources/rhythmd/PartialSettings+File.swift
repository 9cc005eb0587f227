import Yams

extension PartialSettings {
    /// What a configuration file says: YAML with the keys `listen`, `advertise` (lists), `data`, `tasks`, `queues` (a map from
    /// name to concurrency), `default_concurrency`, `insecure`, `tokens`, `tls_cert`, `tls_key`, `tls_client_ca`,
    /// `allow_uids` (a list of numbers), `log_level`, `drain_grace`, `task_grace` (seconds), `supervisor`, `store`,
    /// `broker`, `results`, `default_queue`, `worker_lost_after`, `worker_leaving`, `lease` (seconds), `projection`
    /// (on or off), `task_events` (auto, always or never), `library_tasks`, `bare_tasks`, `no_inject`, `ignore_workers` (lists),
    /// `results_collection`, `control_exchange`, `event_exchange`, `log_format`, `metrics`, `max_connection_age`,
    /// `max_watch_age`, `start_timeout` (seconds), `stale_reads`, `different_settings` and `limits` (a map from name to
    /// number).
    /// Other keys are errors, so that a misspelt one is not silently without effect.
    init(yaml: String, path: String) throws(SettingsError) {
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml)
        } catch {
            throw SettingsError("\(path): not YAML: \(Self.place(of: error))")
        }
        guard let node else { return }
        guard let mapping = node.mapping else {
            throw SettingsError("\(path): expected keys and values, such as 'tasks: /srv/tasks'")
        }
        for (key, value) in mapping {
            let name = key.string ?? ""
            // What is no key may be anything, such as an address with its password.
            let shown = name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" } ? name : "a key"
            let place = "\(path):\(key.mark?.line ?? 0): \(shown)"
            switch name {
            case "listen": listen = try Self.list(value, place)
            case "advertise": advertise = try Self.list(value, place)
            case "data": data = try Self.text(value, place)
            case "tasks": tasks = try Self.text(value, place)
            case "queues": queues = try Self.numbers(value, place)
            case "default_concurrency": defaultConcurrency = try Self.number(value, place)
            case "insecure":
                guard let flag = value.bool else { throw SettingsError("\(place): expected true or false") }
                insecure = flag
            case "tokens": tokens = try Self.text(value, place)
            case "tls_cert": tlsCert = try Self.text(value, place)
            case "tls_key": tlsKey = try Self.text(value, place)
            case "tls_client_ca": tlsClientCA = try Self.text(value, place)
            case "allow_uids": allowUIDs = try Self.uids(Self.list(value, place), source: place)
            case "log_level": logLevel = try Self.text(value, place)
            case "drain_grace": drainGraceSeconds = try Self.seconds(value, place)
            case "task_grace": taskGraceSeconds = try Self.seconds(value, place)
            case "supervisor": supervisor = try Self.text(value, place)
            case "store": store = try Self.text(value, place)
            // One, or several that are tried in turn.
            case "broker":
                broker =
                    value.sequence == nil
                    ? try Self.text(value, place) : try Self.list(value, place).joined(separator: ";")
            case "results": results = try Self.text(value, place)
            case "default_queue": defaultQueue = try Self.text(value, place)
            case "worker_lost_after": workerLostAfterSeconds = try Self.seconds(value, place)
            case "worker_leaving": workerLeavingSeconds = try Self.seconds(value, place)
            case "task_events": taskEvents = try Self.text(value, place)
            case "lease": leaseSeconds = try Self.seconds(value, place)
            // YAML takes both words for truth values.
            case "projection": projection = value.bool.map { $0 ? "on" : "off" } ?? value.string ?? ""
            case "log_format": logFormat = try Self.text(value, place)
            case "metrics": metrics = try Self.text(value, place)
            case "max_connection_age": maxConnectionAgeSeconds = try Self.seconds(value, place)
            case "max_watch_age": maxWatchAgeSeconds = try Self.seconds(value, place)
            case "stale_reads": staleReads = try Self.text(value, place)
            case "different_settings": differentSettings = try Self.text(value, place)
            case "start_timeout": startTimeoutSeconds = try Self.seconds(value, place)
            case "limits": limits = try Self.amounts(value, place)
            case "library_tasks": libraryTasks = try Self.list(value, place)
            case "bare_tasks": bareTasks = try Self.list(value, place)
            case "no_inject": noInject = try Self.list(value, place)
            case "results_collection": resultsCollection = try Self.text(value, place)
            case "control_exchange": controlExchange = try Self.text(value, place)
            case "event_exchange": eventExchange = try Self.text(value, place)
            case "ignore_workers": ignoreWorkers = try Self.list(value, place)
            default:
                throw SettingsError(
                    "\(place): no such setting; there are listen, advertise, data, tasks, queues, default_concurrency,"
                        + " insecure, tokens, tls_cert, tls_key, tls_client_ca, allow_uids, log_level, drain_grace, task_grace,"
                        + " supervisor, store, broker, results, default_queue, worker_lost_after,"
                        + " worker_leaving, task_events, lease, projection, library_tasks, bare_tasks, no_inject,"
                        + " results_collection, control_exchange, event_exchange, ignore_workers, log_format, metrics,"
                        + " max_connection_age, max_watch_age, start_timeout, stale_reads,"
                        + " different_settings and limits")
            }
        }
    }

    /// What is wrong and where, without the line itself: it may hold a password.
    private static func place(of error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?,
            .composer(_, let problem, let mark, _)?:
            "line \(mark.line), column \(mark.column): \(problem)"
        case .duplicatedKeysInMapping?: "a key occurs twice"
        default: "it cannot be read"
        }
    }

    private static func text(_ node: Node, _ place: String) throws(SettingsError) -> String {
        guard let text = node.string else { throw SettingsError("\(place): expected a text") }
        return text
    }

    private static func number(_ node: Node, _ place: String) throws(SettingsError) -> Int {
        guard let number = node.int else { throw SettingsError("\(place): expected a whole number") }
        return number
    }

    private static func seconds(_ node: Node, _ place: String) throws(SettingsError) -> Double {
        guard let number = node.float else { throw SettingsError("\(place): expected seconds") }
        return number
    }

    private static func list(_ node: Node, _ place: String) throws(SettingsError) -> [String] {
        guard let sequence = node.sequence else { throw SettingsError("\(place): expected a list") }
        var texts: [String] = []
        for element in sequence { texts.append(try text(element, place)) }
        return texts
    }

    private static func amounts(_ node: Node, _ place: String) throws(SettingsError) -> [String: Double] {
        guard let mapping = node.mapping else { throw SettingsError("\(place): expected names and numbers") }
        var amounts: [String: Double] = [:]
        for (key, value) in mapping {
            guard let number = value.float else {
                throw SettingsError("\(place).\(key.string ?? ""): expected a number")
            }
            amounts[try text(key, place)] = number
        }
        return amounts
    }

    private static func numbers(_ node: Node, _ place: String) throws(SettingsError) -> [String: Int] {
        guard let mapping = node.mapping else { throw SettingsError("\(place): expected names and numbers") }
        var numbers: [String: Int] = [:]
        for (key, value) in mapping {
            numbers[try text(key, place)] = try number(value, "\(place).\(key.string ?? "")")
        }
        return numbers
    }
}
