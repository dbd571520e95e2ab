// A clock that a test can set, for a process started with LD_PRELOAD=clock.so and CLOCK_CONTROL=FILE. The file holds a 64-bit
// number of seconds, which is added to the time of day. The number may change at any time. Monotonic clocks do not change, just as
// when an administrator sets the clock.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t none = 0;
static const volatile int64_t *ahead = &none;

// The assignment is through a pointer, because ISO C can't convert a data pointer to a function pointer.
#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void prepare(void) {
    const char *control = getenv("CLOCK_CONTROL");
    int descriptor = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0) return;
    const int64_t *map = mmap(NULL, sizeof *map, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map != MAP_FAILED) ahead = map;
    close(descriptor);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int result = real(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *ahead;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    REAL(gettimeofday);
    int result = real(time, zone);
    if (result == 0) time->tv_sec += *ahead;
    return result;
}

time_t time(time_t *result) {
    REAL(time);
    time_t now = real(NULL) + *ahead;
    if (result) *result = now;
    return now;
}
