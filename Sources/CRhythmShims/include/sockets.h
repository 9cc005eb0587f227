// Sockets: what the Glibc module does not show to Swift, or shows in a form that is easy to get wrong.
#ifndef RHYTHM_SHIMS_SOCKETS_H
#define RHYTHM_SHIMS_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

/// Accepts one connection, non-blocking and close-on-exec from the start (a child that is spawned meanwhile must not
/// inherit it), and writes the peer's address as text into `peer`. A descriptor, or -1 with errno.
int rhythm_accept(int listener, char *peer, size_t peer_size);

/// The user at the other end of a connected unix socket, as the kernel knows him. 0, or -1 with errno.
int rhythm_peer_uid(int descriptor, uint32_t *uid);

/// A non-blocking TCP listener. `host` is a numeric address or a name. On success a descriptor, and the port it got in
/// `bound_port`; else -1 with `error` saying why.
int rhythm_listen_tcp(const char *host, uint16_t port, int backlog, uint16_t *bound_port, char *error, size_t size);

/// A non-blocking unix listener whose file has this mode. A socket that nobody listens on is replaced; anything else is not.
/// A descriptor, or -1 with `error` saying why.
int rhythm_listen_unix(const char *path, unsigned mode, int backlog, char *error, size_t size);

/// Connects, blocking for at most `timeout_ms`; the descriptor that comes back is non-blocking. -1 with `error`.
int rhythm_connect_tcp(const char *host, uint16_t port, int timeout_ms, char *error, size_t size);

/// The same for a unix socket.
int rhythm_connect_unix(const char *path, int timeout_ms, char *error, size_t size);

/// Whether `host` (a numeric address or a name) means only this machine.
int rhythm_is_loopback(const char *host);

#endif
