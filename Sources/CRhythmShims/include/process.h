// Processes and locks: what the Glibc module does not show to Swift.
#ifndef RHYTHM_SHIMS_PROCESS_H
#define RHYTHM_SHIMS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/// Starts `path` with one argument in a session of its own: SIGTERM, SIGINT and SIGCHLD blocked, every disposition the
/// default, an empty environment, standard descriptors on /dev/null, all others closed.
/// Returns 0 and the process, which the caller has to wait for, or an errno.
int rhythm_spawn_supervisor(const char *path, const char *argument, pid_t *process);

/// Whether a child has ended; it is waited for then, and is gone when this returns true. True for what is no child.
bool rhythm_child_is_gone(pid_t process);

/// A descriptor that means one process for ever, even after its number went to another one. -1 with errno.
int rhythm_pidfd_open(pid_t process);

/// Sends a signal through such a descriptor. 0, or -1 with errno.
int rhythm_pidfd_send_signal(int descriptor, int number);

enum rhythm_lock { RHYTHM_LOCK_FREE, RHYTHM_LOCK_HELD, RHYTHM_LOCK_ABSENT, RHYTHM_LOCK_UNKNOWN };

/// Whether anybody holds the exclusive flock of a file. Takes a shared one for a moment to find out.
enum rhythm_lock rhythm_lock_probe(const char *path);

/// Creates the file if need be and takes its exclusive flock without waiting. A descriptor (close it to let go), or -1
/// with errno; EWOULDBLOCK if another holds it.
int rhythm_lock_take(const char *path);

#endif
