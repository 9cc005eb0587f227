/// What a connection is for. Made on the connection's thread and confined to it.
protocol ConnectionRole: AnyObject {
    /// There is a new connection with a new channel: prepares it.
    func opened(_ session: Session) throws(AMQPFailure)
    /// Does what has been asked for since: after every wake-up and whenever something has arrived.
    func work(_ session: Session) throws(AMQPFailure)
    func received(_ incoming: Incoming, _ session: Session) throws(AMQPFailure)
    /// There is more to do than the last ``work(_:)`` did.
    var hasWork: Bool { get }
    /// Nothing is on its way any more: closing loses nothing.
    var isSettled: Bool { get }
    /// The connection is gone.
    func lost(_ failure: AMQPFailure)
    /// Gives up what has waited for a connection for too long. Says when it has to be called again.
    func expire(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant?
    /// Answers everything that is still open: there will be no further connection.
    func closed()
}
