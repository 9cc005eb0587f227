/// Why something on a connection did not work.
package struct AMQPFailure: Error, Hashable, CustomStringConvertible {
    /// What is lost with it.
    package enum Scope: Sendable, Hashable {
        /// The channel: it can be opened again on the same connection.
        case channel
        /// The connection.
        case connection
    }

    package let scope: Scope
    /// The broker's code (404, 406, ...); 0 if it was not the broker who said so.
    package let code: Int
    package let description: String

    init(_ scope: Scope, code: Int = 0, _ description: String) {
        self.scope = scope
        self.code = code
        self.description = description
    }
}
