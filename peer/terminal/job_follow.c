#include "peer/terminal/job_follow.h"

#include "common/memory.h"
#include "peer/network/interrupt.h"
#include "peer/terminal/control_client.h"

#include <pthread.h>
#include <stdlib.h>

#define AGAIN_MS 1000

enum beginning { WAITING, BEGUN, REFUSED };

struct job_follow {
    struct job_follow_options options; /* constant */
    pthread_t thread;
    struct interrupt *interrupt;
    struct control_client *client;
    bool listed; /* of the thread: what comes now is news */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum beginning beginning;
    struct error error; /* REFUSED */
};

static void settle(struct job_follow *follow, enum beginning beginning, const struct error *error)
{
    pthread_mutex_lock(&follow->lock);
    if (follow->beginning == WAITING) {
        follow->beginning = beginning;
        if (error)
            follow->error = *error;
        pthread_cond_signal(&follow->changed);
    }
    pthread_mutex_unlock(&follow->lock);
}

/* What the daemon lists at first was there before us. */
static enum error_code take_change(void *context, ProtobufCMessage **message, bool *stop,
                                   struct error *error)
{
    struct job_follow *follow = context;
    P2p__Control__DownloadsReply *reply = (P2p__Control__DownloadsReply *)*message;

    (void)stop;
    (void)error;
    if (reply->listed) {
        follow->listed = true;
        settle(follow, BEGUN, NULL);
    } else if (follow->listed && reply->job) {
        follow->options.take(follow->options.context, &reply);
        if (!reply)
            *message = NULL;
    }
    return ERROR_NONE;
}

static void *follow_loop(void *context)
{
    struct job_follow *follow = context;
    struct control_taker taker = {.take = take_change, .context = follow};
    struct error error;

    do {
        follow->listed = false;
        error = (struct error){0};
        if (control_downloads(follow->client, true, &taker, &error) == ERROR_NONE)
            (void)error_set(&error, ERROR_UNREACHABLE, "Se perdió la conexión con el peer local");
        settle(follow, REFUSED, &error);
    } while (follow->options.again &&
             !stop_event_wait_ms(interrupt_event(follow->interrupt), AGAIN_MS));
    if (follow->options.end)
        follow->options.end(follow->options.context, &error);
    return NULL;
}

static void free_follow(struct job_follow *follow)
{
    control_client_close(follow->client);
    interrupt_free(follow->interrupt);
    pthread_cond_destroy(&follow->changed);
    pthread_mutex_destroy(&follow->lock);
    free(follow);
}

static enum error_code wait_begun(struct job_follow *follow, struct error *error)
{
    pthread_mutex_lock(&follow->lock);
    while (follow->beginning == WAITING)
        pthread_cond_wait(&follow->changed, &follow->lock);
    enum error_code code = follow->beginning == BEGUN ? ERROR_NONE : follow->error.code;
    if (code != ERROR_NONE && error)
        *error = follow->error;
    pthread_mutex_unlock(&follow->lock);
    return code;
}

enum error_code job_follow_start(const struct job_follow_options *options, struct job_follow **out,
                                 struct error *error)
{
    struct job_follow *follow = memory_new(1, sizeof *follow);

    follow->options = *options;
    follow->interrupt = interrupt_new();
    follow->client =
        control_client_open(options->socket_path, options->start_hint, follow->interrupt);
    pthread_mutex_init(&follow->lock, NULL);
    pthread_cond_init(&follow->changed, NULL);
    int failed = pthread_create(&follow->thread, NULL, follow_loop, follow);
    if (failed) {
        free_follow(follow);
        return error_set_errno(error, failed, "no se puede empezar");
    }
    enum error_code code = wait_begun(follow, error);
    if (code != ERROR_NONE) {
        job_follow_stop(follow);
        return code;
    }
    *out = follow;
    return ERROR_NONE;
}

void job_follow_stop(struct job_follow *follow)
{
    if (!follow)
        return;
    interrupt_raise(follow->interrupt);
    pthread_join(follow->thread, NULL);
    free_follow(follow);
}
