// Ending processes: the task's group, and what left it. Everything that the task ever forks stays a descendant of the
// supervisor, because the supervisor is its subreaper.
#ifndef RHYTHM_SUPERVISOR_GROUP_H
#define RHYTHM_SUPERVISOR_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Sends `number` to the group `pgid` and to every living descendant outside of it.
// `leader_is_ours`: the leader was not waited for yet, so the number is certainly its group's. Otherwise the group gets
// the signal only while some descendant is in it: the number may have gone to strangers.
// Returns how many living descendants there were, those of the group included.
size_t group_signal(pid_t pgid, bool leader_is_ours, int number);

// Field 22 of /proc/PID/stat: with the boot id it names a process for ever. 0 when there is no such process.
uint64_t group_start_time(pid_t pid);

#endif
