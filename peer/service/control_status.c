#include "peer/service/control_private.h"

#include "common/memory.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/share/list/listing.h"

#include <stdlib.h>

#define JOBS_SHOWN 1000 /* about 200 bytes each: well within a message */

void control_job_fill(struct control_job *job, const struct control_service *service,
                      struct download_status *status)
{
    P2p__Control__Job *message = &job->message;

    *job = (struct control_job){0};
    p2p__control__job__init(message);
    message->id = status->id;
    message->state = status->state;
    message->name = status->name.text;
    message->source = status->source;
    message->bytes = status->bytes;
    message->total_bytes = status->total_bytes;
    message->bytes_per_second = status->bytes_per_second;
    message->failure = control_failure(&job->failure, &status->error);
    message->stream = status->destination == DOWNLOAD_SPOOL;
    message->reason = status->reason;
    message->active_sources = status->active_sources;
    message->held_bytes = status->held_bytes;
    message->priority = status->priority;
    if (status->state == DOWNLOAD_DONE && status->destination == DOWNLOAD_SHARE) {
        job->path = memory_format("%s/%s", share_path(service->options.share), status->stored.text);
        message->path = job->path;
        message->stored_name = status->stored.text;
    }
}

void control_job_done(struct control_job *job)
{
    free(job->path);
}

static void take_off_withdrawn(struct catalogue *catalogue, const struct listing *listing,
                               P2p__Control__StatusReply *message)
{
    struct listing_cursor cursor = {.listing = listing};
    struct listed file;

    if (catalogue_count_damaged(catalogue) == 0)
        return;
    while (listing_next(&cursor, &file))
        if (catalogue_is_withdrawn(catalogue, file.identity)) {
            message->shared_files--;
            message->shared_bytes -= file.identity->size_bytes;
        }
}

static void count_share(const struct control_service *service, P2p__Control__StatusReply *message,
                        struct error *error)
{
    struct listing *listing;

    if (share_listing(service->options.share, &listing, error) != ERROR_NONE)
        return;
    message->shared_files = (int64_t)listing_count(listing);
    message->shared_bytes = listing_bytes(listing);
    take_off_withdrawn(service->options.catalogue, listing, message);
    listing_release(listing);
}

static void fill_daemon(P2p__Control__StatusReply *message, struct control_status *status)
{
    message->version = status->version;
    message->peer_name = status->peer_name;
    message->address = status->address;
    message->uptime_ms = status->uptime_ms;
    message->directory_enabled = status->directory_enabled;
    message->uploads_running = status->uploads_running;
    message->connections = (int64_t)status->connections;
    message->connections_max = (int64_t)status->connections_max;
}

struct directories {
    P2p__Control__Directory items[SETTINGS_DIRECTORIES_MAX];
    P2p__Control__Directory *pointers[SETTINGS_DIRECTORIES_MAX];
};

static void fill_directories(struct directories *directories, P2p__Control__StatusReply *message,
                             struct control_status *status)
{
    for (size_t i = 0; i < status->directory_count; i++) {
        P2p__Control__Directory *item = &directories->items[i];
        p2p__control__directory__init(item);
        item->url = status->directories[i].url;
        item->connected = status->directories[i].connected;
        item->age_ms = status->directories[i].age_ms;
        item->error = status->directories[i].error;
        item->rival = status->directories[i].rival.is_there;
        item->rival_listed = status->directories[i].rival.is_listed;
        item->rival_address = status->directories[i].rival.address;
        directories->pointers[i] = item;
    }
    message->directories = directories->pointers;
    message->n_directories = status->directory_count;
}

/* The jobs that are not over. The messages point into what the caller keeps. */
struct jobs {
    struct download_status *statuses;
    struct control_job *items;
    P2p__Control__Job **pointers;
    size_t count;
};

static void jobs_collect(struct jobs *jobs, const struct control_service *service)
{
    struct downloads *downloads = service->options.downloads;
    struct download_status status;
    auto_free uint64_t *ids = NULL;
    size_t count = downloads_list(downloads, &ids);

    jobs->statuses = memory_new(JOBS_SHOWN, sizeof *jobs->statuses);
    jobs->items = memory_new(JOBS_SHOWN, sizeof *jobs->items);
    jobs->pointers = memory_new(JOBS_SHOWN, sizeof *jobs->pointers);
    jobs->count = 0;
    for (size_t i = 0; i < count && jobs->count < JOBS_SHOWN; i++) {
        if (!downloads_find(downloads, ids[i], &status) || download_state_is_final(status.state))
            continue;
        struct control_job *job = &jobs->items[jobs->count];
        jobs->statuses[jobs->count] = status;
        control_job_fill(job, service, &jobs->statuses[jobs->count]);
        jobs->pointers[jobs->count++] = &job->message;
    }
}

static void jobs_done(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        control_job_done(&jobs->items[i]);
    free(jobs->statuses);
    free(jobs->items);
    free(jobs->pointers);
}

enum error_code control_status_call(void *context, const ProtobufCMessage *request,
                                    struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;
    P2p__Control__StatusReply message = P2P__CONTROL__STATUS_REPLY__INIT;
    P2p__Control__Limits limits;
    P2p__Control__Failure failure;
    auto_free struct control_status *status = memory_new(1, sizeof *status);
    struct directories directories;
    struct downloads_counts counts = {0};
    struct error share_error = {0};
    struct jobs jobs;

    (void)request;
    service->options.describe(service->options.context, status);
    fill_daemon(&message, status);
    fill_directories(&directories, &message, status);
    auto_free char *folder = memory_copy_string(share_path(service->options.share));
    message.folder = folder;
    count_share(service, &message, &share_error);
    message.failure = control_failure(&failure, &share_error);
    downloads_count(service->options.downloads, &counts);
    message.damaged_files = (int64_t)catalogue_count_damaged(service->options.catalogue);
    message.downloads_queued = (int64_t)counts.queued;
    message.downloads_running = (int64_t)counts.running;
    message.downloads_done = (int64_t)counts.done;
    message.downloads_failed = (int64_t)counts.failed;
    message.downloads_paused = (int64_t)counts.paused;
    jobs_collect(&jobs, service);
    message.jobs = jobs.pointers;
    message.n_jobs = jobs.count;
    control_limits_fill(&limits, service->options.limits);
    message.limits = &limits;
    message.uploads_waiting = (int64_t)limits_uploads_waiting(service->options.limits);
    enum error_code code = rpc_reply_pack(reply, &message.base, error);
    jobs_done(&jobs);
    return code;
}
