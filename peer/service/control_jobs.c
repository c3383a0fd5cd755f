/* Begin, Downloads, Pause, Resume, Cancel, Prioritize and Sources: what a user does with the jobs.
 */
#include "peer/service/control_private.h"

#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>

#define SOURCES_SHOWN 64
#define BEGIN_MAX     100 /* a journal each is written meanwhile: some milliseconds */

/* ---- Begin ---- */

/* The memory that the message of one points to. */
struct begun {
    P2p__Control__Begun message;
    P2p__Control__Failure failure;
    struct error refusal;
    uint64_t id;
};

/* What is asked for, name by name. */
struct beginning {
    struct begun begun[BEGIN_MAX];
    struct download_request requests[BEGIN_MAX]; /* of those that are good */
    size_t wanted[BEGIN_MAX];                    /* their places in begun */
    size_t wanted_count;
    struct address addresses[CONTROL_SOURCE_ADDRESSES];
};

static void check_names(struct control_service *service, struct beginning *beginning,
                        const P2p__Control__BeginRequest *asked, size_t count)
{
    P2p__Control__GetRequest wanted = P2P__CONTROL__GET_REQUEST__INIT;

    wanted.peer = asked->peer;
    wanted.addresses = asked->addresses;
    wanted.n_addresses = asked->n_addresses;
    wanted.priority = asked->priority;
    for (size_t i = 0; i < count; i++) {
        wanted.name = asked->names[i];
        if (control_parse_get(service, &wanted, &beginning->requests[beginning->wanted_count],
                              beginning->addresses, &beginning->begun[i].refusal) == ERROR_NONE)
            beginning->wanted[beginning->wanted_count++] = i;
    }
}

/* Returns how many of the names are answered: what follows found no room in the line. */
static size_t begin_all(struct control_service *service, struct beginning *beginning, size_t count)
{
    uint64_t ids[BEGIN_MAX];
    struct error refusal = {0};
    size_t begun = downloads_add_all(service->options.downloads, beginning->requests,
                                     beginning->wanted_count, ids, &refusal);

    for (size_t i = 0; i < begun; i++)
        beginning->begun[beginning->wanted[i]].id = ids[i];
    if (begun < beginning->wanted_count && refusal.code == ERROR_BUSY)
        return beginning->wanted[begun];
    for (size_t i = begun; i < beginning->wanted_count; i++)
        beginning->begun[beginning->wanted[i]].refusal = refusal;
    return count;
}

enum error_code control_begin_call(void *context, const ProtobufCMessage *request,
                                   struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;
    const P2p__Control__BeginRequest *asked = (const P2p__Control__BeginRequest *)request;
    P2p__Control__BeginReply message = P2P__CONTROL__BEGIN_REPLY__INIT;
    auto_free struct beginning *beginning = memory_new(1, sizeof *beginning);
    P2p__Control__Begun *pointers[BEGIN_MAX];
    size_t count = asked->n_names < BEGIN_MAX ? asked->n_names : BEGIN_MAX;

    check_names(service, beginning, asked, count);
    message.n_jobs = begin_all(service, beginning, count);
    message.jobs = pointers;
    for (size_t i = 0; i < message.n_jobs; i++) {
        struct begun *begun = &beginning->begun[i];
        p2p__control__begun__init(&begun->message);
        begun->message.id = begun->id;
        begun->message.failure = control_failure(&begun->failure, &begun->refusal);
        pointers[i] = &begun->message;
    }
    return rpc_reply_pack(reply, &message.base, error);
}

/* ---- Downloads ---- */

struct listing {
    struct control_service *service;
    struct downloads_follower follower;
    bool follow;
    uint64_t *ids; /* what there was when it was asked for: each is told, however it changes */
    size_t count;
    size_t told;      /* of them */
    bool listed;      /* all of them, and that was said */
    int64_t start_ms; /* boot clock */
};

static void wake_call(void *context)
{
    rpc_call_wake(context);
}

void *control_downloads_open(void *service, struct rpc_call *call)
{
    struct listing *listing = memory_new(1, sizeof *listing);

    listing->service = service;
    listing->start_ms = clock_boot_ms();
    listing->follower = (struct downloads_follower){.wake = wake_call, .context = call};
    return listing;
}

enum error_code control_downloads_message(void *state, const struct rpc_request *request,
                                          struct error *error)
{
    struct listing *listing = state;
    struct downloads *downloads = listing->service->options.downloads;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta la petición");
    listing->follow = ((const P2p__Control__DownloadsRequest *)request->message)->follow;
    if (listing->follow) /* before the list: a change between the two is told twice, not never */
        downloads_follow(downloads, &listing->follower);
    listing->count = downloads_list(downloads, &listing->ids);
    return ERROR_NONE;
}

/* The next of the list, as it is by now; else, for who follows, what has changed. */
static bool next_job(struct listing *listing, struct download_status *status)
{
    struct downloads *downloads = listing->service->options.downloads;

    while (listing->told < listing->count)
        if (downloads_find(downloads, listing->ids[listing->told++], status))
            return true;
    return listing->listed && downloads_next_change(downloads, &listing->follower, status);
}

