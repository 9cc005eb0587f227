package import Logging

/// What connections to the broker have in common. The defaults suit a server in the same data centre.
package struct AMQPSettings: Sendable {
    /// The name that `rabbitmqctl list_connections` shows.
    package var clientName = "rhythmd"
    /// How long one try to connect may take, TLS and login included twice over.
    package var connectTimeout: Duration = .seconds(5)
    /// How long the broker may take to answer a declaration or the like.
    package var callTimeout: Duration = .seconds(10)
    /// The pause after the first failure; it doubles with each further one, up to ``lastRetry``, with jitter.
    package var firstRetry: Duration = .milliseconds(100)
    package var lastRetry: Duration = .seconds(10)
    /// How long a message waits for a connection unless it says otherwise.
    package var patience: Duration = .seconds(10)
    /// Messages on their way to the broker without its word yet; more wait on our side, where they are not undecided.
    package var window = 1000
    package var logger: Logger

    package init(logger: Logger = Logger(label: "rhythm.amqp")) { self.logger = logger }
}
