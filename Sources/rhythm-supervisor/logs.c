#define _GNU_SOURCE
#include "logs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

#define NAME_BYTES 40

static void segment_name(char name[NAME_BYTES], int64_t offset) {
    snprintf(name, NAME_BYTES, "log.%016" PRId64, offset);
}

static void open_segment(struct logs *logs) {
    char name[NAME_BYTES];
    segment_name(name, logs->start);
    logs->fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void logs_open(struct logs *logs, int64_t limit) {
    *logs = (struct logs){.fd = -1, .limit = limit, .previous = -1};
    open_segment(logs);
}

// The oldest goes before the next begins: on a full disk that is where the room comes from.
static void rotate(struct logs *logs) {
    char name[NAME_BYTES];
    if (logs->previous >= 0) {
        segment_name(name, logs->previous);
        unlink(name);
    }
    if (logs->fd >= 0) {
        close(logs->fd);
    }
    logs->previous = logs->start;
    logs->start += logs->size;
    logs->size = 0;
    open_segment(logs);
}

void logs_append(struct logs *logs, const char *data, size_t size) {
    while (size > 0) {
        if (logs->size >= logs->limit) {
            rotate(logs);
        } else if (logs->fd < 0) {
            open_segment(logs);
        }
        if (logs->fd < 0) {
            logs->dropped += (int64_t)size;
            return;
        }
        size_t room = (size_t)(logs->limit - logs->size);
        size_t part = size < room ? size : room;
        size_t written = 0;
        int result = files_write_all(logs->fd, data, part, &written);
        logs->size += (int64_t)written;
        if (result != 0) {
            logs->dropped += (int64_t)(size - written);
            return;
        }
        data += part;
        size -= part;
    }
}

void logs_close(struct logs *logs) {
    if (logs->fd >= 0) {
        close(logs->fd);
        logs->fd = -1;
    }
}

void tail_append(struct tail *tail, const char *data, size_t size) {
    if (size > TAIL_BYTES) {
        tail->total += size - TAIL_BYTES;
        data += size - TAIL_BYTES;
        size = TAIL_BYTES;
    }
    size_t at = (size_t)(tail->total % TAIL_BYTES);
    size_t first = size < TAIL_BYTES - at ? size : TAIL_BYTES - at;
    memcpy(tail->ring + at, data, first);
    memcpy(tail->ring, data + first, size - first);
    tail->total += size;
}

size_t tail_copy(const struct tail *tail, char *into) {
    if (tail->total <= TAIL_BYTES) {
        memcpy(into, tail->ring, (size_t)tail->total);
        return (size_t)tail->total;
    }
    size_t at = (size_t)(tail->total % TAIL_BYTES);
    memcpy(into, tail->ring + at, TAIL_BYTES - at);
    memcpy(into + TAIL_BYTES - at, tail->ring, at);
    return TAIL_BYTES;
}
