#include "directory/worker.h"

#include "common/memory.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct worker_job *first, **last; /* guarded by lock, as what follows */
    unsigned waiting;
    bool stopping;
};

static void *run(void *context)
{
    struct worker *worker = context;

    pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (!worker->first && !worker->stopping)
            pthread_cond_wait(&worker->changed, &worker->lock);
        struct worker_job *job = worker->first;
        if (!job)
            break;
        worker->first = job->next;
        if (!worker->first)
            worker->last = &worker->first;
        worker->waiting--;
        bool cancelled = worker->stopping;
        pthread_mutex_unlock(&worker->lock);
        job->run(job, cancelled);
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

struct worker *worker_start(void)
{
    struct worker *worker = memory_new(1, sizeof *worker);

    worker->last = &worker->first;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->changed, NULL);
    if (pthread_create(&worker->thread, NULL, run, worker) != 0)
        abort(); /* at start, with nothing to lose */
    return worker;
}

bool worker_submit(struct worker *worker, struct worker_job *job)
{
    pthread_mutex_lock(&worker->lock);
    bool accepted = !worker->stopping && worker->waiting < WORKER_QUEUE_MAX;
    if (accepted) {
        job->next = NULL;
        *worker->last = job;
        worker->last = &job->next;
        worker->waiting++;
        pthread_cond_signal(&worker->changed);
    }
    pthread_mutex_unlock(&worker->lock);
    return accepted;
}

void worker_stop(struct worker *worker)
{
    if (!worker)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
