import Foundation
package import RhythmCore

/// What the program writes to, and what it knows of its surroundings.
package struct Terminal: Sendable {
    /// Somebody looks at standard output.
    package var isInteractive: Bool
    /// Colours may be used.
    package var colours: Bool

    /// The program's own.
    package static let standard = Terminal()

    private init() {
        isInteractive = isatty(1) == 1 && Self.environment("TERM") != "dumb"
        colours = isInteractive && Self.environment("NO_COLOR") == nil
    }

    /// How text is decorated here.
    package var style: Style { Style(colours: colours) }

    /// Columns and rows; 80 by 24 if nobody knows.
    package var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// The time of day.
    package static func now() -> Timestamp {
        Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    }

    /// A variable of the environment; nil if it is not there or empty.
    package static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// Writes to standard output.
    package func out(_ text: String) { Self.write(Array(text.utf8), to: 1) }
    /// Writes bytes to standard output as they are.
    package func out(_ bytes: [UInt8]) { Self.write(bytes, to: 1) }
    /// Writes a line to standard output.
    package func line(_ text: String) { out(text + "\n") }
    /// Writes to standard error.
    package func err(_ text: String) { Self.write(Array(text.utf8), to: 2) }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            sent += count
        }
    }
}
