// Starting the task: its session, its descriptors, and the proof that it runs.
#ifndef RHYTHM_SUPERVISOR_TASK_H
#define RHYTHM_SUPERVISOR_TASK_H

#include <sys/types.h>

#include "spec.h"

enum task_stage { STAGE_SETUP, STAGE_CHDIR, STAGE_EXEC };

// What the child says through the status pipe when it cannot become the task.
struct task_failure {
    enum task_stage stage;
    int error;
};

struct task {
    pid_t pid;
    int go;      // one byte written here lets the child go on to exec; closed without one, it ends
    int status;  // a struct task_failure, or just its end once exec worked
    int out;
    int err;
    int report;
};

// Forks the child, which waits for task_go. 0, or -1 with errno and nothing left behind.
// All descriptors of `task` are close-on-exec; those to be read are non-blocking.
int task_fork(struct task *task, const struct spec *spec);

// Lets the child exec.
void task_go(struct task *task);

const char *task_stage_name(enum task_stage stage);

#endif
