#define _GNU_SOURCE
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define REPORT_TICK_MS 50
#define RESULT_TEMPORARY "result.tmp"

void report_open(struct report *report, int64_t result_limit) {
    memset(report, 0, sizeof *report);
    report->result_limit = result_limit;
    report->result_fd = -1;
    report->heartbeat_fd = open("heartbeat", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static void begin_line(struct report *report) {
    report->kind = LINE_UNDECIDED;
    report->key_state = KEY_BEFORE_BRACE;
    report->key_length = 0;
    report->head_length = 0;
    report->head_spilled = 0;
    report->length = 0;
    report->result_error = 0;
}

static enum line_kind kind_of_key(const char *key, size_t length) {
    static const struct {
        const char *name;
        enum line_kind kind;
    } known[] = {{"progress", LINE_PROGRESS}, {"result", LINE_RESULT}, {"heartbeat", LINE_HEARTBEAT}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) == length && memcmp(known[i].name, key, length) == 0) {
            return known[i].kind;
        }
    }
    return LINE_OTHER;
}

// One more byte of a line whose first key is not known yet.
static void look_for_key(struct report *report, char byte) {
    bool blank = byte == ' ' || byte == '\t' || byte == '\r';
    switch (report->key_state) {
    case KEY_BEFORE_BRACE:
        if (byte == '{') {
            report->key_state = KEY_BEFORE_QUOTE;
        } else if (!blank) {
            report->kind = LINE_OTHER;
        }
        break;
    case KEY_BEFORE_QUOTE:
        if (byte == '"') {
            report->key_state = KEY_INSIDE;
        } else if (!blank) {
            report->kind = LINE_OTHER;
        }
        break;
    case KEY_INSIDE:
        if (byte == '"') {
            report->kind = kind_of_key(report->key, report->key_length);
        } else if (report->key_length == sizeof report->key) {
            report->kind = LINE_OTHER;
        } else {
            report->key[report->key_length++] = byte;
        }
        break;
    }
}

static bool result_is_too_large(const struct report *report) {
    return report->length > report->result_limit;
}

// Puts bytes of a result into its file, opening it first. Says how many went in; fewer means: no room now.
// Any lasting error is remembered and swallows the rest of the line.
static size_t spill(struct report *report, const char *data, size_t size) {
    if (report->result_error != 0 || size == 0) {
        return size;
    }
    if (report->result_fd < 0) {
        report->result_fd = open(RESULT_TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    size_t written = 0;
    if (report->result_fd < 0 || files_write_all(report->result_fd, data, size, &written) != 0) {
        if (!files_error_is_temporary(errno)) {
            report->result_error = errno;
            return size;
        }
    }
    return written;
}

static bool spill_head(struct report *report) {
    size_t waiting = report->head_length - report->head_spilled;
    size_t written = spill(report, report->head + report->head_spilled, waiting);
    report->head_spilled += written;
    return written == waiting;
}

// Bytes of one line, without its end. Says how many it took.
static size_t add_to_line(struct report *report, const char *data, size_t size) {
    size_t taken = 0;
    while (report->kind == LINE_UNDECIDED && taken < size) {
        if (report->head_length == REPORT_HEAD_BYTES) {
            report->kind = LINE_OTHER;
            break;
        }
        report->head[report->head_length++] = data[taken];
        report->length++;
        look_for_key(report, data[taken++]);
    }
    size_t rest = size - taken;
    if (rest == 0) {
        return taken;
    }
    if (report->kind == LINE_PROGRESS) {
        if (rest > REPORT_HEAD_BYTES - report->head_length) {
            report->kind = LINE_OTHER;
        } else {
            memcpy(report->head + report->head_length, data + taken, rest);
            report->head_length += rest;
        }
    } else if (report->kind == LINE_RESULT && !result_is_too_large(report)) {
        if (!spill_head(report)) {
            return taken;
        }
        size_t written = spill(report, data + taken, rest);
        report->length += (int64_t)written;
        return taken + written;
    }
    report->length += (int64_t)rest;
    return size;
}

// Keeps only the beginning of a result that nobody will use as one.
static void shorten(struct report *report) {
    struct stat info;
    if (fstat(report->result_fd, &info) != 0 ||
        (info.st_size > REPORT_HEAD_BYTES && ftruncate(report->result_fd, REPORT_HEAD_BYTES) != 0)) {
        report->result_error = errno;
    }
}

// Gives a whole result its name. False: no room now.
static bool keep_result(struct report *report) {
    if (!spill_head(report)) {
        return false;
    }
    bool large = result_is_too_large(report);
    if (report->result_fd >= 0) {
        if (large && report->result_error == 0) {
            shorten(report);
        }
        if (close(report->result_fd) != 0 && report->result_error == 0) {
            report->result_error = errno;
        }
        report->result_fd = -1;
    }
    if (report->result_error == 0 && rename(RESULT_TEMPORARY, "result") != 0) {
        if (files_error_is_temporary(errno)) {
            return false;
        }
        report->result_error = errno;
    }
    report->result = report->result_error != 0 ? RESULT_IO_ERROR : large ? RESULT_TOO_LARGE : RESULT_WRITTEN;
    return true;
}

// The line is whole. False: a result has no room now, and the line stays open.
static bool end_line(struct report *report) {
    switch (report->kind) {
    case LINE_RESULT:
        if (!keep_result(report)) {
            return false;
        }
        break;
    case LINE_PROGRESS:
        memcpy(report->progress, report->head, report->head_length);
        report->progress_length = report->head_length;
        report->progress_waits = true;
        break;
    case LINE_HEARTBEAT:
        break;
    case LINE_UNDECIDED:
    case LINE_OTHER:
        report->ignored += report->length > 0;
        break;
    }
    report->heartbeat_waits = true;
    begin_line(report);
    return true;
}

size_t report_feed(struct report *report, const char *data, size_t size) {
    size_t used = 0;
    while (used < size) {
        const char *end = memchr(data + used, '\n', size - used);
        size_t piece = end != NULL ? (size_t)(end - (data + used)) : size - used;
        size_t taken = add_to_line(report, data + used, piece);
        used += taken;
        if (taken < piece || (end != NULL && !end_line(report))) {
            return used;
        }
        used += end != NULL;
    }
    return used;
}

bool report_finish(struct report *report) {
    return report->length == 0 || end_line(report);
}

int64_t report_deadline_ms(const struct report *report) {
    return report->progress_waits || report->heartbeat_waits ? report->next_tick_ms : -1;
}

bool report_tick(struct report *report, int64_t clock_now_ms, bool now) {
    bool waits = report->progress_waits || report->heartbeat_waits;
    if (!waits || (!now && clock_now_ms < report->next_tick_ms)) {
        return false;
    }
    report->next_tick_ms = clock_now_ms + REPORT_TICK_MS;
    if (report->progress_waits && files_replace("progress", report->progress, report->progress_length, false) == 0) {
        report->progress_waits = false;
    }
    if (report->heartbeat_fd >= 0) {
        // A heartbeat that cannot be written is one missed heartbeat; the next one tries again.
        (void)futimens(report->heartbeat_fd, NULL);
    }
    report->heartbeat_waits = false;
    return true;
}
