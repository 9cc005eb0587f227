import Glibc
import Logging
import RhythmCore

/// Writes each log entry as one line with one JSON object: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and the
/// metadata beside them. Numbers stay numbers; everything else is text.
///
/// Any thread. A line goes out in one write, so lines of different threads do not mix; what standard error does not
/// take is lost, because a server must not stop for its log.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel: Logger.Level

    private let label: String
    private let write: @Sendable (String) -> Void

    /// - Parameter write: where lines go; standard error unless a test wants them.
    init(
        label: String, logLevel: Logger.Level, write: @escaping @Sendable (String) -> Void = Self.writeToStandardError
    ) {
        self.label = label
        self.logLevel = logLevel
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
        write(Self.line(at: SystemTime.now, event.level, label, "\(event.message)", all))
    }

    /// The names that an entry has of its own; metadata of such a name gets a `_` behind it.
    private static let ownNames: Set<String> = ["time", "level", "logger", "message"]

    static func line(
        at time: Timestamp, _ level: Logger.Level, _ label: String, _ message: String, _ metadata: Logger.Metadata
    ) -> String {
        var members: [JSONValue.Member] = [
            .init("time", .string(time.iso8601)), .init("level", .string(level.rawValue)),
            .init("logger", .string(label)), .init("message", .string(message)),
        ]
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            members.append(.init(ownNames.contains(key) ? key + "_" : key, json(value)))
        }
        return JSONValue.object(members).compactText + "\n"
    }

    private static func json(_ value: Logger.Metadata.Value) -> JSONValue {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let number as any BinaryInteger): .number("\(number)")
        case .stringConvertible(let other): .string("\(other)")
        case .array(let values): .array(values.map { json($0) })
        case .dictionary(let values):
            .object(values.sorted { $0.key < $1.key }.map { .init($0.key, json($0.value)) })
        }
    }

    private static let writeToStandardError: @Sendable (String) -> Void = { line in
        var line = line
        line.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// The time of day.
private enum SystemTime {
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
