#define _GNU_SOURCE
#include "group.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"

struct process {
    pid_t pid;
    pid_t parent;
    pid_t group;
    char state;
    bool descends;
    uint64_t start_time;
};

struct table {
    struct process *rows;
    size_t count;
    size_t capacity;
};

// /proc/PID/stat, read from the last `)` on: the name before it may hold anything.
static bool read_process(pid_t pid, struct process *into) {
    char path[32];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (files_read(path, text, sizeof text) <= 0) {
        return false;
    }
    const char *rest = strrchr(text, ')');
    int parent = 0;
    int group = 0;
    unsigned long long start_time = 0;
    char state = 0;
    if (rest == NULL || sscanf(rest + 1,
                               " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                               &state, &parent, &group, &start_time) != 4) {
        return false;
    }
    *into = (struct process){.pid = pid, .parent = parent, .group = group, .state = state, .start_time = start_time};
    return true;
}

uint64_t group_start_time(pid_t pid) {
    struct process process;
    return read_process(pid, &process) ? process.start_time : 0;
}

// Every process that /proc shows. Less than all of them if memory runs out: the caller repeats until none is left.
static void read_table(struct table *table) {
    DIR *directory = opendir("/proc");
    if (directory == NULL) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0])) {
            continue;
        }
        if (table->count == table->capacity) {
            size_t capacity = table->capacity == 0 ? 256 : table->capacity * 2;
            struct process *rows = realloc(table->rows, capacity * sizeof *rows);
            if (rows == NULL) {
                break;
            }
            table->rows = rows;
            table->capacity = capacity;
        }
        if (read_process((pid_t)atoi(entry->d_name), &table->rows[table->count])) {
            table->count++;
        }
    }
    closedir(directory);
}

static int compare_pids(const void *left, const void *right) {
    pid_t a = ((const struct process *)left)->pid;
    pid_t b = ((const struct process *)right)->pid;
    return (a > b) - (a < b);
}

// Marks the children of `ancestor`, their children, and so on until a pass finds no more. A parent mostly has a smaller
// number than its children, so that two passes are the rule.
static void mark_descendants(struct table *table, pid_t ancestor) {
    if (table->count > 0) {
        qsort(table->rows, table->count, sizeof *table->rows, compare_pids);
    }
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < table->count; i++) {
            struct process *row = &table->rows[i];
            if (row->descends) {
                continue;
            }
            const struct process key = {.pid = row->parent};
            const struct process *parent = bsearch(&key, table->rows, table->count, sizeof key, compare_pids);
            row->descends = row->parent == ancestor || (parent != NULL && parent->descends);
            changed = changed || row->descends;
        }
    }
}

// The number of a process may have gone to another one since the table was read: hold it with a pidfd, look again,
// and only then signal.
static void signal_process(const struct process *process, int number) {
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd < 0) {
        if (errno == ENOSYS) {
            kill(process->pid, number);
        }
        return;
    }
    if (group_start_time(process->pid) == process->start_time) {
        // A refusal shows as a survivor.
        (void)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
    }
    close(fd);
}

size_t group_signal(pid_t pgid, bool leader_is_ours, int number) {
    struct table table = {0};
    read_table(&table);
    mark_descendants(&table, getpid());
    size_t living = 0;
    bool group_is_ours = leader_is_ours;
    for (size_t i = 0; i < table.count; i++) {
        const struct process *row = &table.rows[i];
        // Even a dead member keeps the number of the group from being given to anybody else.
        group_is_ours = group_is_ours || (row->descends && row->group == pgid);
        living += row->descends && row->state != 'Z' && row->state != 'X';
    }
    if (group_is_ours) {
        kill(-pgid, number);
    }
    for (size_t i = 0; i < table.count; i++) {
        const struct process *row = &table.rows[i];
        if (row->descends && row->group != pgid && row->state != 'Z' && row->state != 'X') {
            signal_process(row, number);
        }
    }
    free(table.rows);
    return living;
}
