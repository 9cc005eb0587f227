// epoll: what the Glibc module does not show to Swift, or shows in a form that is easy to get wrong.
#ifndef RHYTHM_SHIMS_POLLING_H
#define RHYTHM_SHIMS_POLLING_H

#include <stdbool.h>
#include <stdint.h>

/// A socket about which there is something to know.
struct rhythm_ready {
    /// Who it is, as it was said when it was added.
    uint64_t id;
    bool readable;
    bool writable;
    /// Nothing can be sent any more; what came before that can still be read. Said again and again until it is closed.
    bool gone;
};

/// A set of sockets to be waited for: a descriptor, or -1 with errno.
int rhythm_poller_make(void);

/// Adds a socket (`is_new`), or changes what is asked about one. The answers repeat as long as they are true. 0, or -1
/// with errno.
int rhythm_poller_ask(int poller, int descriptor, uint64_t id, bool read, bool write, bool is_new);

/// Forgets a socket. Call it before closing the descriptor: a child that was just forked may still hold it.
void rhythm_poller_forget(int poller, int descriptor);

/// A descriptor that rings: one that is added to no poller but this, under this id. -1 with errno.
int rhythm_poller_add_bell(int poller, uint64_t id);

/// Makes a wait on the bell's poller end, from any thread.
void rhythm_bell_ring(int bell);

/// Waits until there is something to know, at most so long. How many were written to `ready`; 0 also if a signal came.
int rhythm_poller_wait(int poller, struct rhythm_ready *ready, int capacity, int64_t nanoseconds);

#endif
