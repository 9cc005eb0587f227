#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int files_write_all(int fd, const void *data, size_t size, size_t *written) {
    size_t done = 0;
    int result = 0;
    while (done < size) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0) {
            errno = EIO;
            result = -1;
            break;
        } else if (errno != EINTR) {
            result = -1;
            break;
        }
    }
    if (written != NULL) {
        *written = done;
    }
    return result;
}

int files_sync_directory(void) {
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int result = fsync(fd);
    close(fd);
    return result;
}

int files_replace(const char *name, const void *data, size_t size, bool durable) {
    char temporary[64];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", name);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    bool ok = files_write_all(fd, data, size, NULL) == 0 && (!durable || fsync(fd) == 0);
    int why = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        unlink(temporary);
        errno = why;
        return -1;
    }
    if (rename(temporary, name) != 0) {
        return -1;
    }
    return durable ? files_sync_directory() : 0;
}

ssize_t files_read(const char *path, char *into, size_t capacity) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    size_t done = 0;
    while (done + 1 < capacity) {
        ssize_t n = read(fd, into + done, capacity - 1 - done);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            int why = errno;
            close(fd);
            errno = why;
            return -1;
        }
        done += (size_t)n;
    }
    close(fd);
    into[done] = '\0';
    return (ssize_t)done;
}

bool files_error_is_temporary(int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        return true;
    default:
        return false;
    }
}
