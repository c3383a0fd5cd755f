#include "peer/terminal/job_follow.h"

#include "common/memory.h"
#include "peer/network/interrupt.h"
#include "peer/terminal/control_client.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct news {
    P2p__Control__DownloadsReply *reply;
    struct news *next;
};

struct job_follow {
    pthread_t thread;
    struct interrupt *interrupt;
    struct control_client *client;
    int descriptor; /* an eventfd */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct news *first;
    struct news **last;
    bool begun;
    bool ended;
    struct error error; /* ended: why */
};

static void wake(const struct job_follow *follow)
{
    uint64_t one = 1;

    if (write(follow->descriptor, &one, sizeof one) < 0)
        return; /* only when it is readable already */
}

static void append_locked(struct job_follow *follow, P2p__Control__DownloadsReply *reply)
{
    struct news *news = memory_new(1, sizeof *news);

    news->reply = reply;
    *follow->last = news;
    follow->last = &news->next;
}

/* What the daemon lists at first was there before us. */
static enum error_code take_change(void *context, ProtobufCMessage **message, bool *stop,
                                   struct error *error)
{
    struct job_follow *follow = context;
    const P2p__Control__DownloadsReply *reply = (const P2p__Control__DownloadsReply *)*message;

    (void)stop;
    (void)error;
    pthread_mutex_lock(&follow->lock);
    if (reply->listed) {
        follow->begun = true;
        pthread_cond_signal(&follow->changed);
    } else if (follow->begun && reply->job) {
        append_locked(follow, (P2p__Control__DownloadsReply *)take_pointer(message));
    }
    pthread_mutex_unlock(&follow->lock);
    wake(follow);
    return ERROR_NONE;
}

static void *follow_loop(void *context)
{
    struct job_follow *follow = context;
    struct control_taker taker = {.take = take_change, .context = follow};
    struct error error = {0};

    if (control_downloads(follow->client, true, &taker, &error) == ERROR_NONE)
        (void)error_set(&error, ERROR_UNREACHABLE, "Se perdió la conexión con el peer local");
    pthread_mutex_lock(&follow->lock);
    follow->ended = true;
    follow->error = error;
    pthread_cond_signal(&follow->changed);
    pthread_mutex_unlock(&follow->lock);
    wake(follow);
    return NULL;
}

static void free_follow(struct job_follow *follow)
{
    while (follow->first) {
        struct news *news = follow->first;
        follow->first = news->next;
        protobuf_c_message_free_unpacked(&news->reply->base, NULL);
        free(news);
    }
    control_client_close(follow->client);
    interrupt_free(follow->interrupt);
    pthread_cond_destroy(&follow->changed);
    pthread_mutex_destroy(&follow->lock);
    if (follow->descriptor >= 0)
        (void)close(follow->descriptor);
    free(follow);
}

static enum error_code wait_begun(struct job_follow *follow, struct error *error)
{
    pthread_mutex_lock(&follow->lock);
    while (!follow->begun && !follow->ended)
        pthread_cond_wait(&follow->changed, &follow->lock);
    enum error_code code = follow->begun ? ERROR_NONE : follow->error.code;
    if (code != ERROR_NONE && error)
        *error = follow->error;
    pthread_mutex_unlock(&follow->lock);
    return code;
}

enum error_code job_follow_start(const char *socket_path, const char *start_hint,
                                 struct job_follow **out, struct error *error)
{
    struct job_follow *follow = memory_new(1, sizeof *follow);

    follow->interrupt = interrupt_new();
    follow->client = control_client_open(socket_path, start_hint, follow->interrupt);
    follow->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    follow->last = &follow->first;
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

int job_follow_descriptor(const struct job_follow *follow)
{
    return follow->descriptor;
}

P2p__Control__DownloadsReply *job_follow_take(struct job_follow *follow, enum error_code *code,
                                              struct error *error)
{
    P2p__Control__DownloadsReply *reply = NULL;
    uint64_t count;

    *code = ERROR_NONE;
    pthread_mutex_lock(&follow->lock);
    struct news *news = follow->first;
    if (news) {
        reply = news->reply;
        follow->first = news->next;
        if (!follow->first)
            follow->last = &follow->first;
    } else if (follow->ended) {
        *code = follow->error.code;
        *error = follow->error;
    } else if (read(follow->descriptor, &count, sizeof count) < 0) {
        count = 0; /* it was not readable: nothing to take back */
    }
    pthread_mutex_unlock(&follow->lock);
    free(news);
    return reply;
}
