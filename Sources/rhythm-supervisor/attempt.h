// One attempt, from the first look at `revoke` to the `outcome`.
#ifndef RHYTHM_SUPERVISOR_ATTEMPT_H
#define RHYTHM_SUPERVISOR_ATTEMPT_H

#include <stdbool.h>

// Runs the attempt of the working directory, which this process has claimed. False: its outcome can never be written.
bool attempt_run(const char *task_id);

#endif
