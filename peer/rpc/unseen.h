/*
 * Keeps the descriptors of connections from the thread sanitizer. No code in other builds.
 *
 * The sanitizer writes a record of a descriptor where it is accepted, reads it at each use and
 * wipes it where it is closed. A connection is closed by the core, which is not instrumented
 * (tests/tsan.supp): its record would stay, and the next file with that number, which other threads
 * use, would be in a race with it. So nothing of ours may touch the record while the core can have
 * the number: each call on such a descriptor stands in unseen(). Without it may be close, which
 * wipes, and what the sanitizer does not look at: dup by fcntl, shutdown, poll, FIONREAD.
 */
#pragma once

#include <sys/socket.h>

#if defined(__SANITIZE_THREAD__)
#include <sys/syscall.h>
#include <unistd.h>

void __tsan_ignore_thread_begin(void); /* no header of the compiler declares them */
void __tsan_ignore_thread_end(void);

/* The value of the call. */
#define unseen(call)                        \
    __extension__({                         \
        __tsan_ignore_thread_begin();       \
        __auto_type unseen_result = (call); \
        __tsan_ignore_thread_end();         \
        unseen_result;                      \
    })

/* The sanitizer writes the record in any case, so it must not see the call at all. */
#define unseen_accept4(listener, address, length, flags) \
    ((int)syscall(SYS_accept4, listener, address, length, flags))
#else
#define unseen(call)                                     (call)
#define unseen_accept4(listener, address, length, flags) accept4(listener, address, length, flags)
#endif
