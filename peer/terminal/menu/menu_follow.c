#include "peer/terminal/menu/menu_follow.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/network/interrupt.h"
#include "peer/terminal/control_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000

enum beginning { WAITING, BEGUN, REFUSED };

struct menu_follow {
    pthread_t thread;
    struct interrupt *interrupt;
    struct control_client *client;
    struct menu_events *events;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum beginning beginning;
    struct error error; /* REFUSED */
};

static void post(const struct menu_follow *follow, char *text)
{
    auto_free char *owned = text;
    auto_free char *clean = memory_new(strlen(text) + 1, 1);

    menu_events_post_line(follow->events, text_clean(owned, clean, strlen(owned) + 1));
}

static void tell_end(const struct menu_follow *follow, const P2p__Control__Job *job)
{
    if (job->state != DOWNLOAD_DONE) {
        post(follow, memory_format("❌ Error al descargar: %s: %s", job->name,
                                   job->failure ? job->failure->text : ""));
        return;
    }
    post(follow, memory_format("✅ Archivo descargado exitosamente: %s", job->path));
    if (strcmp(job->stored_name, job->name) != 0)
        post(follow, memory_format("Ya existía %s con otro contenido: se guardó como %s", job->name,
                                   job->stored_name));
}

static void settle(struct menu_follow *follow, enum beginning beginning, const struct error *error)
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

static enum error_code take_change(void *context, ProtobufCMessage **message, bool *stop,
                                   struct error *error)
{
    struct menu_follow *follow = context;
    const P2p__Control__FollowReply *reply = (const P2p__Control__FollowReply *)*message;

    (void)stop;
    (void)error;
    settle(follow, BEGUN, NULL);
    /* What goes to a reader (get --output) is that command's to tell. */
    if (reply->job && !reply->job->stream &&
        download_state_is_final((enum download_state)reply->job->state))
        tell_end(follow, reply->job);
    return ERROR_NONE;
}

static void *follow_loop(void *context)
{
    struct menu_follow *follow = context;
    struct control_taker taker = {.take = take_change, .context = follow};
    struct error error = {0};

    do {
        if (control_follow(follow->client, &taker, &error) != ERROR_NONE)
            settle(follow, REFUSED, &error);
    } while (!stop_event_wait_ms(interrupt_event(follow->interrupt), RETRY_MS));
    return NULL;
}

static enum error_code wait_begun(struct menu_follow *follow, struct error *error)
{
    pthread_mutex_lock(&follow->lock);
    while (follow->beginning == WAITING)
        pthread_cond_wait(&follow->changed, &follow->lock);
    bool begun = follow->beginning == BEGUN;
    if (!begun && error)
        *error = follow->error;
    enum error_code code = begun ? ERROR_NONE : follow->error.code;
    pthread_mutex_unlock(&follow->lock);
    return code;
}

static void free_follow(struct menu_follow *follow)
{
    control_client_close(follow->client);
    interrupt_free(follow->interrupt);
    pthread_cond_destroy(&follow->changed);
    pthread_mutex_destroy(&follow->lock);
    free(follow);
}

enum error_code menu_follow_start(const char *socket_path, const char *start_hint,
                                  struct menu_events *events, struct menu_follow **out,
                                  struct error *error)
{
    struct menu_follow *follow = memory_new(1, sizeof *follow);

    follow->interrupt = interrupt_new();
    follow->client = control_client_open(socket_path, start_hint, follow->interrupt);
    follow->events = events;
    pthread_mutex_init(&follow->lock, NULL);
    pthread_cond_init(&follow->changed, NULL);
    int failed = pthread_create(&follow->thread, NULL, follow_loop, follow);
    if (failed) {
        free_follow(follow);
        return error_set_errno(error, failed, "no se puede empezar");
    }
    enum error_code code = wait_begun(follow, error);
    if (code != ERROR_NONE) {
        menu_follow_stop(follow);
        return code;
    }
    *out = follow;
    return ERROR_NONE;
}

void menu_follow_stop(struct menu_follow *follow)
{
    if (!follow)
        return;
    interrupt_raise(follow->interrupt);
    pthread_join(follow->thread, NULL);
    free_follow(follow);
}
