#include "common/background.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The least that still gets its turn. Of idle priority (SCHED_IDLE, and the idle class of disks) a
 * busy machine may run nothing for many seconds, not even to stop; and who has taken it cannot give
 * it up without privileges. */
#define LEAST_NICE 19

/* ioprio_set(2), for which glibc has neither function nor names: best effort, the last level. */
#define IO_WHO_PROCESS 1
#define IO_LEAST       (2 << 13 | 7)

/* Should the system not want any of it: then with the priority of others. */

void background_read_last(const char *thread_name)
{
    struct sched_param none = {0};

    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_LEAST);
    pthread_setname_np(pthread_self(), thread_name);
}

void background_give_way(const char *thread_name)
{
    background_read_last(thread_name);
    setpriority(PRIO_PROCESS, 0, LEAST_NICE); /* of the thread, on Linux */
}
