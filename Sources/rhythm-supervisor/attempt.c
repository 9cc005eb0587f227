#define _GNU_SOURCE
#include "attempt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "claim.h"
#include "clock.h"
#include "files.h"
#include "group.h"
#include "logs.h"
#include "notify.h"
#include "outcome.h"
#include "report.h"
#include "spec.h"
#include "task.h"

#define CHUNK_BYTES 65536
// After SIGKILL: how often to look for processes that slipped away, and for how long.
#define SWEEP_MS 20
#define SLOW_SWEEP_MS 1000
#define SWEEPING_MS_MAX 5000
#define RESULT_RETRY_MS 1000
// What a process that cannot be ended may still get into the log while the pipes are emptied.
#define DRAIN_BYTES_MAX (4 * 1024 * 1024)

enum phase {
    PHASE_RUNNING,  // the task's main process runs
    PHASE_ENDING,   // SIGTERM is out: after a revoke, or because the main process ended and left others
    PHASE_KILLING,  // the grace is over
    PHASE_OVER
};

static struct {
    const char *task_id;
    struct spec spec;
    struct task task;
    struct outcome outcome;
    struct logs logs;
    struct report report;
    struct tail errors;

    int signals;
    enum phase phase;
    bool leader_ended;
    bool children_left;
    int64_t grace_ends_ms;
    int64_t next_sweep_ms;

    char chunk[CHUNK_BYTES];         // of the logs
    char report_chunk[CHUNK_BYTES];  // of the report descriptor
    size_t report_waiting;           // bytes of it that had no room on the disk
    size_t report_offset;
    int64_t report_retry_ms;
} self;

static void close_descriptor(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

// MARK: Ending

static void begin_ending(void) {
    if (self.phase == PHASE_RUNNING) {
        self.phase = PHASE_ENDING;
        self.grace_ends_ms = clock_ms() + self.spec.grace_ms;
        group_signal(self.task.pid, !self.leader_ended, SIGTERM);
    }
}

static void leader_ended(const siginfo_t *info) {
    self.leader_ended = true;
    self.outcome.ended_us = clock_wall_us();
    if (info->si_code == CLD_EXITED) {
        self.outcome.exit_code = info->si_status;
    } else {
        self.outcome.signal = info->si_status;
    }
}

// Takes in every child that ended: the task, and orphans of it that fell to us.
static void reap(void) {
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
            if (errno == EINTR) {
                continue;
            }
            self.children_left = false;
            break;
        }
        if (info.si_pid == 0) {
            break;
        }
        if (info.si_pid == self.task.pid && !self.leader_ended) {
            leader_ended(&info);
        }
        waitpid(info.si_pid, NULL, WNOHANG);
    }
    if (self.leader_ended && !self.children_left) {
        self.phase = PHASE_OVER;
    } else if (self.leader_ended) {
        begin_ending();
    }
}

// What is due now that the clock says `now`.
static void advance(int64_t now) {
    if (self.phase == PHASE_ENDING && now >= self.grace_ends_ms) {
        self.phase = PHASE_KILLING;
        self.outcome.killed = true;
        self.next_sweep_ms = now;
    }
    if (self.phase != PHASE_KILLING || now < self.next_sweep_ms) {
        return;
    }
    size_t living = group_signal(self.task.pid, !self.leader_ended, SIGKILL);
    bool patient = now - self.grace_ends_ms < SWEEPING_MS_MAX;
    self.next_sweep_ms = now + (patient ? SWEEP_MS : SLOW_SWEEP_MS);
    // Other survivors are named in the outcome; but the attempt is not over while its main process lives.
    if (!patient && self.leader_ended) {
        self.outcome.survivors = living;
        self.phase = PHASE_OVER;
    }
}

// MARK: Events

static void read_signals(void) {
    struct signalfd_siginfo info;
    while (read(self.signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            self.outcome.revoked = true;
            begin_ending();
        }
    }
    reap();
}

