// The last word on an attempt: the file `outcome`.
#ifndef RHYTHM_SUPERVISOR_OUTCOME_H
#define RHYTHM_SUPERVISOR_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "task.h"

struct outcome {
    bool ran;         // a child was forked
    bool revoked;     // the supervisor was asked to end the task
    bool exec_failed;
    struct task_failure failure;
    const char *detail;  // more about the failure, or NULL
    int exit_code;    // -1: did not exit
    int signal;       // 0: no signal ended it
    int64_t started_us;
    int64_t ended_us;
    enum result_state result;
    int64_t lines_ignored;
    int64_t log_dropped;
    size_t survivors;
    bool killed;      // SIGKILL was needed
};

// True for exit code 0: that is a success even if a revoke was on its way.
bool outcome_is_success(const struct outcome *outcome);

// Writes the file and waits until it is on the disk, trying for as long as there is no room.
// False: it can never be written, because the directory is gone.
bool outcome_write(const struct outcome *outcome);

#endif
