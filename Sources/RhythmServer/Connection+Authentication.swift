import Logging
import RhythmAuth
import RhythmCore
import RhythmWire

/// What becomes of a peer whose credentials are wrong, or not good any more.
extension Connection {
    /// The credentials are wrong. The peer is told so after a time that grows with its failures, and then hung up on;
    /// nothing more is read from it.
    func turnAway(_ error: RhythmError) {
        if let frameTimer { server.timers.cancel(frameTimer) }
        frameTimer = nil
        readIsOver = true
        askPoller()
        switch server.failures.fail(address, at: LaneTimers.now()) {
        case .hangUp:
            logFailure(error)
            close()
        case .answer(let delay):
            phase = .turnedAway
            logFailure(error)
            frameTimer = server.schedule(after: delay, for: self) {
                $0.send(.status(error), call: 0)
                $0.hangUp(error.reason, error.message)
            }
        }
    }

    /// Not every failure: an attacker must not be able to fill the disk.
    func logFailure(_ error: RhythmError) {
        let count = server.failures.failures(of: address)
        guard count.nonzeroBitCount == 1 else { return }
        server.logger.warning(
            "authentication failed",
            metadata: [
                "peer": "\(peer)", "reason": "\(error.reason)", "failures": "\(count)",
                "failures_of_all": "\(server.failures.total)",
            ])
    }

    /// What let the peer in does so no more, or with other rights: it has to come again.
    func credentialsEnded() {
        guard phase == .ready || phase == .leaving else { return }
        server.logOfPeers("credentials ended", ["peer": "\(peer)", "caller": "\(caller.description)"])
        hangUp("CREDENTIALS_CHANGED", "the credentials of this connection were changed or revoked; connect again")
    }
}
