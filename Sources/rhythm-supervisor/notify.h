// Wakes the server. A message only says WHEN to read; what is true is in the files.
#ifndef RHYTHM_SUPERVISOR_NOTIFY_H
#define RHYTHM_SUPERVISOR_NOTIFY_H

enum notify_event { NOTIFY_STARTED = 's', NOTIFY_REPORTED = 'p', NOTIFY_ENDED = 'e' };

// Writes `TASK_ID EVENT` into the fifo. No server, or a full fifo: nothing happens, except that the end of the attempt
// is worth trying for a second.
void notify_send(const char *fifo, const char *task_id, enum notify_event event);

#endif
