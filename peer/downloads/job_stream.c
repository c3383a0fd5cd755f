/* A download whose content nobody knows: one whole stream, from one source after the other. */
#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/failures.h"
#include "peer/downloads/job.h"
#include "peer/downloads/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note_progress(void *context, int64_t bytes, int64_t total_bytes)
{
    const struct job_call *call = context;
    struct download_status *draft = &call->job->draft;

    draft->bytes = bytes;
    draft->total_bytes = total_bytes;
    draft->bytes_per_second = rate_add(&call->job->rate, clock_boot_ms(), bytes);
    call->environment->publish(call->job, true);
}

static void note_source(struct job *job, const struct address *address)
{
    pthread_mutex_lock(&job->spool_lock);
    free(job->stream_from);
    job->stream_from = (struct address *)memory_copy(address, sizeof *address);
    pthread_mutex_unlock(&job->spool_lock);
}

/* An empty incoming file and a draft that says who is asked now. */
static enum error_code begin_attempt(const struct job_call *call, const struct address *address,
                                     const char *who, struct error *error)
{
    struct job *job = call->job;
    struct share_incoming *incoming;

    enum error_code code = share_incoming_begin(call->environment->share, &incoming, error);
    if (code != ERROR_NONE)
        return code;
    job_exchange_incoming(job, incoming);
    note_source(job, address);
    job->draft.state = DOWNLOAD_RUNNING;
    job->draft.active_sources = 1;
    job->draft.attempt = job->spool_attempt;
    job->draft.bytes = 0;
    job->draft.total_bytes = 0;
    job->draft.bytes_per_second = 0;
    snprintf(job->draft.source, sizeof job->draft.source, "%s", who);
    rate_init(&job->rate, clock_boot_ms(), 0);
    call->environment->publish(job, false);
    return ERROR_NONE;
}

enum error_code job_store(struct job *job, struct error *error)
{
    if (job->draft.destination == DOWNLOAD_SPOOL)
        return ERROR_NONE;
    enum error_code code = share_incoming_commit(job->incoming, &job->draft.name, SHARE_NUMBER,
                                                 &job->draft.stored, error);
    if (code == ERROR_NONE)
        job->incoming = NULL; /* nobody reads a SHARE job: no lock */
    return code;
}

/* *local: no other source would help. */
static enum error_code try_address(const struct job_call *call, const struct address *address,
                                   const char *who, bool *local, struct error *error)
{
    struct job *job = call->job;

    *local = true;
    enum error_code code = begin_attempt(call, address, who, error);
    if (code != ERROR_NONE)
        return code;
    struct job_call context = *call;
    struct transfer transfer = {
        .address = address,
        .name = &job->draft.name,
        .incoming = job->incoming,
        .interrupt = call->interrupt,
        .limits = call->environment->limits,
        .stall_ms = call->environment->stall_ms,
        .progress = note_progress,
        .context = &context,
    };
    code = transfer_run(&transfer, local, error);
    if (code != ERROR_NONE)
        return code;
    *local = true;
    sources_worked(call->environment->finder, address);
    return job_store(job, error);
}

/* The addresses of one source in turn. *over: the job is, well or not. */
static enum error_code try_source(const struct job_call *call,
                                  const struct directory_source *source, struct failures *failures,
                                  bool *over, struct error *error)
{
    char who[DOWNLOAD_SOURCE_BYTES];

    for (size_t i = 0; i < source->address_count; i++) {
        swarm_describe_source(source->peer, &source->addresses[i], who);
        enum error_code code = try_address(call, &source->addresses[i], who, over, error);
        if (*over)
            return code;
        failures_add(failures, who, error);
    }
    if (source->address_count == 0) {
        error_set(error, ERROR_UNREACHABLE, "no se conoce su dirección");
        failures_add(failures, source->peer, error);
    }
    return failures->worst.code;
}

enum error_code job_fetch_stream(const struct job_call *call,
                                 const struct directory_sources *sources, struct error *error)
{
    struct failures failures = {0};
    bool over = false;

    for (size_t i = 0; i < sources->count; i++) {
        enum error_code code = try_source(call, &sources->items[i], &failures, &over, error);
        if (over)
            return code;
    }
    *error = failures.worst;
    return error->code;
}
