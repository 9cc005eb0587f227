import RhythmCore

/// Where results go: the members of a MongoDB deployment, the database and the collection; nil where nobody says.
///
/// Workers do not tell passwords: `conf` shows whatever may be secret as asterisks, and takes the name of the database in
/// `mongodb_backend_settings` for such.
struct ResultPlace: Hashable, Sendable {
    /// `host:port`, in lower case.
    var hosts: Set<String>?
    var database: String?
    var collection: String?

    /// What a comparison shows.
    enum Comparison: Hashable, Sendable {
        case same
        /// Another one, in a sentence.
        case other(String)
        /// Nobody can tell from here whether that is another one.
        case maybe(String)
    }

    init(hosts: Set<String>?, database: String?, collection: String?) {
        self.hosts = hosts
        self.database = database.map { Self.bare($0) }
        self.collection = collection
    }

    /// As a worker of Celery takes it from its settings.
    init(backend: String, settings: JSONValue?) {
        func told(_ name: String, else other: String?) -> String? {
            guard let value = settings?[name], value != .null else { return other }
            guard let text = value.stringValue, !Self.isMasked(text) else { return nil }
            return text
        }
        database = told("database", else: Self.database(of: backend) ?? "celery").map { Self.bare($0) }
        collection = told("taskmeta_collection", else: "celery_taskmeta")
        // Hosts of their own are rare, and take several forms.
        let hasOwn = ["host", "port", "hosts"].contains { settings?[$0].map { $0 != .null } ?? false }
        hosts = hasOwn ? nil : Self.hosts(of: backend)
    }

    private static func isMasked(_ text: String) -> Bool { !text.isEmpty && text.allSatisfy { $0 == "*" } }

    /// What stands behind a point is a collection, which Celery passes over.
    private static func bare(_ name: String) -> String { String(name.prefix { $0 != "." }) }

    /// What follows `mongodb://` and the credentials.
    private static func parts(of address: String) -> (hosts: Substring, path: Substring)? {
        guard let scheme = address.firstRange(of: "://") else { return nil }
        let rest = address[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let hosts = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        return (hosts, rest[authority.endIndex...].drop { $0 == "/" }.prefix { $0 != "?" })
    }

    /// The database in an address `mongodb://HOSTS/DATABASE?OPTIONS`; nil if it names none.
    static func database(of address: String) -> String? {
        guard let path = parts(of: address)?.path, !path.isEmpty else { return nil }
        return decoded(path)
    }

    /// `%2D` and the like.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The members in an address; nil for one that names a record of the DNS (`mongodb+srv`), or none.
    static func hosts(of address: String) -> Set<String>? {
        guard address.hasPrefix("mongodb://"), let hosts = parts(of: address)?.hosts else { return nil }
        let members = hosts.split(separator: ",").map { member in
            let hasPort = member.hasPrefix("[") ? member.contains("]:") : member.contains(":")
            return decoded(member).lowercased() + (hasPort ? "" : ":27017")
        }
        return members.isEmpty ? nil : Set(members)
    }

    /// Whether two places are the same; the sentence is about `self`, a worker's.
    func compared(with own: ResultPlace) -> Comparison {
        let names = [(database, own.database), (collection, own.collection)]
        if names.contains(where: { pair in pair.0 != nil && pair.1 != nil && pair.0 != pair.1 }) {
            let theirs = "\(database ?? "?").\(collection ?? "?")"
            return .other(
                "its results go to \(theirs), this server reads \(own.database ?? "?").\(own.collection ?? "?")")
        }
        guard let hosts, let others = own.hosts, !Self.meet(hosts, others) else { return .same }
        return .maybe(
            "its results go to \(Self.list(hosts)), this server reads \(Self.list(others)): that may be another"
                + " database server")
    }

    private static func list(_ hosts: Set<String>) -> String { hosts.sorted().joined(separator: ", ") }

    /// They name a member in common. All names of the own machine mean the same one.
    private static func meet(_ left: Set<String>, _ right: Set<String>) -> Bool {
        func plain(_ host: String) -> String {
            for name in ["localhost:", "127.0.0.1:", "[::1]:"] where host.hasPrefix(name) {
                return "localhost:" + host.dropFirst(name.count)
            }
            return host
        }
        return !Set(left.map(plain)).isDisjoint(with: right.map(plain))
    }
}

/// Where the settings of an application send its tasks (`task_routes`), as far as they can be read.
struct TaskRoutes: Hashable, Sendable {
    private struct Route: Hashable, Sendable {
        var pattern: String
        var queue: String
    }

    private var routes: [Route] = []

    /// A map of names or patterns to `{"queue": NAME}` or `NAME`, or a list of such maps or pairs. Functions and regular
    /// expressions cannot be read, and count as none.
    init(_ value: JSONValue) {
        switch value {
        case .object(let members): for member in members { add(member.name, member.value) }
        case .array(let elements):
            for element in elements {
                if let pair = element.arrayValue, pair.count == 2, let pattern = pair[0].stringValue {
                    add(pattern, pair[1])
                } else if element.arrayValue != nil || Self.isMap(element) {
                    routes += TaskRoutes(element).routes
                }
            }
        default: break
        }
    }

    private static func isMap(_ value: JSONValue) -> Bool { if case .object = value { true } else { false } }

    private mutating func add(_ pattern: String, _ value: JSONValue) {
        guard let queue = value.stringValue ?? value["queue"]?.stringValue ?? value["queue"]?["name"]?.stringValue
        else { return }
        routes.append(Route(pattern: pattern, queue: queue))
    }

    /// The queue of a task; nil if no route that can be read is meant for it.
    subscript(task: String) -> String? {
        if let route = routes.first(where: { $0.pattern == task }) { return route.queue }
        return routes.first { Self.matches(task, $0.pattern) }?.queue
    }

    /// `*` stands for anything; patterns with `?` or `[` are none that this reads.
    private static func matches(_ task: String, _ pattern: String) -> Bool {
        guard pattern.contains("*"), !pattern.contains("?"), !pattern.contains("[") else { return false }
        let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
        var rest = Substring(task)
        guard rest.hasPrefix(parts[0]) else { return false }
        rest = rest.dropFirst(parts[0].count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.hasSuffix(parts[parts.count - 1])
    }
}
