// rhythm-supervisor ATTEMPT_DIR: runs one attempt of one step and outlives the server that started it.
//
// Everything it is told and everything it finds out is a file in the attempt directory, so that any server, now or
// after a crash, can read it. It holds the lock of the directory for as long as it lives, and the last file it writes
// is `outcome`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "attempt.h"
#include "claim.h"
#include "files.h"

enum exit_code { EXIT_DONE = 0, EXIT_USAGE = 2, EXIT_RAN_BEFORE = 3, EXIT_UNCLAIMED = 4, EXIT_UNTOLD = 5 };

// Descriptors 0 to 2 exist, and nothing of the server's leaks into the task.
static bool set_up_descriptors(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);
    return fd >= 0 && close_range(3, ~0U, 0) == 0;
}

// Signals are read, not caught: nothing ever runs at a bad moment.
static bool set_up_signals(void) {
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGCHLD);
    return sigprocmask(SIG_SETMASK, &ours, NULL) == 0 && signal(SIGCHLD, SIG_DFL) != SIG_ERR &&
           signal(SIGPIPE, SIG_IGN) != SIG_ERR && signal(SIGHUP, SIG_IGN) != SIG_ERR;
}

// Where the system allows it, the task goes before the process that could tell why.
static void lower_oom_score(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)files_write_all(fd, "-500", 4, NULL);
        close(fd);
    }
}

// The last component of the path: the task id.
static const char *base_name(char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        path[--length] = '\0';
    }
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: rhythm-supervisor ATTEMPT_DIR\n");
        return EXIT_USAGE;
    }
    if (!set_up_descriptors() || !set_up_signals() || chdir(arguments[1]) != 0) {
        return EXIT_UNCLAIMED;
    }
    lower_oom_score();
    switch (claim_attempt()) {
    case CLAIM_TAKEN:
        break;
    case CLAIM_RAN_BEFORE:
        return EXIT_RAN_BEFORE;
    case CLAIM_BUSY:
    case CLAIM_FAILED:
        return EXIT_UNCLAIMED;
    }
    return attempt_run(base_name(arguments[1])) ? EXIT_DONE : EXIT_UNTOLD;
}
