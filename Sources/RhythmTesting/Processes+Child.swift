package import Glibc
import Synchronization

extension Processes {
    /// A program that a test started. Any thread.
    package final class Child: Sendable {
        /// How a program ended.
        package enum End: Sendable, Hashable {
            case exited(Int32)
            case signaled(Int32)
        }

        /// Its number; its own until ``end(within:)`` or ``poll()`` has said how it ended.
        package let pid: pid_t
        private let known = Mutex<End?>(nil)

        /// Starts a program in a process group of its own, with standard output and error appended to a file.
        ///
        /// - Parameter environment: all of its environment.
        package init(
            _ program: String, _ arguments: [String], environment: [String: String], output: String
        ) throws {
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
            // Those that are not open are passed over.
            for descriptor in Int32(3)..<256 { posix_spawn_file_actions_addclose(&actions, descriptor) }
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            var none = sigset_t()
            var every = sigset_t()
            sigemptyset(&none)
            sigfillset(&every)
            posix_spawnattr_setsigmask(&attributes, &none)
            posix_spawnattr_setsigdefault(&attributes, &every)
            posix_spawnattr_setflags(
                &attributes,
                Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
            // SAFETY: the copies of strdup end with NUL, live until the spawn has copied them, and are freed once.
            let words = ([program] + arguments).map { strdup($0) }
            let variables = environment.map { strdup("\($0.key)=\($0.value)") }
            defer { for copy in words + variables { free(copy) } }
            var child: pid_t = 0
            let code = posix_spawn(&child, program, &actions, &attributes, words + [nil], variables + [nil])
            guard code == 0 else { throw CannotStart(description: "\(program): \(String(cString: strerror(code)))") }
            pid = child
        }

        /// How it ended; nil while it runs.
        package func poll() -> End? {
            known.withLock { known in
                if known == nil {
                    var status: Int32 = 0
                    if waitpid(pid, &status, WNOHANG) == pid {
                        known = status & 0x7F == 0 ? .exited((status >> 8) & 0xFF) : .signaled(status & 0x7F)
                    }
                }
                return known
            }
        }

        /// Sends a signal, unless it is known to have ended.
        package func signal(_ number: Int32) {
            known.withLock { known in if known == nil { kill(pid, number) } }
        }

        /// How it ended; nil if it still runs after `seconds`.
        package func end(within seconds: Double) async throws -> End? {
            let deadline = ContinuousClock.now + .seconds(seconds)
            while poll() == nil, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(2)) }
            return poll()
        }
    }

    /// A program could not be started.
    package struct CannotStart: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }
}
