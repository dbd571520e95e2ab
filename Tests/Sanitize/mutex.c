// Tells ThreadSanitizer what Synchronization.Mutex does when there is contention.
//
// The lock's fast path is an atomic operation, which the compiler instruments wherever it is inlined. The slow path is a futex
// that inherits priority: the kernel itself writes which thread holds the lock. ThreadSanitizer can't see that, so it reports a
// race for whatever two contending threads do under the lock. (A program of eight lines shows it: two threads append to one
// array.) These functions replace those of libswiftSynchronization, call them, and report each lock and unlock to
// ThreadSanitizer.
//
// To be preloaded: see 'make sanitize-thread'. Races over anything other than such a lock are still reported.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

// In the program under test; in the others that are started on the way there are none.
void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));

// Synchronization._MutexHandle._lockSlow(Swift.UInt32) and ._unlockSlow()
#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void lockSlow(uint32_t thread, SELF void *handle) __asm__(LOCK_SLOW);
SWIFT void unlockSlow(SELF void *handle) __asm__(UNLOCK_SLOW);

static void *original(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

SWIFT void lockSlow(uint32_t thread, SELF void *handle) {
    ((SWIFT void (*)(uint32_t, SELF void *))original(LOCK_SLOW))(thread, handle);
    if (__tsan_acquire) __tsan_acquire(handle);
}

SWIFT void unlockSlow(SELF void *handle) {
    if (__tsan_release) __tsan_release(handle);
    ((SWIFT void (*)(SELF void *))original(UNLOCK_SLOW))(handle);
}