static void read_status(void) {
    struct task_failure failure;
    ssize_t n = read(self.task.status, &failure, sizeof failure);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n == (ssize_t)sizeof failure) {
        self.outcome.exec_failed = true;
        self.outcome.failure = failure;
    } else {
        notify_send(self.spec.notify, self.task_id, NOTIFY_STARTED);
    }
    close_descriptor(&self.task.status);
}

// One chunk of standard output or error. The number of bytes, 0 when there is nothing (now or ever).
static size_t read_log(int *fd, struct tail *tail) {
    ssize_t n = read(*fd, self.chunk, sizeof self.chunk);
    if (n > 0) {
        logs_append(&self.logs, self.chunk, (size_t)n);
        if (tail != NULL) {
            tail_append(tail, self.chunk, (size_t)n);
        }
        return (size_t)n;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_descriptor(fd);
    }
    return 0;
}

// Offers what was read of the report once more. False: there is still no room for a result.
static bool feed_report(void) {
    size_t used = report_feed(&self.report, self.report_chunk + self.report_offset, self.report_waiting);
    self.report_offset += used;
    self.report_waiting -= used;
    self.report_retry_ms = clock_ms() + RESULT_RETRY_MS;
    return self.report_waiting == 0;
}

static size_t read_report(void) {
    ssize_t n = read(self.task.report, self.report_chunk, sizeof self.report_chunk);
    if (n > 0) {
        self.report_offset = 0;
        self.report_waiting = (size_t)n;
        feed_report();
        return (size_t)n;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_descriptor(&self.task.report);
    }
    return 0;
}

static void flush_report(void) {
    if (report_tick(&self.report, clock_ms(), false)) {
        notify_send(self.spec.notify, self.task_id, NOTIFY_REPORTED);
    }
}

static void earlier(int64_t *deadline, int64_t other) {
    if (other >= 0 && (*deadline < 0 || other < *deadline)) {
        *deadline = other;
    }
}

