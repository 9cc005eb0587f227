/// What is wrong with a tokens file, and where.
package struct TokensFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Counted from 1; nil if it is about the file as a whole.
    package let line: Int?
    package let message: String

    package init(line: Int? = nil, _ message: String) {
        self.line = line
        self.message = message
    }

    /// Without the file's name; whoever read the file knows it.
    package var description: String { line.map { "line \($0): \(message)" } ?? message }
}
