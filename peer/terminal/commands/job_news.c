#include "peer/terminal/commands/job_news.h"

#include "common/memory.h"
#include "peer/terminal/job_follow.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct item {
    P2p__Control__DownloadsReply *reply;
    struct item *next;
};

struct job_news {
    struct job_follow *follow;
    int descriptor; /* an eventfd */

    pthread_mutex_t lock; /* guards what follows */
    struct item *first;
    struct item **last;
    bool ended;
    struct error error; /* ended: why */
};

static void wake(const struct job_news *news)
{
    uint64_t one = 1;

    if (write(news->descriptor, &one, sizeof one) < 0)
        return; /* only when it is readable already */
}

static void take(void *context, P2p__Control__DownloadsReply **reply)
{
    struct job_news *news = context;
    struct item *item = memory_new(1, sizeof *item);

    item->reply = take_pointer(reply);
    pthread_mutex_lock(&news->lock);
    *news->last = item;
    news->last = &item->next;
    pthread_mutex_unlock(&news->lock);
    wake(news);
}

static void end(void *context, const struct error *error)
{
    struct job_news *news = context;

    pthread_mutex_lock(&news->lock);
    news->ended = true;
    news->error = *error;
    pthread_mutex_unlock(&news->lock);
    wake(news);
}

enum error_code job_news_start(const char *socket_path, const char *start_hint,
                               struct job_news **out, struct error *error)
{
    struct job_news *news = memory_new(1, sizeof *news);
    const struct job_follow_options options = {.socket_path = socket_path,
                                               .start_hint = start_hint,
                                               .take = take,
                                               .end = end,
                                               .context = news};

    news->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    news->last = &news->first;
    pthread_mutex_init(&news->lock, NULL);
    enum error_code code = job_follow_start(&options, &news->follow, error);
    if (code != ERROR_NONE) {
        job_news_stop(news);
        return code;
    }
    *out = news;
    return ERROR_NONE;
}

void job_news_stop(struct job_news *news)
{
    if (!news)
        return;
    job_follow_stop(news->follow);
    while (news->first) {
        struct item *item = news->first;
        news->first = item->next;
        protobuf_c_message_free_unpacked(&item->reply->base, NULL);
        free(item);
    }
    pthread_mutex_destroy(&news->lock);
    if (news->descriptor >= 0)
        (void)close(news->descriptor);
    free(news);
}

int job_news_descriptor(const struct job_news *news)
{
    return news->descriptor;
}

P2p__Control__DownloadsReply *job_news_take(struct job_news *news, enum error_code *code,
                                            struct error *error)
{
    P2p__Control__DownloadsReply *reply = NULL;
    uint64_t count;

    *code = ERROR_NONE;
    pthread_mutex_lock(&news->lock);
    struct item *item = news->first;
    if (item) {
        reply = item->reply;
        news->first = item->next;
        if (!news->first)
            news->last = &news->first;
    } else if (news->ended) {
        *code = news->error.code;
        *error = news->error;
    } else if (read(news->descriptor, &count, sizeof count) < 0) {
        count = 0; /* it was not readable: nothing to take back */
    }
    pthread_mutex_unlock(&news->lock);
    free(item);
    return reply;
}
