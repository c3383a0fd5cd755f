#include "peer/terminal/job_list.h"

#include "common/memory.h"

#include <inttypes.h>
#include <stdlib.h>

static enum error_code take_job(void *context, ProtobufCMessage **message, bool *stop,
                                struct error *error)
{
    struct job_list *list = context;

    (void)stop;
    (void)error;
    if (!((const P2p__Control__DownloadsReply *)*message)->job)
        return ERROR_NONE;
    list->replies = memory_resize(list->replies, list->count + 1, sizeof *list->replies);
    list->replies[list->count++] = (P2p__Control__DownloadsReply *)take_pointer(message);
    return ERROR_NONE;
}

static int compare(const void *a, const void *b)
{
    const P2p__Control__DownloadsReply *const *first = a;
    const P2p__Control__DownloadsReply *const *second = b;

    return ((*first)->job->id > (*second)->job->id) - ((*first)->job->id < (*second)->job->id);
}

enum error_code job_list_get(struct control_client *client, struct job_list *list,
                             struct error *error)
{
    struct control_taker taker = {.take = take_job, .context = list};

    *list = (struct job_list){0};
    enum error_code code = control_downloads(client, false, &taker, error);
    if (code != ERROR_NONE) {
        job_list_done(list);
        return code;
    }
    if (list->count > 1)
        qsort(list->replies, list->count, sizeof *list->replies, compare);
    list->jobs = memory_new(list->count + 1, sizeof *list->jobs);
    for (size_t i = 0; i < list->count; i++)
        list->jobs[i] = list->replies[i]->job;
    return ERROR_NONE;
}

void job_list_done(struct job_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        protobuf_c_message_free_unpacked(&list->replies[i]->base, NULL);
    free(list->replies);
    free(list->jobs);
    *list = (struct job_list){0};
}

static int compare_id(const void *id, const void *item)
{
    uint64_t left = *(const uint64_t *)id;
    uint64_t right = (*(P2p__Control__Job *const *)item)->id;

    return (left > right) - (left < right);
}

const P2p__Control__DownloadsReply *job_list_find_reply(const struct job_list *list, uint64_t id)
{
    P2p__Control__Job *const *found =
        list->count == 0
            ? NULL
            : bsearch(&id, list->jobs, list->count, sizeof(P2p__Control__Job *), compare_id);

    return found ? list->replies[found - list->jobs] : NULL;
}

const P2p__Control__Job *job_list_find(const struct job_list *list, uint64_t id)
{
    const P2p__Control__DownloadsReply *reply = job_list_find_reply(list, id);

    return reply ? reply->job : NULL;
}

enum error_code job_list_missing(uint64_t id, struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "No existe la descarga %" PRIu64, id);
}
