// The report descriptor of the task: JSON lines, told apart by their first key and never held in memory whole.
#ifndef RHYTHM_SUPERVISOR_REPORT_H
#define RHYTHM_SUPERVISOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A longer progress line is ignored; of a result that is too large this much is kept for the message.
#define REPORT_HEAD_BYTES 4096

enum line_kind { LINE_UNDECIDED, LINE_PROGRESS, LINE_RESULT, LINE_HEARTBEAT, LINE_OTHER };
enum key_state { KEY_BEFORE_BRACE, KEY_BEFORE_QUOTE, KEY_INSIDE };
enum result_state { RESULT_NONE, RESULT_WRITTEN, RESULT_TOO_LARGE, RESULT_IO_ERROR };

struct report {
    // The line that is being read.
    enum line_kind kind;
    enum key_state key_state;
    char key[16];
    size_t key_length;
    char head[REPORT_HEAD_BYTES];
    size_t head_length;
    size_t head_spilled;  // of a result: how much of `head` is in the file already
    int64_t length;       // bytes of the line so far
    int result_fd;        // of a result: the file that it streams into, or -1
    int result_error;

    // What came of the lines.
    int64_t result_limit;
    enum result_state result;
    int64_t ignored;

    // What waits to be written down, at most every REPORT_TICK_MS.
    char progress[REPORT_HEAD_BYTES];
    size_t progress_length;
    bool progress_waits;
    bool heartbeat_waits;
    int heartbeat_fd;
    int64_t next_tick_ms;
};

void report_open(struct report *report, int64_t result_limit);

// Takes bytes in and says how many. Fewer than `size`: the disk has no room for a result; offer the rest again later.
size_t report_feed(struct report *report, const char *data, size_t size);

// The descriptor is closed for good: a half line counts as a line. False: no room for a result, try again later.
bool report_finish(struct report *report);

// When report_tick has something to do, in clock_ms; -1 for never.
int64_t report_deadline_ms(const struct report *report);

// Writes the latest progress and touches the heartbeat, if it is time or `now` forces it. True if it did.
bool report_tick(struct report *report, int64_t clock_now_ms, bool now);

#endif
