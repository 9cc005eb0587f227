import Logging
import Synchronization

/// Keeps everything that is logged, metadata included, for tests that look for what must not be there.
final class LogSink: Sendable {
    private let kept = Mutex<[String]>([])

    var lines: [String] { kept.withLock { $0 } }
    var text: String { lines.joined(separator: "\n") }

    /// A logger that writes here, whatever the level.
    func logger(_ label: String) -> Logger { Logger(label: label) { _ in Handler(sink: self) } }

    private struct Handler: LogHandler {
        let sink: LogSink
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = metadata.merging(event.metadata ?? [:]) { $1 }
            sink.kept.withLock { $0.append("\(event.level) \(event.message) \(metadata)") }
        }
    }
}
