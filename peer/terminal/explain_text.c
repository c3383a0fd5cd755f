#include "peer/terminal/explain_text.h"

#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/units.h"

#include <inttypes.h>
#include <stdbool.h>

#define CLEANED_BYTES 1024

/* ---- the download ---- */

static void tell_job(const P2p__Control__Job *job, struct buffer *out)
{
    char clean[CLEANED_BYTES];
    char bytes[UNITS_TEXT_BYTES];
    char total[UNITS_TEXT_BYTES];
    int percent = job_percent(job);
    int64_t left = job_seconds_left(job);

    buffer_printf(out, "Descarga %" PRIu64 ": %s\n", job->id,
                  text_clean(job->name, clean, sizeof clean));
    buffer_printf(out, "Estado: %s", job_state_text(job));
    if (job->state != DOWNLOAD_DONE && percent >= 0)
        buffer_printf(out, ", %d %% (%s de %s)", percent, units_bytes(job->bytes, bytes),
                      units_bytes(job->total_bytes, total));
    else if (job->bytes > 0)
        buffer_printf(out, ", %s", units_bytes(job->bytes, bytes));
    if (job->state == DOWNLOAD_RUNNING)
        buffer_printf(out, ", a %s/s", units_bytes(job->bytes_per_second, bytes));
    if (left >= 0)
        buffer_printf(out, ", quedan %s", units_duration(left, bytes));
    if (!job_is_over(job) && job->priority != DOWNLOAD_NORMAL)
        buffer_printf(out, ", prioridad %s", job_priority_text(job->priority));
    buffer_append_string(out, ".\n");
}

/* ---- its sources ---- */

static void tell_failure(const P2p__Control__JobSource *source, struct buffer *out)
{
    char clean[CLEANED_BYTES];

    if (source->failure)
        buffer_printf(out, " Último fallo: %s.",
                      text_clean(source->failure->text, clean, sizeof clean));
}

static void tell_source(const P2p__Control__JobSource *source, bool over, struct buffer *out)
{
    char clean[CLEANED_BYTES];
    char text[UNITS_TEXT_BYTES];

    buffer_printf(out, "- %s: ", text_clean(source->who, clean, sizeof clean));
    if (source->liar)
        buffer_append_string(out, "descartada porque envió datos que no son los del archivo.");
    else if (source->state == DOWNLOAD_SOURCE_ACTIVE && source->place > 0)
        buffer_printf(out, "nos tiene en su cola, en el puesto %" PRId64 ".", source->place);
    else if (source->state == DOWNLOAD_SOURCE_ACTIVE)
        buffer_printf(out, "envía ahora, a %s/s.", units_bytes(source->bytes_per_second, text));
    else if (source->state == DOWNLOAD_SOURCE_LATER && source->retry_in_ms > 0)
        buffer_printf(out, "falló; se reintenta en %s.",
                      units_duration((source->retry_in_ms + 999) / 1000, text));
    else if (source->state == DOWNLOAD_SOURCE_LATER)
        buffer_append_string(out, "falló; se reintenta en cuanto haya sitio.");
    else if (source->state == DOWNLOAD_SOURCE_DROPPED)
        buffer_append_string(out, "descartada para esta descarga.");
    else if (source->bytes > 0 || over)
        buffer_append_string(out, over ? "ya no hace falta." : "ahora no envía.");
    else
        buffer_append_string(out, "todavía no se le ha pedido nada.");
    if (source->bytes > 0)
        buffer_printf(out, " Comprobados de ella: %s.", units_bytes(source->bytes, text));
    tell_failure(source, out);
    buffer_append_char(out, '\n');
}

/* ---- what limits it ---- */

struct census {
    size_t active, in_line, later;
    int64_t slowest, fastest; /* of the active, which send now */
};

static struct census count_sources(const P2p__Control__SourcesReply *sources)
{
    struct census census = {.slowest = INT64_MAX};

