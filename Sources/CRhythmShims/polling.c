#define _GNU_SOURCE
#include "polling.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int rhythm_poller_make(void) { return epoll_create1(EPOLL_CLOEXEC); }

int rhythm_poller_ask(int poller, int descriptor, uint64_t id, bool read, bool write, bool is_new) {
    struct epoll_event event = {.data.u64 = id};
    if (read) event.events |= EPOLLIN | EPOLLRDHUP;
    if (write) event.events |= EPOLLOUT;
    return epoll_ctl(poller, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

void rhythm_poller_forget(int poller, int descriptor) {
    int saved = errno;
    struct epoll_event unused = {0};
    epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, &unused);
    errno = saved;
}

int rhythm_poller_add_bell(int poller, uint64_t id) {
    int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell < 0) return -1;
    // Each ring is told once, so nobody has to read what was written.
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = id};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, bell, &event) == 0) return bell;
    int saved = errno;
    close(bell);
    errno = saved;
    return -1;
}

void rhythm_bell_ring(int bell) {
    int saved = errno;
    eventfd_write(bell, 1);
    errno = saved;
}

static int wait_for(int poller, struct epoll_event *events, int capacity, int64_t nanoseconds) {
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = epoll_pwait2(poller, events, capacity, &limit, NULL);
    // Kernels before 5.11 know whole milliseconds only, and so do sandboxes that are older: they do not permit the call.
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) count = epoll_wait(poller, events, capacity, (int)(nanoseconds / 1000000));
    return count;
}

int rhythm_poller_wait(int poller, struct rhythm_ready *ready, int capacity, int64_t nanoseconds) {
    struct epoll_event events[128];
    if (capacity > 128) capacity = 128;
    int count = wait_for(poller, events, capacity, nanoseconds);
    for (int i = 0; i < count; i++) {
        uint32_t what = events[i].events;
        bool gone = what & (EPOLLHUP | EPOLLERR);
        ready[i] = (struct rhythm_ready){
            .id = events[i].data.u64,
            .readable = gone || (what & (EPOLLIN | EPOLLRDHUP)),
            .writable = what & EPOLLOUT,
            .gone = gone,
        };
    }
    return count > 0 ? count : 0;
}
