/*
 * Stands between a program and the system (LD_PRELOAD) so that a test can step the wall clock and
 * make a folder's file system read-only, for this one program and while it runs. What is to be so
 * now stands in the file that P2P_TEST_MACHINE names: an int64 of seconds by which the wall clock
 * is ahead, then an int64 that is not 0 while nothing below P2P_TEST_FOLDER can be changed. Clocks
 * that the system's administrator cannot set (CLOCK_MONOTONIC, CLOCK_BOOTTIME) are left alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct machine {
    volatile int64_t ahead_s;
    volatile int64_t read_only;
};

static const struct machine *machine;
static const char *folder;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("P2P_TEST_MACHINE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped =
        file < 0 ? MAP_FAILED : mmap(NULL, sizeof *machine, PROT_READ, MAP_SHARED, file, 0);

    if (mapped == MAP_FAILED) {
        fprintf(stderr, "P2P_TEST_MACHINE: %s\n", strerror(errno));
        _exit(99);
    }
    close(file);
    machine = mapped;
    folder = getenv("P2P_TEST_FOLDER");
}

/* ---- the wall clock ---- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && machine && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += machine->ahead_s;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* ---- the file system ---- */

static bool is_refused(const char *path)
{
    return machine && machine->read_only && folder && strncmp(path, folder, strlen(folder)) == 0;
}

static bool is_refused_for(int file)
{
    char link[64];
    char path[4096];

    if (!machine || !machine->read_only)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = '\0';
    return is_refused(path);
}

#define REFUSE(is)         \
    do {                   \
        if (is) {          \
            errno = EROFS; \
            return -1;     \
        }                  \
    } while (0)

ssize_t write(int file, const void *data, size_t length)
{
    REFUSE(is_refused_for(file));
    return syscall(SYS_write, file, data, length);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t place)
{
    REFUSE(is_refused_for(file));
    return syscall(SYS_pwrite64, file, data, length, place);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t place)
{
    return pwrite(file, data, length, place);
}

int ftruncate(int file, off_t length)
{
    REFUSE(is_refused_for(file));
    return (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate64(int file, off64_t length)
{
    return ftruncate(file, length);
}

int unlink(const char *path)
{
    REFUSE(is_refused(path));
    return unlinkat(AT_FDCWD, path, 0);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list more;

    va_start(more, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(more, mode_t);
    va_end(more);
    REFUSE((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) && is_refused(path));
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The same here. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