enum rpc_step control_downloads_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct listing *listing = state;
    P2p__Control__DownloadsReply message = P2P__CONTROL__DOWNLOADS_REPLY__INIT;
    struct locator *locator = listing->service->options.finder->locator;
    char note[LOCATED_NOTE_BYTES] = "";
    struct download_status status;
    struct control_job job = {0};

    if (listing->listed && !listing->follow)
        return RPC_END;
    if (next_job(listing, &status)) {
        control_job_fill(&job, listing->service, &status);
        message.job = &job.message;
        if (listing->listed && locator && download_state_is_final(status.state))
            locator_note(locator, &status.name, listing->start_ms, note);
        message.note = note;
    } else if (!listing->listed) {
        message.listed = listing->listed = true;
    } else {
        return RPC_WAIT;
    }
    enum error_code code = rpc_reply_pack(reply, &message.base, error);
    control_job_done(&job);
    return code == ERROR_NONE ? RPC_SEND : RPC_END;
}

void control_downloads_close(void *state)
{
    struct listing *listing = state;

    if (listing->follow)
        downloads_unfollow(listing->service->options.downloads, &listing->follower);
    free(listing->ids);
    free(listing);
}

/* ---- Pause, Resume, Cancel, Prioritize ---- */

static uint64_t job_of(const ProtobufCMessage *request)
{
    return ((const P2p__Control__JobRequest *)request)->id;
}

static enum error_code no_such_job(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "No existe esa descarga");
}

static enum error_code answer_failure(struct error *refusal, struct rpc_reply *reply,
                                      struct error *error)
{
    P2p__Control__JobReply message = P2P__CONTROL__JOB_REPLY__INIT;
    P2p__Control__Failure failure;

    message.failure = control_failure(&failure, refusal);
    return rpc_reply_pack(reply, &message.base, error);
}

static enum error_code answer(bool found, struct rpc_reply *reply, struct error *error)
{
    struct error missing = {0};

    if (!found)
        (void)no_such_job(&missing);
    return answer_failure(&missing, reply, error);
}

enum error_code control_pause_call(void *context, const ProtobufCMessage *request,
                                   struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;

    return answer(downloads_pause(service->options.downloads, job_of(request)), reply, error);
}

enum error_code control_resume_call(void *context, const ProtobufCMessage *request,
                                    struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;

    return answer(downloads_resume(service->options.downloads, job_of(request)), reply, error);
}

enum error_code control_cancel_call(void *context, const ProtobufCMessage *request,
                                    struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;

    return answer(downloads_cancel(service->options.downloads, job_of(request)), reply, error);
}

enum error_code control_prioritize_call(void *context, const ProtobufCMessage *request,
                                        struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;
    const P2p__Control__PriorityRequest *message = (const P2p__Control__PriorityRequest *)request;
    enum download_priority priority = (enum download_priority)message->priority;
    struct error refusal = {0};

    if (!download_priority_is_valid(message->priority))
        (void)error_set(&refusal, ERROR_INVALID, "No existe esa prioridad");
    else if (!downloads_set_priority(service->options.downloads, message->id, priority))
        (void)no_such_job(&refusal);
    return answer_failure(&refusal, reply, error);
}

/* ---- Sources ---- */

/* The memory that the message of a source points to. */
struct source_row {
    P2p__Control__JobSource message;
    P2p__Control__Failure failure;
    char address[ADDRESS_TEXT_BYTES];
};

static void fill_row(struct source_row *row, struct download_source *source)
{
    p2p__control__job_source__init(&row->message);
    row->message.who = source->who;
    row->message.address = (char *)(uintptr_t)address_format(&source->address, row->address);
    row->message.state = source->state;
    row->message.bytes = source->bytes;
    row->message.bytes_per_second = source->bytes_per_second;
    row->message.retry_in_ms = source->retry_in_ms;
    row->message.liar = source->liar;
    row->message.place = source->place;
    row->message.whole_stream = source->whole_stream;
    row->message.failure = control_failure(&row->failure, &source->error);
}

enum error_code control_sources_call(void *context, const ProtobufCMessage *request,
                                     struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;
    struct downloads *downloads = service->options.downloads;
    P2p__Control__SourcesReply message = P2P__CONTROL__SOURCES_REPLY__INIT;
    P2p__Control__Failure failure;
    struct error missing = {0};
    auto_free struct download_status *status = memory_new(1, sizeof *status);
    auto_free struct download_source *sources = memory_new(SOURCES_SHOWN, sizeof *sources);
    auto_free struct source_row *rows = memory_new(SOURCES_SHOWN, sizeof *rows);
    P2p__Control__JobSource *pointers[SOURCES_SHOWN];

    if (!downloads_find(downloads, job_of(request), status))
        (void)no_such_job(&missing);
    message.failure = control_failure(&failure, &missing);
    message.n_sources = downloads_sources(downloads, job_of(request), sources, SOURCES_SHOWN);
    message.sources = pointers;
    for (size_t i = 0; i < message.n_sources; i++) {
        fill_row(&rows[i], &sources[i]);
        pointers[i] = &rows[i].message;
    }
    return rpc_reply_pack(reply, &message.base, error);
}
