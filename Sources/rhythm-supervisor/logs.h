// What the task prints: kept in segments `log.OFFSET` of bounded size, the newest two of them.
#ifndef RHYTHM_SUPERVISOR_LOGS_H
#define RHYTHM_SUPERVISOR_LOGS_H

#include <stddef.h>
#include <stdint.h>

#define TAIL_BYTES 4096

struct logs {
    int fd;            // the newest segment, or -1
    int64_t limit;     // bytes of a segment
    int64_t start;     // logical offset of its first byte
    int64_t previous;  // the same of the segment before it, or -1
    int64_t size;      // bytes in it
    int64_t dropped;   // bytes that no disk would take
};

// The last bytes of one stream, for the error message.
struct tail {
    char ring[TAIL_BYTES];
    uint64_t total;
};

// Begins the first segment. Failures show as dropped bytes: a log never stops a task.
void logs_open(struct logs *logs, int64_t limit);
void logs_append(struct logs *logs, const char *data, size_t size);
void logs_close(struct logs *logs);

void tail_append(struct tail *tail, const char *data, size_t size);
// Copies the tail out in order; at most TAIL_BYTES. The number of bytes.
size_t tail_copy(const struct tail *tail, char *into);

#endif
