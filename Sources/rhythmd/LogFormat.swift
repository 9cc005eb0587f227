import Logging

/// How log lines look.
enum LogFormat: String, CaseIterable {
    /// For people.
    case text
    /// One JSON object a line, for programs.
    case json

    /// A handler that writes such lines to standard error.
    func handler(label: String, level: Logger.Level) -> any LogHandler {
        switch self {
        case .text:
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        case .json: return JSONLogHandler(label: label, logLevel: level)
        }
    }
}
