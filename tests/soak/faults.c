/*
 * A fault layer for LD_PRELOAD: the n-th file operation under a folder fails with an error of the system, is slow, or
 * is the moment at which a signal arrives; and the clock on the wall is wrong.
 *
 * Nothing happens until soak_arm() or soak_clock() is called in the process itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, LINK = 16, UNLINK = 32, MAKE = 64 };

static char under[1024];
static int kinds, error_number, signal_number, again, slow_us;
static long at, seen;
static long long clock_ns;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

void soak_arm(const char *folder, int of_kinds, long from, int error, int number, int is_again, int microseconds) {
    snprintf(under, sizeof under, "%s", folder);
    kinds = of_kinds, error_number = error, signal_number = number, again = is_again, slow_us = microseconds;
    at = from, seen = 0;
}

void soak_disarm(void) { kinds = 0; }

long soak_seen(void) { return seen; }

void soak_clock(long long nanoseconds) { clock_ns = nanoseconds; }

static int hits(const char *path) { return path != NULL && strncmp(path, under, strlen(under)) == 0; }

/* Nonzero: the operation fails, errno is set. */
static int comes(int kind, const char *path) {
    if (!(kinds & kind) || !hits(path))
        return 0;
    long now = __sync_add_and_fetch(&seen, 1);
    if (now != at && !(again && now > at))
        return 0;
    if (slow_us)
        usleep((useconds_t)slow_us);
    if (signal_number)
        kill(getpid(), signal_number);
    if (error_number)
        errno = error_number;
    return error_number;
}

static int comes_at(int kind, int folder, const char *path) {
    char at_path[2048], place[1024], link[64];
    if (!(kinds & kind) || path == NULL)
        return 0;
    if (path[0] == '/')
        return comes(kind, path);
    if (folder == AT_FDCWD) {
        if (getcwd(place, sizeof place) == NULL)
            return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, place, sizeof place - 1);
        if (length < 0)
            return 0;
        place[length] = 0;
    }
    snprintf(at_path, sizeof at_path, "%s/%s", place, path);
    return comes(kind, at_path);
}

static int comes_to(int kind, int file) {
    char path[1024], link[64];
    if (!(kinds & kind))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return comes(kind, path);
}

static int changes(int flags) { return flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR); }

#define OPENS(name)                                                                  \
    int name(const char *path, int flags, ...) {                                     \
        va_list more;                                                                \
        va_start(more, flags);                                                       \
        mode_t mode = va_arg(more, mode_t);                                          \
        va_end(more);                                                                \
        if (changes(flags) && comes_at(OPEN, AT_FDCWD, path))                        \
            return -1;                                                               \
        return REAL(name)(path, flags, mode);                                        \
    }
#define OPENS_AT(name)                                                               \
    int name(int folder, const char *path, int flags, ...) {                         \
        va_list more;                                                                \
        va_start(more, flags);                                                       \
        mode_t mode = va_arg(more, mode_t);                                          \
        va_end(more);                                                                \
        if (changes(flags) && comes_at(OPEN, folder, path))                          \
            return -1;                                                               \
        return REAL(name)(folder, path, flags, mode);                                \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

ssize_t write(int file, const void *content, size_t size) {
    return comes_to(WRITE, file) ? -1 : REAL(write)(file, content, size);
}
ssize_t pwrite(int file, const void *content, size_t size, off_t place) {
    return comes_to(WRITE, file) ? -1 : REAL(pwrite)(file, content, size, place);
}
ssize_t pwrite64(int file, const void *content, size_t size, off64_t place) {
    return comes_to(WRITE, file) ? -1 : REAL(pwrite64)(file, content, size, place);
}
int fsync(int file) { return comes_to(SYNC, file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return comes_to(SYNC, file) ? -1 : REAL(fdatasync)(file); }
int rename(const char *from, const char *to) {
    return comes_at(RENAME, AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    return comes_at(RENAME, b, to) ? -1 : REAL(renameat)(a, from, b, to);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return comes_at(RENAME, b, to) ? -1 : REAL(renameat2)(a, from, b, to, flags);
}
int link(const char *from, const char *to) { return comes_at(LINK, AT_FDCWD, to) ? -1 : REAL(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    return comes_at(LINK, b, to) ? -1 : REAL(linkat)(a, from, b, to, flags);
}
int unlink(const char *path) { return comes_at(UNLINK, AT_FDCWD, path) ? -1 : REAL(unlink)(path); }
int unlinkat(int a, const char *path, int flags) {
    return comes_at(UNLINK, a, path) ? -1 : REAL(unlinkat)(a, path, flags);
}
int rmdir(const char *path) { return comes_at(UNLINK, AT_FDCWD, path) ? -1 : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return comes_at(MAKE, AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode); }
int mkdirat(int a, const char *path, mode_t mode) {
    return comes_at(MAKE, a, path) ? -1 : REAL(mkdirat)(a, path, mode);
}

static int is_wall(clockid_t which) { return which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = REAL(clock_gettime)(which, now);
    if (!failed && clock_ns && is_wall(which)) {
        long long all = now->tv_sec * 1000000000LL + now->tv_nsec + clock_ns;
        now->tv_sec = all / 1000000000LL, now->tv_nsec = all % 1000000000LL;
    }
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    int failed = REAL(gettimeofday)(now, zone);
    if (!failed && clock_ns)
        now->tv_sec += clock_ns / 1000000000LL;
    return failed;
}
time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place != NULL)
        *place = now.tv_sec;
    return now.tv_sec;
}
