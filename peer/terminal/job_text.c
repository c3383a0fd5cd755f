#include "peer/terminal/job_text.h"

#include "common/compiler.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/progress.h"
#include "peer/terminal/units.h"

#include <string.h>

#define CLEANED_BYTES 1024

const char *job_state_text(const P2p__Control__Job *job)
{
    static const char *const texts[DOWNLOAD_STATE_COUNT] = {
        [DOWNLOAD_QUEUED] = "en cola",      [DOWNLOAD_SEARCHING] = "buscando",
        [DOWNLOAD_RUNNING] = "descargando", [DOWNLOAD_DONE] = "terminada",
        [DOWNLOAD_FAILED] = "fallida",      [DOWNLOAD_CANCELLED] = "cancelada",
        [DOWNLOAD_WAITING] = "espera",      [DOWNLOAD_PAUSED] = "en pausa",
    };

    return job->state < DOWNLOAD_STATE_COUNT ? texts[job->state] : "?";
}

const char *job_priority_text(int priority)
{
    static const char *const texts[DOWNLOAD_PRIORITY_COUNT] = {"baja", "normal", "alta"};

    return download_priority_is_valid(priority) ? texts[priority - DOWNLOAD_LOW] : "?";
}

bool job_is_over(const P2p__Control__Job *job)
{
    return job->state < DOWNLOAD_STATE_COUNT &&
           download_state_is_final((enum download_state)job->state);
}

int job_percent(const P2p__Control__Job *job)
{
    if (job->state == DOWNLOAD_DONE)
        return 100;
    if (job->total_bytes <= 0 || job->bytes < 0 || job->bytes > job->total_bytes)
        return -1;
    return (int)((double)job->bytes * 100 / (double)job->total_bytes);
}

int64_t job_seconds_left(const P2p__Control__Job *job)
{
    struct progress progress = {.name = "",
                                .bytes = job->bytes,
                                .total_bytes = job->total_bytes,
                                .bytes_per_second = job->bytes_per_second};

    return job->state == DOWNLOAD_RUNNING ? progress_seconds_left(&progress) : -1;
}

const char *job_why(const P2p__Control__Job *job)
{
    if (job->state == DOWNLOAD_WAITING)
        return job->reason;
    return job->state == DOWNLOAD_FAILED && job->failure ? job->failure->text : "";
}

static void describe_progress(const P2p__Control__Job *job, struct buffer *out)
{
    char text[UNITS_TEXT_BYTES];
    int percent = job_percent(job);
    int64_t left = job_seconds_left(job);

    if (percent >= 0)
        buffer_printf(out, ", %d %% de %s", percent, units_bytes(job->total_bytes, text));
    else if (job->bytes > 0)
        buffer_printf(out, ", %s", units_bytes(job->bytes, text));
    if (job->state != DOWNLOAD_RUNNING)
        return;
    buffer_printf(out, ", %s/s", units_bytes(job->bytes_per_second, text));
    if (left >= 0)
        buffer_printf(out, ", quedan %s", units_duration(left, text));
    if (job->active_sources > 0)
        buffer_printf(out, ", %u %s", job->active_sources,
                      job->active_sources == 1 ? "fuente" : "fuentes");
}

void job_describe(const P2p__Control__Job *job, struct buffer *out)
{
    buffer_append_string(out, job_state_text(job));
    if (job->state == DOWNLOAD_DONE && job->path[0])
        buffer_printf(out, ", en %s", job->path);
    else if (job->state == DOWNLOAD_DONE) /* where it went only the command knew */
        buffer_append_string(out, ", entregada a get --output");
    else if (!job_is_over(job))
        describe_progress(job, out);
    if (!job_is_over(job) && job->priority != DOWNLOAD_NORMAL)
        buffer_printf(out, ", prioridad %s", job_priority_text(job->priority));
    if (job_why(job)[0])
        buffer_printf(out, ": %s", job_why(job));
}

void job_json_text(struct json_writer *json, const char *key, const char *text)
{
    char clean[CLEANED_BYTES];

    if (text_has_control(text, strlen(text)))
        text = text_clean(text, clean, sizeof clean);
    json_write_string(json, key, text);
}

void job_json_keys(struct json_writer *json, const P2p__Control__Job *job)
{
    int64_t left = job_seconds_left(job);

    json_write_integer(json, "id", (int64_t)job->id);
    json_write_string(json, "name", job->name);
    json_write_string(json, "state", download_state_name((enum download_state)job->state));
    json_write_string(json, "priority",
                      download_priority_name((enum download_priority)job->priority));
    job_json_text(json, "source", job->source);
    json_write_integer(json, "bytes", job->bytes);
    json_write_integer(json, "total_bytes", job->total_bytes);
    json_write_integer(json, "bytes_per_second", job->bytes_per_second);
    json_write_integer(json, "held_bytes", job->held_bytes);
    json_write_integer(json, "sources", job->active_sources);
    job_json_text(json, "reason", job_why(job));
    if (left >= 0)
        json_write_integer(json, "left_ms", left > INT64_MAX / 1000 ? INT64_MAX : left * 1000);
    else
        json_write_null(json, "left_ms");
    if (job->state == DOWNLOAD_DONE)
        json_write_string(json, "path", job->path);
}

void job_json(struct json_writer *json, const P2p__Control__Job *job)
{
    json_begin_object(json, NULL);
    job_json_keys(json, job);
    json_end_object(json);
}
