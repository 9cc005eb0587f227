#define _GNU_SOURCE
#include "clock.h"

#include <errno.h>
#include <time.h>

static int64_t read_clock(clockid_t which, int64_t units_per_second) {
    struct timespec t;
    if (clock_gettime(which, &t) != 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * units_per_second + t.tv_nsec / (1000000000 / units_per_second);
}

int64_t clock_ms(void) {
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t clock_wall_us(void) {
    return read_clock(CLOCK_REALTIME, 1000000);
}

void clock_sleep_ms(int64_t ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
