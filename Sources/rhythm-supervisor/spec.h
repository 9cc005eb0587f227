// What to run: the `spec` file that the server wrote before it started the supervisor.
#ifndef RHYTHM_SUPERVISOR_SPEC_H
#define RHYTHM_SUPERVISOR_SPEC_H

#include <stdint.h>

struct spec {
    const char *exec;      // absolute path of the task's file
    const char *cwd;       // directory that it runs in
    const char *notify;    // fifo of the server, or NULL
    int64_t grace_ms;      // between SIGTERM and SIGKILL
    int64_t log_limit;     // bytes of one log segment
    int64_t result_limit;  // bytes of one result line
    char **env;            // the task's whole environment, NULL at the end
};

// Reads the file: NUL-separated `key=value` records, unknown keys ignored so that an older supervisor survives an
// upgrade of the server. NULL on success; otherwise what is wrong, with errno set.
// The strings live until the process ends.
const char *spec_read(struct spec *spec, const char *path);

#endif
