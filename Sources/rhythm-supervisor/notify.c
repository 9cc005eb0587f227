#define _GNU_SOURCE
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"

#define MESSAGE_BYTES_MAX 64
#define RETRY_MS 20
#define RETRIES 50

void notify_send(const char *fifo, const char *task_id, enum notify_event event) {
    char message[MESSAGE_BYTES_MAX + 1];
    int length = snprintf(message, sizeof message, "%s %c\n", task_id, (char)event);
    if (fifo == NULL || length < 0 || length > MESSAGE_BYTES_MAX) {
        return;
    }
    int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    // So short a message goes into a fifo whole or not at all.
    for (int retries = event == NOTIFY_ENDED ? RETRIES : 0; write(fd, message, (size_t)length) < 0; retries--) {
        if ((errno != EAGAIN && errno != EINTR) || retries == 0) {
            break;
        }
        clock_sleep_ms(RETRY_MS);
    }
    close(fd);
}
