// Tells ThreadSanitizer about Swift's Mutex. On Linux its fast path is an atomic that is compiled into its users, so the
// sanitizer sees it; its slow path spins and waits inside the standard library, which is not instrumented, and then
// everything that a mutex guards looks like a race. Preloaded by `make tsan`. It knows nothing but these two functions,
// so real races are still found.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))
// _MutexHandle._lockSlow(UInt32) and _MutexHandle._unlockSlow(), whose self is the word that the fast path changes.
#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));

SWIFT void lock_slow(uint32_t thread, SELF void *word) __asm__(LOCK_SLOW);
SWIFT void unlock_slow(SELF void *word) __asm__(UNLOCK_SLOW);

SWIFT void lock_slow(uint32_t thread, SELF void *word) {
    SWIFT void (*next)(uint32_t, SELF void *) = (SWIFT void (*)(uint32_t, SELF void *))dlsym(RTLD_NEXT, LOCK_SLOW);
    next(thread, word);
    if (__tsan_acquire) __tsan_acquire(word);
}

SWIFT void unlock_slow(SELF void *word) {
    SWIFT void (*next)(SELF void *) = (SWIFT void (*)(SELF void *))dlsym(RTLD_NEXT, UNLOCK_SLOW);
    if (__tsan_release) __tsan_release(word);
    next(word);
}
