// A disk that a test can make fail, for a process started with LD_PRELOAD=disk.so, DISK_UNDER=DIRECTORY and DISK_CONTROL=FILE. The
// first octet of that file decides about calls on files in the directory, and may change at any time. 'e': syncs fail with EIO.
// 'r': everything is read-only. 'f': there is no space. With any other octet, no call fails.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const volatile char *mode = "";
static const char *under = "/nowhere";

// The assignment is through a pointer, because ISO C can't convert a data pointer to a function pointer.
#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void prepare(void) {
    const char *control = getenv("DISK_CONTROL");
    int descriptor = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0) return;
    const char *map = mmap(NULL, 1, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map != MAP_FAILED) mode = map;
    if (getenv("DISK_UNDER")) under = getenv("DISK_UNDER");
    close(descriptor);
}

static bool is_under(const char *path) { return strncmp(path, under, strlen(under)) == 0; }

static bool is_concerned(int descriptor) {
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return false;
    path[length] = 0;
    return is_under(path);
}

static bool fails(int error) {
    errno = error;
    return true;
}

static bool sync_fails(int descriptor) { return *mode == 'e' && is_concerned(descriptor) && fails(EIO); }

static bool write_fails(int descriptor) {
    if (*mode != 'r' && *mode != 'f') return false;
    return is_concerned(descriptor) && fails(*mode == 'r' ? EROFS : ENOSPC);
}

static bool change_fails(const char *path) { return *mode == 'r' && is_under(path) && fails(EROFS); }

static bool opening_fails(const char *path, int flags) {
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT)) return false;
    if (change_fails(path)) return true;
    return *mode == 'f' && flags & O_CREAT && is_under(path) && access(path, F_OK) != 0 && fails(ENOSPC);
}

int fsync(int descriptor) {
    REAL(fsync);
    return sync_fails(descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(fdatasync);
    return sync_fails(descriptor) ? -1 : real(descriptor);
}

ssize_t write(int descriptor, const void *data, size_t count) {
    REAL(write);
    return write_fails(descriptor) ? -1 : real(descriptor, data, count);
}

ssize_t pwrite(int descriptor, const void *data, size_t count, off_t offset) {
    REAL(pwrite);
    return write_fails(descriptor) ? -1 : real(descriptor, data, count, offset);
}

ssize_t pwrite64(int descriptor, const void *data, size_t count, off64_t offset) {
    REAL(pwrite64);
    return write_fails(descriptor) ? -1 : real(descriptor, data, count, offset);
}

int ftruncate(int descriptor, off_t length) {
    REAL(ftruncate);
    return *mode == 'r' && write_fails(descriptor) ? -1 : real(descriptor, length);
}

int ftruncate64(int descriptor, off64_t length) {
    REAL(ftruncate64);
    return *mode == 'r' && write_fails(descriptor) ? -1 : real(descriptor, length);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return opening_fails(path, flags) ? -1 : real(path, flags, permissions); \
    }

OPEN(open)
OPEN(open64)

int unlink(const char *path) {
    REAL(unlink);
    return change_fails(path) ? -1 : real(path);
}

int mkdir(const char *path, mode_t permissions) {
    REAL(mkdir);
    return change_fails(path) ? -1 : real(path, permissions);
}
