import CRhythmShims
import Dispatch
import Glibc

/// Starting supervisors and asking them to end what they run.
enum Supervisor {
    /// Starts one. It is a child of this process: ``watch(_:on:gone:)`` takes it in.
    static func spawn(_ program: String, directory: AttemptDirectory) throws(LocalRunnerError) -> pid_t {
        var pid: pid_t = 0
        let error = rhythm_spawn_supervisor(program, directory.path, &pid)
        guard error == 0 else {
            throw LocalRunnerError("cannot start \(program): \(String(cString: strerror(error)))")
        }
        return pid
    }

    /// Waits for a child without blocking: takes it in when it ends and then calls `gone`, on `lane`. Goes on after the
    /// runner was stopped, so that no process is left that nobody waits for.
    static func watch(_ child: pid_t, on lane: DispatchQueue, gone: @escaping @Sendable () -> Void) {
        let descriptor = rhythm_pidfd_open(child)
        guard descriptor >= 0 else {
            // No descriptor to spare: looks every second instead.
            lane.asyncAfter(deadline: .now() + .seconds(1)) {
                if rhythm_child_is_gone(child) { gone() } else { watch(child, on: lane, gone: gone) }
            }
            return
        }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: lane)
        // The handler keeps the source until it is cancelled.
        source.setEventHandler {
            guard rhythm_child_is_gone(child) else { return }
            source.cancel()
            gone()
        }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    /// Tells the supervisor of an attempt to revoke it; the wish has been put down before. A supervisor that is found
    /// neither as a child nor by the lock has not looked for the wish yet, or has nothing to revoke any more. The two
    /// may differ: after a crash in the wrong moment one is started beside another, and either may get the lock.
    static func revoke(_ directory: AttemptDirectory, child: pid_t?) {
        // Not waited for yet, so the number is its own.
        if let child { kill(child, SIGTERM) }
        guard let pid = directory.supervisor, pid > 1 else { return }
        let descriptor = rhythm_pidfd_open(pid)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // The lock is still held, so its holder, who wrote this number, was alive when the descriptor was made.
        guard case .supervised = directory.state() else { return }
        _ = rhythm_pidfd_send_signal(descriptor, SIGTERM)
    }
}
