// Whole-file reads and writes inside the attempt directory, which is the working directory of the supervisor.
#ifndef RHYTHM_SUPERVISOR_FILES_H
#define RHYTHM_SUPERVISOR_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Writes everything, or says why not: 0, or -1 with errno. `written` counts what did get out in either case.
int files_write_all(int fd, const void *data, size_t size, size_t *written);

// Replaces `name` in one step (a temporary file, then rename), so that a reader sees the old text or the new one.
// `durable` also waits until both are on the disk. 0, or -1 with errno.
int files_replace(const char *name, const void *data, size_t size, bool durable);

// Waits until the names in the directory itself are on the disk.
int files_sync_directory(void);

// Reads a small text file into `into` (always terminated). The number of bytes, or -1 with errno.
ssize_t files_read(const char *path, char *into, size_t capacity);

// True for errors that go away when somebody frees space or descriptors: worth another try.
bool files_error_is_temporary(int error);

#endif
