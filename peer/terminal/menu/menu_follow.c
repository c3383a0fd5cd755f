#include "peer/terminal/menu/menu_follow.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/job_text.h"

#include <string.h>

static void post(struct menu_events *events, char *text)
{
    auto_free char *owned = text;
    auto_free char *clean = memory_new(strlen(text) + 1, 1);

    menu_events_post_line(events, text_clean(owned, clean, strlen(owned) + 1));
}

static void tell_end(struct menu_events *events, const P2p__Control__Job *job)
{
    if (job->state != DOWNLOAD_DONE) {
        post(events, memory_format("❌ Error al descargar: %s: %s", job->name,
                                   job->failure ? job->failure->text : ""));
        return;
    }
    post(events, memory_format("✅ Archivo descargado exitosamente: %s", job->path));
    if (strcmp(job->stored_name, job->name) != 0)
        post(events, memory_format("Ya existía %s con otro contenido: se guardó como %s", job->name,
                                   job->stored_name));
}

static void take(void *context, P2p__Control__DownloadsReply **reply)
{
    const P2p__Control__Job *job = (*reply)->job;

    /* What goes to a reader (get --output) is that command's to tell. */
    if (!job->stream && job_is_over(job) &&
        menu_events_tells_end(context, job->name, job->state != DOWNLOAD_DONE))
        tell_end(context, job);
}

enum error_code menu_follow_start(const char *socket_path, const char *start_hint,
                                  struct menu_events *events, struct job_follow **follow,
                                  struct error *error)
{
    const struct job_follow_options options = {.socket_path = socket_path,
                                               .start_hint = start_hint,
                                               .again = true,
                                               .take = take,
                                               .context = events};

    return job_follow_start(&options, follow, error);
}
