#include "peer/downloads/job.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/failures.h"
#include "peer/downloads/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the functions of one run hand to each other. */
struct run {
    struct job *job;
    const struct job_environment *environment;
    struct interrupt *interrupt;
};

struct job *job_new(const struct download_request *request)
{
    struct job *job = memory_new(1, sizeof *job);

    job->peer = memory_copy_string(request->peer ? request->peer : "");
    job->address_count = request->address_count;
    if (request->address_count > 0)
        job->addresses = (struct address *)memory_copy(
            request->addresses, request->address_count * sizeof *request->addresses);
    job->draft.name = request->name;
    job->draft.destination = request->destination;
    pthread_mutex_init(&job->spool_lock, NULL);
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    job_drop_spool(job);
    pthread_mutex_destroy(&job->spool_lock);
    free(job->addresses);
    free(job->peer);
    free(job);
}

static void exchange_incoming(struct job *job, struct share_incoming *incoming)
{
    pthread_mutex_lock(&job->spool_lock);
    struct share_incoming *old = job->incoming;
    job->incoming = incoming;
    if (incoming)
        job->spool_attempt++;
    pthread_mutex_unlock(&job->spool_lock);
    share_incoming_abort(old);
}

void job_drop_spool(struct job *job)
{
    exchange_incoming(job, NULL);
}

static void note_progress(void *context, int64_t bytes, int64_t total_bytes)
{
    const struct run *run = context;
    struct download_status *draft = &run->job->draft;

    draft->bytes = bytes;
    draft->total_bytes = total_bytes;
    draft->bytes_per_second = rate_add(&run->job->rate, clock_boot_ms(), bytes);
    run->environment->publish(run->job, true);
}

/* An empty incoming file and a draft that says who is asked now. */
static enum error_code begin_attempt(const struct run *run, const char *who, struct error *error)
{
    struct job *job = run->job;
    struct share_incoming *incoming;

    enum error_code code = share_incoming_begin(run->environment->share, &incoming, error);
    if (code != ERROR_NONE)
        return code;
    exchange_incoming(job, incoming);
    job->draft.state = DOWNLOAD_RUNNING;
    job->draft.attempt = job->spool_attempt;
    job->draft.bytes = 0;
    job->draft.total_bytes = 0;
    job->draft.bytes_per_second = 0;
    snprintf(job->draft.source, sizeof job->draft.source, "%s", who);
    rate_init(&job->rate, clock_boot_ms(), 0);
    run->environment->publish(job, false);
    return ERROR_NONE;
}

static enum error_code commit(struct job *job, struct error *error)
{
    if (job->draft.destination == DOWNLOAD_SPOOL)
        return ERROR_NONE; /* the reader takes it from here */
    enum error_code code = share_incoming_commit(job->incoming, &job->draft.name, SHARE_NUMBER,
                                                 &job->draft.stored, error);
    if (code == ERROR_NONE)
        job->incoming = NULL; /* nobody reads a SHARE job: no lock */
    return code;
}

/* *local: no other source would help. */
static enum error_code try_address(const struct run *run, const struct address *address,
                                   const char *who, bool *local, struct error *error)
{
    struct job *job = run->job;

    *local = true;
    enum error_code code = begin_attempt(run, who, error);
    if (code != ERROR_NONE)
        return code;
    struct run context = *run;
    struct transfer transfer = {
        .address = address,
        .name = &job->draft.name,
        .incoming = job->incoming,
        .interrupt = run->interrupt,
        .stall_ms = DOWNLOADS_STALL_MS,
        .progress = note_progress,
        .context = &context,
    };
    code = transfer_run(&transfer, local, error);
    if (code != ERROR_NONE)
        return code;
    *local = true;
    return commit(job, error);
}

static void describe_source(const char *peer, const struct address *address,
                            char who[DOWNLOAD_SOURCE_BYTES])
{
    char text[ADDRESS_TEXT_BYTES];
    char name[DOWNLOAD_SOURCE_BYTES - ADDRESS_TEXT_BYTES - sizeof " ()"];

    address_format(address, text);
    if (peer[0])
        snprintf(who, DOWNLOAD_SOURCE_BYTES, "%s (%s)", text_clean(peer, name, sizeof name), text);
    else
        snprintf(who, DOWNLOAD_SOURCE_BYTES, "%s", text);
}

/* The addresses of one source in turn. *over: the job is, well or not. */
static enum error_code try_source(const struct run *run, const struct directory_source *source,
                                  struct failures *failures, bool *over, struct error *error)
{
    char who[DOWNLOAD_SOURCE_BYTES];

    for (size_t i = 0; i < source->address_count; i++) {
        describe_source(source->peer, &source->addresses[i], who);
        enum error_code code = try_address(run, &source->addresses[i], who, over, error);
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

static enum error_code try_sources(const struct run *run, const struct directory_sources *sources,
                                   struct error *error)
{
    struct failures failures = {0};
    bool over = false;

    for (size_t i = 0; i < sources->count; i++) {
        enum error_code code = try_source(run, &sources->items[i], &failures, &over, error);
        if (over)
            return code;
    }
    *error = failures.worst;
    return error->code;
}

static void given_sources(const struct job *job, struct directory_sources *sources)
{
    sources->items = memory_new(1, sizeof *sources->items);
    sources->count = 1;
    sources->items[0].peer = memory_copy_string(job->peer);
    sources->items[0].addresses =
        (struct address *)memory_copy(job->addresses, job->address_count * sizeof *job->addresses);
    sources->items[0].address_count = job->address_count;
}

static enum error_code collect_sources(const struct run *run, struct directory_sources *sources,
                                       struct error *error)
{
    struct job *job = run->job;
    const struct source_finder *finder = run->environment->finder;

    if (job->address_count > 0) {
        given_sources(job, sources);
        return ERROR_NONE;
    }
    job->draft.state = DOWNLOAD_SEARCHING;
    run->environment->publish(job, false);
    enum error_code code = sources_find(finder, &job->draft.name, run->interrupt, sources, error);
    if (code != ERROR_NONE)
        return code;
    if (job->peer[0] && !sources_keep_peer(sources, job->peer))
        return error_set(error, ERROR_NOT_FOUND, "El peer '%s' no comparte '%s'", job->peer,
                         job->draft.name.text);
    if (sources->count == 0)
        return error_set(error, ERROR_NOT_FOUND, "Archivo '%s' no encontrado",
                         job->draft.name.text);
    sources_order(finder, sources);
    return ERROR_NONE;
}

void job_run(struct job *job, const struct job_environment *environment,
             struct interrupt *interrupt)
{
    struct run run = {.job = job, .environment = environment, .interrupt = interrupt};
    struct download_status *draft = &job->draft;
    struct directory_sources sources = {0};
    struct error error = {0};

    enum error_code code = collect_sources(&run, &sources, &error);
    if (code == ERROR_NONE)
        code = try_sources(&run, &sources, &error);
    directory_sources_done(&sources);
    if (code != ERROR_NONE && interrupt_raised(interrupt))
        code = error_set(&error, ERROR_CANCELLED, "cancelado");

    if (code != ERROR_NONE || draft->destination == DOWNLOAD_SHARE)
        job_drop_spool(job);
    draft->bytes_per_second = 0;
    if (code == ERROR_NONE) {
        draft->state = DOWNLOAD_DONE;
        draft->total_bytes = draft->bytes;
    } else {
        draft->state = code == ERROR_CANCELLED ? DOWNLOAD_CANCELLED : DOWNLOAD_FAILED;
        draft->error = error;
    }
    environment->publish(job, false);
}
