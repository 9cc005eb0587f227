#define _GNU_SOURCE
#include "spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define SPEC_BYTES_MAX (1024 * 1024)
#define REPORT_VARIABLE "RHYTHM_REPORT_FD="

// The value when `record` starts with `key=`, else NULL.
static const char *value_of(const char *record, const char *key) {
    size_t length = strlen(key);
    return strncmp(record, key, length) == 0 && record[length] == '=' ? record + length + 1 : NULL;
}

static bool read_number(const char *text, int64_t *into) {
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0) {
        return false;
    }
    *into = value;
    return true;
}

// Takes one record in. False when a number is not one.
static bool take_record(struct spec *spec, char *record, size_t *env_count) {
    const char *value;
    if ((value = value_of(record, "exec")) != NULL) {
        spec->exec = value;
    } else if ((value = value_of(record, "cwd")) != NULL) {
        spec->cwd = value;
    } else if ((value = value_of(record, "notify")) != NULL) {
        spec->notify = value;
    } else if ((value = value_of(record, "grace_ms")) != NULL) {
        return read_number(value, &spec->grace_ms);
    } else if ((value = value_of(record, "log_limit")) != NULL) {
        return read_number(value, &spec->log_limit);
    } else if ((value = value_of(record, "result_limit")) != NULL) {
        return read_number(value, &spec->result_limit);
    } else if ((value = value_of(record, "env")) != NULL) {
        // The number of the report descriptor is ours to say.
        if (strncmp(value, REPORT_VARIABLE, strlen(REPORT_VARIABLE)) != 0) {
            spec->env[(*env_count)++] = record + (value - record);
        }
    }
    return true;
}

// The whole file and one NUL more; NULL with errno.
static char *read_whole(const char *path, size_t *size) {
    struct stat info;
    if (stat(path, &info) != 0) {
        return NULL;
    }
    if (info.st_size <= 0 || info.st_size > SPEC_BYTES_MAX) {
        errno = EINVAL;
        return NULL;
    }
    char *text = malloc((size_t)info.st_size + 1);
    if (text == NULL) {
        return NULL;
    }
    ssize_t n = files_read(path, text, (size_t)info.st_size + 1);
    if (n < 0) {
        int why = errno;
        free(text);
        errno = why;
        return NULL;
    }
    *size = (size_t)n;
    return text;
}

const char *spec_read(struct spec *spec, const char *path) {
    static char report_variable[] = REPORT_VARIABLE "3";
    *spec = (struct spec){.grace_ms = 10000, .log_limit = 16 << 20, .result_limit = 1 << 20};
    size_t size = 0;
    char *text = read_whole(path, &size);
    if (text == NULL) {
        return "the spec file cannot be read";
    }
    size_t records = 1;
    for (size_t i = 0; i < size; i++) {
        records += text[i] == '\0';
    }
    spec->env = calloc(records + 2, sizeof *spec->env);
    if (spec->env == NULL) {
        return "no memory for the environment";
    }
    size_t env_count = 0;
    for (char *record = text; record < text + size; record += strlen(record) + 1) {
        if (!take_record(spec, record, &env_count)) {
            errno = EINVAL;
            return "a number in the spec file is malformed";
        }
    }
    spec->env[env_count] = report_variable;
    if (spec->exec == NULL || spec->exec[0] != '/' || spec->cwd == NULL || spec->log_limit == 0) {
        errno = EINVAL;
        return "the spec file lacks exec, cwd or log_limit";
    }
    return NULL;
}
