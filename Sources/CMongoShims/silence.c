// The driver begins by itself when its library is loaded, and what it has to say then goes to standard error as it is: a
// line of text among lines of JSON, for example when a killed process with the same id has left its counters behind.
// Until MongoLibrary sets a handler of its own nothing is said.

#include "CMongoShims.h"

#include <mongoc/mongoc.h>
#include <stddef.h>

static void say_nothing(mongoc_log_level_t level, const char *domain, const char *message, void *data) {
    (void)level;
    (void)domain;
    (void)message;
    (void)data;
}

static void silence(void) { mongoc_log_set_handler(say_nothing, NULL); }

// Functions in this section of a program run before those that begin its shared libraries.
__attribute__((section(".preinit_array"), used)) static void (*const silence_first)(void) = silence;
