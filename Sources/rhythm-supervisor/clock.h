// Time, in the two forms that the supervisor needs.
#ifndef RHYTHM_SUPERVISOR_CLOCK_H
#define RHYTHM_SUPERVISOR_CLOCK_H

#include <stdint.h>

// Milliseconds of a clock that never jumps: for deadlines.
int64_t clock_ms(void);

// Microseconds since 1970: for what is written down.
int64_t clock_wall_us(void);

// Sleeps, even when signals arrive.
void clock_sleep_ms(int64_t ms);

#endif
