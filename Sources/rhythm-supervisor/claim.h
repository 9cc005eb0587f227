// Claiming an attempt: one living supervisor at most, and one run ever.
#ifndef RHYTHM_SUPERVISOR_CLAIM_H
#define RHYTHM_SUPERVISOR_CLAIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum claim { CLAIM_TAKEN, CLAIM_BUSY, CLAIM_RAN_BEFORE, CLAIM_FAILED };

// Takes the lock (for the rest of this process's life: its descriptor is never closed) and then creates `started`.
enum claim claim_attempt(void);

// Fills `started`, so that a server knows since when the task runs and, should it find the supervisor dead, which group
// to look for.
// False with errno if it cannot be written: then nothing may be started.
bool claim_name_task(pid_t leader, int64_t started_us);

#endif
