#define _GNU_SOURCE
#include "outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"

#define RETRY_MS 1000

bool outcome_is_success(const struct outcome *outcome) {
    return outcome->ran && !outcome->exec_failed && outcome->exit_code == 0;
}

static const char *kind_of(const struct outcome *outcome) {
    if (outcome_is_success(outcome)) {
        return "exited";
    }
    if (outcome->revoked) {
        return "revoked";
    }
    if (outcome->exec_failed) {
        return "exec_failed";
    }
    return outcome->signal != 0 ? "signaled" : "exited";
}

static const char *result_name(enum result_state state) {
    switch (state) {
    case RESULT_NONE:
        return "0";
    case RESULT_WRITTEN:
        return "1";
    case RESULT_TOO_LARGE:
        return "too_large";
    case RESULT_IO_ERROR:
        return "io_error";
    }
    return "0";
}

static int format(const struct outcome *outcome, char *into, size_t capacity) {
    char ending[256] = "";
    if (outcome->exec_failed) {
        snprintf(ending, sizeof ending, "stage=%s\nerrno=%d\nerror=%s%s%s\n", task_stage_name(outcome->failure.stage),
                 outcome->failure.error, outcome->detail != NULL ? outcome->detail : "",
                 outcome->detail != NULL ? ": " : "", strerror(outcome->failure.error));
    } else if (outcome->ran && outcome->signal != 0) {
        snprintf(ending, sizeof ending, "signal=%d\n", outcome->signal);
    } else if (outcome->ran) {
        snprintf(ending, sizeof ending, "exit=%d\n", outcome->exit_code);
    }
    // `asked` tells a revoke by the server from a signal that came from anywhere else, a shutdown for example.
    return snprintf(into, capacity,
                    "kind=%s\n%sran=%d\nasked=%d\nstarted_us=%" PRId64 "\nended_us=%" PRId64
                    "\nresult=%s\nlines_ignored=%" PRId64 "\nlog_dropped=%" PRId64 "\nsurvivors=%zu\nkilled=%d\n",
                    kind_of(outcome), ending, outcome->ran, access("revoke", F_OK) == 0, outcome->started_us,
                    outcome->ended_us, result_name(outcome->result), outcome->lines_ignored, outcome->log_dropped,
                    outcome->survivors, outcome->killed);
}

// The result was written without waiting for the disk; an outcome must not survive a power failure without it.
static int sync_result(const struct outcome *outcome) {
    if (outcome->result != RESULT_WRITTEN) {
        return 0;
    }
    int fd = open("result", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        // Somebody took it away; the server will say so.
        return errno == ENOENT ? 0 : -1;
    }
    int result = fsync(fd);
    close(fd);
    return result;
}

bool outcome_write(const struct outcome *outcome) {
    char text[1024];
    int length = format(outcome, text, sizeof text);
    if (length < 0 || (size_t)length >= sizeof text) {
        return false;
    }
    while (sync_result(outcome) != 0 || files_replace("outcome", text, (size_t)length, true) != 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ESTALE) {
            return false;
        }
        clock_sleep_ms(RETRY_MS);
    }
    return true;
}
