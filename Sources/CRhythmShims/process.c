#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int describe_spawn(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes) {
    int error = 0;
    for (int fd = 0; fd <= 2 && error == 0; fd++) {
        error = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
    }
    if (error == 0) {
        error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    }
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGCHLD);
    sigset_t every;
    sigfillset(&every);
    if (error == 0) {
        error = posix_spawnattr_setsigmask(attributes, &blocked);
    }
    if (error == 0) {
        error = posix_spawnattr_setsigdefault(attributes, &every);
    }
    if (error == 0) {
        error = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    return error;
}

int rhythm_spawn_supervisor(const char *path, const char *argument, pid_t *process) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = describe_spawn(&actions, &attributes);
    if (error == 0) {
        char *const arguments[] = {"rhythm-supervisor", (char *)argument, NULL};
        char *const environment[] = {NULL};
        error = posix_spawn(process, path, &actions, &attributes, arguments, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool rhythm_child_is_gone(pid_t process) {
    pid_t result;
    while ((result = waitpid(process, NULL, WNOHANG)) < 0 && errno == EINTR) {
    }
    return result != 0;
}

int rhythm_pidfd_open(pid_t process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}

int rhythm_pidfd_send_signal(int descriptor, int number) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, number, NULL, 0);
}

enum rhythm_lock rhythm_lock_probe(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? RHYTHM_LOCK_ABSENT : RHYTHM_LOCK_UNKNOWN;
    }
    enum rhythm_lock state = RHYTHM_LOCK_FREE;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        state = errno == EWOULDBLOCK ? RHYTHM_LOCK_HELD : RHYTHM_LOCK_UNKNOWN;
    }
    close(fd);
    return state;
}

int rhythm_lock_take(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}
