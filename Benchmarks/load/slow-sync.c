// A disk whose flushes take time, for a process started with LD_PRELOAD=slow-sync.so and SLOW_SYNC_MICROSECONDS=2000:
// each fsync and fdatasync first waits for so long. The flush itself is still done.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static struct timespec delay;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void prepare(void) {
    const char *text = getenv("SLOW_SYNC_MICROSECONDS");
    long microseconds = text ? strtol(text, NULL, 10) : 0;
    delay = (struct timespec){.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};
    // Assigned this way because ISO C has no conversion of a data pointer to a function's.
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

static void wait_for_disk(void) {
    struct timespec rest = delay;
    while (nanosleep(&rest, &rest) && errno == EINTR) {}
}

int fsync(int descriptor) {
    wait_for_disk();
    return real_fsync(descriptor);
}

int fdatasync(int descriptor) {
    wait_for_disk();
    return real_fdatasync(descriptor);
}