    for (size_t i = 0; i < sources->n_sources; i++) {
        const P2p__Control__JobSource *source = sources->sources[i];
        census.later += source->state == DOWNLOAD_SOURCE_LATER;
        census.in_line += source->state == DOWNLOAD_SOURCE_ACTIVE && source->place > 0;
        if (source->state != DOWNLOAD_SOURCE_ACTIVE || source->place > 0)
            continue;
        census.active++;
        if (source->bytes_per_second < census.slowest)
            census.slowest = source->bytes_per_second;
        if (source->bytes_per_second > census.fastest)
            census.fastest = source->bytes_per_second;
    }
    return census;
}

/* A rate that is this part of the limit is kept down by it: it is measured over some seconds. */
static bool is_at_limit(const struct explain *explain)
{
    return explain->download_limit > 0 &&
           explain->bytes_per_second >= explain->download_limit / 10 * 9;
}

static void limit_running(const struct explain *explain, struct buffer *out)
{
    const P2p__Control__SourcesReply *sources = explain->sources;
    struct census census = count_sources(sources);
    char fastest[UNITS_TEXT_BYTES];
    char slowest[UNITS_TEXT_BYTES];

    if (is_at_limit(explain))
        buffer_printf(out, "Limita el tope de descarga de este peer, %s/s (p2p-peer limit)",
                      units_bytes(explain->download_limit, fastest));
    else if (sources->n_sources > 0 && sources->sources[0]->whole_stream)
        buffer_append_string(out, "Llega entera de una fuente, que no da los resúmenes de las "
                                  "partes: la velocidad es la suya");
    else if (census.active == 0)
        buffer_append_string(out, "Ninguna fuente envía en este momento");
    else if (census.active == 1)
        buffer_append_string(out, "Envía una sola fuente: la velocidad es la suya");
    else
        buffer_printf(out,
                      "Limita lo que envían las %zu fuentes activas: la más rápida %s/s, la más "
                      "lenta %s/s",
                      census.active, units_bytes(census.fastest, fastest),
                      units_bytes(census.slowest, slowest));
    if (census.in_line > 0)
        buffer_printf(out, "; %zu nos %s en cola", census.in_line,
                      census.in_line == 1 ? "tiene" : "tienen");
    if (census.later > 0)
        buffer_printf(out, "; %zu que %s se %s", census.later,
                      census.later == 1 ? "falló" : "fallaron",
                      census.later == 1 ? "reintentará" : "reintentarán");
    buffer_append_char(out, '.');
}

void explain_limit(const struct explain *explain, struct buffer *out)
{
    const P2p__Control__Job *job = explain->job;
    char clean[CLEANED_BYTES];

    text_clean(job_why(job), clean, sizeof clean);
    switch (job->state) {
    case DOWNLOAD_QUEUED:
        buffer_printf(out,
                      "Espera su turno: se descargan %d archivos a la vez, primero los de más "
                      "prioridad y de estos los más antiguos.",
                      DOWNLOADS_RUNNING_MAX);
        return;
    case DOWNLOAD_SEARCHING:
        buffer_append_string(out, "Se está preguntando quién tiene el archivo.");
        return;
    case DOWNLOAD_RUNNING:
        limit_running(explain, out);
        return;
    case DOWNLOAD_WAITING:
        buffer_printf(out, "Espera, y sigue sola en cuanto pueda: %s.", clean);
        return;
    case DOWNLOAD_PAUSED:
        buffer_printf(out, "Está en pausa; sigue con: p2p-peer downloads resume %" PRIu64, job->id);
        return;
    case DOWNLOAD_DONE:
        buffer_printf(out, "Ha terminado: %s",
                      job->path[0] ? text_clean(job->path, clean, sizeof clean)
                                   : "se entregó a get --output.");
        return;
    case DOWNLOAD_FAILED:
        buffer_printf(out, "Ha fallado: %s.", clean);
        return;
    default:
        buffer_append_string(out, "Se ha cancelado.");
    }
}

void explain_format(const struct explain *explain, struct buffer *out)
{
    const P2p__Control__SourcesReply *sources = explain->sources;

    tell_job(explain->job, out);
    if (sources->n_sources > 0)
        buffer_append_string(out, "Fuentes:\n");
    for (size_t i = 0; i < sources->n_sources; i++)
        tell_source(sources->sources[i], job_is_over(explain->job), out);
    explain_limit(explain, out);
    buffer_append_char(out, '\n');
}
