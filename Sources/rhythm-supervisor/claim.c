#define _GNU_SOURCE
#include "claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "group.h"

// A server that asks whether anybody is alive holds the lock for a moment; another supervisor holds it for long.
#define LOCK_RETRY_MS 10
#define LOCK_RETRIES 500

#define BOOT_ID_BYTES 40

static int started_fd = -1;

// The boot id without its end of line; empty if the kernel does not say.
static void read_boot_id(char into[BOOT_ID_BYTES]) {
    if (files_read("/proc/sys/kernel/random/boot_id", into, BOOT_ID_BYTES) < 0) {
        into[0] = '\0';
    }
    into[strcspn(into, "\n")] = '\0';
}

static enum claim take_lock(void) {
    int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return CLAIM_FAILED;
    }
    for (int retries = LOCK_RETRIES; flock(fd, LOCK_EX | LOCK_NB) != 0; retries--) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return CLAIM_FAILED;
        }
        if (retries == 0) {
            return CLAIM_BUSY;
        }
        clock_sleep_ms(LOCK_RETRY_MS);
    }
    char boot_id[BOOT_ID_BYTES];
    char text[64];
    read_boot_id(boot_id);
    int length = snprintf(text, sizeof text, "%d %.8s\n", (int)getpid(), boot_id);
    // The text is for people; the lock itself is what counts.
    if (length > 0 && ftruncate(fd, 0) == 0) {
        (void)files_write_all(fd, text, (size_t)length, NULL);
    }
    return CLAIM_TAKEN;
}

enum claim claim_attempt(void) {
    enum claim lock = take_lock();
    if (lock != CLAIM_TAKEN) {
        return lock;
    }
    started_fd = open("started", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (started_fd < 0) {
        return errno == EEXIST ? CLAIM_RAN_BEFORE : CLAIM_FAILED;
    }
    return CLAIM_TAKEN;
}

bool claim_name_task(pid_t leader, int64_t started_us) {
    char boot_id[BOOT_ID_BYTES];
    char text[192];
    read_boot_id(boot_id);
    int length = snprintf(text, sizeof text, "pid=%d pgid=%d starttime=%" PRIu64 " boot_id=%s started_us=%" PRId64 "\n",
                          (int)getpid(), (int)leader, group_start_time(leader), boot_id, started_us);
    return length > 0 && files_write_all(started_fd, text, (size_t)length, NULL) == 0;
}
