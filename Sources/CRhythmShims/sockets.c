#define _GNU_SOURCE
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(char *error, size_t size, const char *what, const char *why) {
    snprintf(error, size, "%s: %s", what, why);
    return -1;
}

static int fail_closing(int descriptor, char *error, size_t size, const char *what) {
    int saved = errno;
    if (descriptor >= 0) close(descriptor);
    errno = saved;
    return fail(error, size, what, strerror(saved));
}

static void without_delay(int descriptor) {
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int rhythm_accept(int listener, char *peer, size_t peer_size) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int descriptor = accept4(listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return -1;
    char host[NI_MAXHOST], service[NI_MAXSERV];
    if (address.ss_family == AF_UNIX) {
        snprintf(peer, peer_size, "unix");
    } else if (getnameinfo((struct sockaddr *)&address, length, host, sizeof host, service, sizeof service,
                           NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        without_delay(descriptor);
        snprintf(peer, peer_size, "%s:%s", host, service);
    } else {
        snprintf(peer, peer_size, "?");
    }
    return descriptor;
}

int rhythm_peer_uid(int descriptor, uint32_t *uid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    *uid = credentials.uid;
    return 0;
}

static struct addrinfo *resolve(const char *host, uint16_t port, int flags, char *error, size_t size) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV}, *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(host, service, &hints, &found);
    if (code == 0) return found;
    fail(error, size, host, gai_strerror(code));
    return NULL;
}

int rhythm_listen_tcp(const char *host, uint16_t port, int backlog, uint16_t *bound_port, char *error, size_t size) {
    struct addrinfo *found = resolve(host, port, AI_PASSIVE, error, size);
    if (!found) return -1;
    int descriptor = -1, one = 1;
    for (struct addrinfo *each = found; each; each = each->ai_next) {
        descriptor = socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (descriptor < 0) continue;
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (each->ai_family == AF_INET6) setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
        if (bind(descriptor, each->ai_addr, each->ai_addrlen) == 0 && listen(descriptor, backlog) == 0) break;
        int saved = errno;
        close(descriptor);
        errno = saved;
        descriptor = -1;
    }
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    if (descriptor < 0) return fail(error, size, "cannot listen", strerror(errno));
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(descriptor, (struct sockaddr *)&address, &length) != 0)
        return fail_closing(descriptor, error, size, "getsockname");
    *bound_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                      : ((struct sockaddr_in *)&address)->sin_port);
    return descriptor;
}

static int unix_address(const char *path, struct sockaddr_un *address, char *error, size_t size) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path)
        return fail(error, size, path, "a unix socket's path may have at most 107 bytes");
    strcpy(address->sun_path, path);
    return 0;
}

int rhythm_listen_unix(const char *path, unsigned mode, int backlog, char *error, size_t size) {
    struct sockaddr_un address;
    if (unix_address(path, &address, error, size) != 0) return -1;
    struct stat status;
    if (lstat(path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) return fail(error, size, path, "exists and is not a socket");
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe < 0) return fail(error, size, path, strerror(errno));
        int connected = connect(probe, (struct sockaddr *)&address, sizeof address) == 0;
        int why = errno;
        close(probe);
        if (connected) return fail(error, size, path, "another server listens on it");
        if (why != ECONNREFUSED) return fail(error, size, path, strerror(why));
        if (unlink(path) != 0) return fail(error, size, path, strerror(errno));
    }
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return fail(error, size, path, strerror(errno));
    // The mode of the socket file is the one of the descriptor at the time of bind, less the umask.
    if (fchmod(descriptor, mode) != 0 || bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, mode) != 0 || listen(descriptor, backlog) != 0)
        return fail_closing(descriptor, error, size, path);
    return descriptor;
}

static int finish_connect(int descriptor, const struct sockaddr *address, socklen_t length, int timeout_ms) {
    if (connect(descriptor, address, length) == 0) return 0;
    if (errno != EINPROGRESS && errno != EAGAIN) return -1;
    struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
    int ready;
    do ready = poll(&wait, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    int code = 0;
    socklen_t size = sizeof code;
    if (ready < 0 || getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) != 0) return -1;
    errno = code;
    return code == 0 ? 0 : -1;
}

int rhythm_connect_tcp(const char *host, uint16_t port, int timeout_ms, char *error, size_t size) {
    struct addrinfo *found = resolve(host, port, 0, error, size);
    if (!found) return -1;
    int descriptor = -1;
    for (struct addrinfo *each = found; each; each = each->ai_next) {
        descriptor = socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (descriptor < 0) continue;
        if (finish_connect(descriptor, each->ai_addr, each->ai_addrlen, timeout_ms) == 0) break;
        int saved = errno;
        close(descriptor);
        errno = saved;
        descriptor = -1;
    }
    int saved = errno;
    freeaddrinfo(found);
    if (descriptor < 0) return fail(error, size, "cannot connect", strerror(saved));
    without_delay(descriptor);
    return descriptor;
}

int rhythm_connect_unix(const char *path, int timeout_ms, char *error, size_t size) {
    struct sockaddr_un address;
    if (unix_address(path, &address, error, size) != 0) return -1;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return fail(error, size, path, strerror(errno));
    if (finish_connect(descriptor, (struct sockaddr *)&address, sizeof address, timeout_ms) != 0)
        return fail_closing(descriptor, error, size, "cannot connect");
    return descriptor;
}

int rhythm_is_loopback(const char *host) {
    char ignored[128];
    struct addrinfo *found = resolve(host, 0, 0, ignored, sizeof ignored);
    int all = found != NULL;
    for (struct addrinfo *each = found; each && all; each = each->ai_next) {
        if (each->ai_family == AF_INET)
            all = (ntohl(((struct sockaddr_in *)each->ai_addr)->sin_addr.s_addr) >> 24) == 127;
        else if (each->ai_family == AF_INET6)
            all = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr);
        else
            all = 0;
    }
    if (found) freeaddrinfo(found);
    return all;
}
