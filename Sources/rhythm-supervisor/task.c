#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"

// Above everything that the child moves its descriptors to.
#define SAFE_DESCRIPTOR 10
#define REPORT_DESCRIPTOR 3
#define BUSY_RETRIES 100
#define BUSY_RETRY_MS 20

// Both ends of every pipe; [0] is read, [1] is written.
struct pipes {
    int go[2];
    int status[2];
    int out[2];
    int err[2];
    int report[2];
};

#define PIPE_COUNT (sizeof(struct pipes) / sizeof(int[2]))

static void close_pipes(struct pipes *pipes) {
    int *ends = (int *)pipes;
    for (size_t i = 0; i < PIPE_COUNT * 2; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
        }
    }
}

static int open_pipes(struct pipes *pipes) {
    int *ends = (int *)pipes;
    for (size_t i = 0; i < PIPE_COUNT * 2; i++) {
        ends[i] = -1;
    }
    for (size_t i = 0; i < PIPE_COUNT; i++) {
        if (pipe2(ends + 2 * i, O_CLOEXEC) != 0) {
            return -1;
        }
    }
    const int polled[] = {pipes->status[0], pipes->out[0], pipes->err[0], pipes->report[0]};
    for (size_t i = 0; i < sizeof polled / sizeof polled[0]; i++) {
        if (fcntl(polled[i], F_SETFL, O_NONBLOCK) != 0) {
            return -1;
        }
    }
    return 0;
}

static _Noreturn void child_fails(int status, enum task_stage stage) {
    struct task_failure failure = {.stage = stage, .error = errno};
    // If this cannot be written either, exit code 127 is what is left to say.
    (void)!write(status, &failure, sizeof failure);
    _exit(127);
}

// The task starts with the dispositions of a login shell, whatever the server ignores.
static void reset_signals(void) {
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// The supervisor lowered its own; the task is no more precious than any other process.
static void reset_oom_score(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "0", 1);
        close(fd);
    }
}

static _Noreturn void child_runs(const struct pipes *pipes, const struct spec *spec, pid_t supervisor) {
    int status = fcntl(pipes->status[1], F_DUPFD_CLOEXEC, SAFE_DESCRIPTOR);
    if (status < 0) {
        child_fails(pipes->status[1], STAGE_SETUP);
    }
    // Should the supervisor be killed, its task ends with it: nobody would ever read what it reports.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != supervisor || setsid() < 0) {
        child_fails(status, STAGE_SETUP);
    }
    close(pipes->go[1]);
    char go = 0;
    ssize_t n;
    while ((n = read(pipes->go[0], &go, 1)) < 0 && errno == EINTR) {
    }
    if (n != 1) {
        _exit(127);
    }
    reset_oom_score();
    int in = open("invocation", O_RDONLY | O_CLOEXEC);
    const int sources[] = {in, pipes->out[1], pipes->err[1], pipes->report[1]};
    int moved[REPORT_DESCRIPTOR + 1];
    for (int i = 0; i <= REPORT_DESCRIPTOR; i++) {
        if (sources[i] < 0 || (moved[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, SAFE_DESCRIPTOR)) < 0) {
            child_fails(status, STAGE_SETUP);
        }
    }
    for (int i = 0; i <= REPORT_DESCRIPTOR; i++) {
        if (dup2(moved[i], i) != i) {
            child_fails(status, STAGE_SETUP);
        }
    }
    if (chdir(spec->cwd) != 0) {
        child_fails(status, STAGE_CHDIR);
    }
    reset_signals();
    char *const arguments[] = {(char *)spec->exec, NULL};
    // Busy: somebody still has the file open for writing. It is being installed, or some process that was just forked
    // has not closed what it inherited; either is over in a moment.
    for (int retries = BUSY_RETRIES; retries >= 0; retries--) {
        execve(spec->exec, arguments, spec->env);
        if (errno != ETXTBSY) {
            break;
        }
        clock_sleep_ms(BUSY_RETRY_MS);
        errno = ETXTBSY;
    }
    child_fails(status, STAGE_EXEC);
}

int task_fork(struct task *task, const struct spec *spec) {
    struct pipes pipes;
    pid_t supervisor = getpid();
    pid_t pid = open_pipes(&pipes) == 0 ? fork() : -1;
    if (pid < 0) {
        int why = errno;
        close_pipes(&pipes);
        errno = why;
        return -1;
    }
    if (pid == 0) {
        child_runs(&pipes, spec, supervisor);
    }
    *task = (struct task){.pid = pid,
                          .go = pipes.go[1],
                          .status = pipes.status[0],
                          .out = pipes.out[0],
                          .err = pipes.err[0],
                          .report = pipes.report[0]};
    pipes.go[1] = pipes.status[0] = pipes.out[0] = pipes.err[0] = pipes.report[0] = -1;
    close_pipes(&pipes);
    return 0;
}

void task_go(struct task *task) {
    // SIGPIPE is ignored: a child that is gone already shows as an ended task.
    (void)!write(task->go, "g", 1);
    close(task->go);
    task->go = -1;
}

const char *task_stage_name(enum task_stage stage) {
    switch (stage) {
    case STAGE_SETUP:
        return "setup";
    case STAGE_CHDIR:
        return "chdir";
    case STAGE_EXEC:
        return "exec";
    }
    return "setup";
}