static int poll_timeout_ms(void) {
    int64_t deadline = report_deadline_ms(&self.report);
    if (self.phase == PHASE_ENDING) {
        earlier(&deadline, self.grace_ends_ms);
    } else if (self.phase == PHASE_KILLING) {
        earlier(&deadline, self.next_sweep_ms);
    }
    if (self.report_waiting > 0) {
        earlier(&deadline, self.report_retry_ms);
    }
    if (deadline < 0) {
        return -1;
    }
    int64_t left = deadline - clock_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void run_until_over(void) {
    while (self.phase != PHASE_OVER) {
        struct pollfd polled[] = {
            {.fd = self.signals, .events = POLLIN},
            {.fd = self.task.status, .events = POLLIN},
            {.fd = self.task.out, .events = POLLIN},
            {.fd = self.task.err, .events = POLLIN},
            {.fd = self.report_waiting == 0 ? self.task.report : -1, .events = POLLIN},
        };
        if (poll(polled, sizeof polled / sizeof polled[0], poll_timeout_ms()) < 0 && errno != EINTR) {
            // Out of kernel memory: the next round may do better.
            clock_sleep_ms(SWEEP_MS);
            continue;
        }
        if (polled[1].revents != 0) {
            read_status();
        }
        if (polled[2].revents != 0) {
            read_log(&self.task.out, NULL);
        }
        if (polled[3].revents != 0) {
            read_log(&self.task.err, &self.errors);
        }
        if (polled[4].revents != 0) {
            read_report();
        } else if (self.report_waiting > 0 && clock_ms() >= self.report_retry_ms) {
            feed_report();
        }
        if (polled[0].revents != 0) {
            read_signals();
        }
        advance(clock_ms());
        flush_report();
    }
}

// MARK: The end

// What is left in the pipes. Only a process that could not be ended can still write to them, hence the bound.
static void drain(void) {
    if (self.task.status >= 0) {
        read_status();
    }
    size_t left = DRAIN_BYTES_MAX;
    while (self.task.out >= 0 && left > 0) {
        size_t n = read_log(&self.task.out, NULL);
        left -= n < left ? n : left;
        if (n == 0) {
            break;
        }
    }
    left = DRAIN_BYTES_MAX;
    while (self.task.err >= 0 && left > 0) {
        size_t n = read_log(&self.task.err, &self.errors);
        left -= n < left ? n : left;
        if (n == 0) {
            break;
        }
    }
    logs_close(&self.logs);
}

// The rest of the report. A success waits for as long as its result has no room on the disk: a finished step must not
// be lost for want of space. Any other end has no use for a result.
static void drain_report(void) {
    bool worth_waiting = outcome_is_success(&self.outcome);
    while (self.report_waiting > 0 && !feed_report() && worth_waiting) {
        clock_sleep_ms(RESULT_RETRY_MS);
    }
    size_t left = DRAIN_BYTES_MAX;
    while (self.task.report >= 0 && left > 0 && self.report_waiting == 0) {
        size_t n = read_report();
        if (n == 0) {
            break;
        }
        left -= n < left ? n : left;
        while (self.report_waiting > 0 && worth_waiting && !feed_report()) {
            clock_sleep_ms(RESULT_RETRY_MS);
        }
    }
    while (!report_finish(&self.report) && worth_waiting) {
        clock_sleep_ms(RESULT_RETRY_MS);
    }
    // Whoever hears of the end reads this too: no message of its own.
    (void)report_tick(&self.report, clock_ms(), true);
}

static bool conclude(void) {
    if (self.outcome.ran) {
        drain();
        drain_report();
        self.outcome.result = self.report.result;
        self.outcome.lines_ignored = self.report.ignored;
        self.outcome.log_dropped = self.logs.dropped;
        if (!outcome_is_success(&self.outcome) && self.errors.total > 0) {
            size_t size = tail_copy(&self.errors, self.chunk);
            // Only decoration of the message: a full disk may have it.
            (void)files_replace("stderr_tail", self.chunk, size, false);
        }
    }
    if (self.outcome.ended_us == 0) {
        self.outcome.ended_us = clock_wall_us();
    }
    bool written = outcome_write(&self.outcome);
    if (written) {
        notify_send(self.spec.notify, self.task_id, NOTIFY_ENDED);
    }
    return written;
}

// MARK: The beginning

static bool open_signals(void) {
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGCHLD);
    self.signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    return self.signals >= 0;
}

// A revoke that was wished for before there was anything to end.
static bool revoked_already(void) {
    sigset_t pending;
    return access("revoke", F_OK) == 0 ||
           (sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT)));
}

// Nothing ran; errno says why, and `detail` where there is more to say.
static bool conclude_unstarted(const char *detail) {
    self.outcome.exec_failed = true;
    self.outcome.detail = detail;
    self.outcome.failure = (struct task_failure){.stage = STAGE_SETUP, .error = errno};
    return conclude();
}

bool attempt_run(const char *task_id) {
    self.task_id = task_id;
    self.outcome.exit_code = -1;
    const char *wrong = spec_read(&self.spec, "spec");
    if (wrong != NULL || !open_signals() || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return conclude_unstarted(wrong);
    }
    if (revoked_already()) {
        self.outcome.revoked = true;
        return conclude();
    }
    self.outcome.started_us = clock_wall_us();
    if (task_fork(&self.task, &self.spec) != 0) {
        return conclude_unstarted(NULL);
    }
    self.children_left = true;
    if (!claim_name_task(self.task.pid, self.outcome.started_us)) {
        // Nobody could ever find this group again: the child ends without having become the task.
        int why = errno;
        close_descriptor(&self.task.go);
        waitpid(self.task.pid, NULL, 0);
        errno = why;
        return conclude_unstarted("the started file cannot be written");
    }
    self.outcome.ran = true;
    logs_open(&self.logs, self.spec.log_limit);
    report_open(&self.report, self.spec.result_limit);
    task_go(&self.task);
    run_until_over();
    return conclude();
}
