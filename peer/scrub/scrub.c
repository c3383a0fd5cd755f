#include "peer/scrub/scrub.h"

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/catalogue/catalogue_check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define MODULE "scrub"

/* Between looks for a file that is due: soon at the start, when the catalogue is still being read;
 * and once an hour at least, should the clock be set. */
#define LOOK_MIN_S 2
#define LOOK_MAX_S 3600

#define AGAIN_S 3600 /* after a file that could not be checked: it changed, or cannot be opened */

struct scrub {
    struct catalogue *catalogue;
    int64_t days;
    struct stop_event *stop;
    pthread_t thread;
};

int64_t scrub_rate(int64_t shared_bytes, int64_t days)
{
    int64_t rate = shared_bytes / (days * SCRUB_DAY_S) * 2;

    if (rate < SCRUB_MIN_BYTES_PER_SECOND)
        return SCRUB_MIN_BYTES_PER_SECOND;
    return rate > SCRUB_MAX_BYTES_PER_SECOND ? SCRUB_MAX_BYTES_PER_SECOND : rate;
}

int64_t scrub_due_in_s(int64_t checked_s, int64_t now_s, int64_t days)
{
    int64_t due_s = checked_s + days * SCRUB_DAY_S;

    return checked_s > now_s || due_s <= now_s ? 0 : due_s - now_s;
}

/* How fast one file is read. */
struct pace {
    struct stop_event *stop;
    int64_t bytes_per_second;
    int64_t begin_ms;
    int64_t bytes;
};

static bool keep_pace(void *context, size_t bytes)
{
    struct pace *pace = context;

    pace->bytes += (int64_t)bytes;
    int64_t due_ms = pace->begin_ms + pace->bytes * 1000 / pace->bytes_per_second;
    int64_t wait_ms = due_ms - clock_boot_ms();
    return !stop_event_wait_ms(pace->stop, wait_ms > 0 ? wait_ms : 0);
}

static void check(struct scrub *scrub, const struct catalogue_oldest *oldest)
{
    struct pace pace = {.stop = scrub->stop,
                        .bytes_per_second = scrub_rate(oldest->shared_bytes, scrub->days),
                        .begin_ms = clock_boot_ms()};
    struct catalogue_check wanted = {.name = &oldest->name, .step = keep_pace, .context = &pace};
    struct catalogue_verdict verdict;
    struct error error;

    /* Of priority for the processor it gives up nothing: it holds locks that others wait for. The
     * rate leaves it a few hundredths of a core. */
    if (catalogue_check(scrub->catalogue, &wanted, &verdict, &error)) {
        log_line(LOG_DEBUG, MODULE, "'%s' was not checked: %s", oldest->name.text, error.text);
        catalogue_put_off(scrub->catalogue, &oldest->identity,
                          clock_wall_ms() / 1000 - scrub->days * SCRUB_DAY_S + AGAIN_S);
    }
    piece_list_done(&verdict.bad);
}

/* Checks a file, if one is due. Seconds until it should be called again. */
static int64_t look(struct scrub *scrub)
{
    struct catalogue_oldest oldest;

    if (!catalogue_find_oldest(scrub->catalogue, &oldest))
        return LOOK_MIN_S;
    int64_t due_in_s = scrub_due_in_s(oldest.checked_s, clock_wall_ms() / 1000, scrub->days);
    if (due_in_s > 0)
        return due_in_s < LOOK_MIN_S ? LOOK_MIN_S : due_in_s > LOOK_MAX_S ? LOOK_MAX_S : due_in_s;
    check(scrub, &oldest);
    return 0;
}

static void *run(void *context)
{
    struct scrub *scrub = context;
    int64_t wait_s = LOOK_MIN_S;

    background_read_last("scrub");
    while (!stop_event_wait_ms(scrub->stop, wait_s * 1000))
        wait_s = look(scrub);
    return NULL;
}

static void destroy(struct scrub *scrub)
{
    stop_event_free(scrub->stop);
    free(scrub);
}

enum error_code scrub_start(struct catalogue *catalogue, int64_t days, struct scrub **scrub,
                            struct error *error)
{
    *scrub = NULL;
    if (days == 0)
        return ERROR_NONE;
    struct scrub *made = memory_new(1, sizeof *made);
    made->catalogue = catalogue;
    made->days = days;
    made->stop = stop_event_new();
    int reason = pthread_create(&made->thread, NULL, run, made);
    if (reason != 0) {
        destroy(made);
        return error_set_errno(error, reason, "cannot start the scrub");
    }
    *scrub = made;
    return ERROR_NONE;
}

void scrub_stop(struct scrub *scrub)
{
    if (!scrub)
        return;
    stop_event_raise(scrub->stop);
    pthread_join(scrub->thread, NULL);
    destroy(scrub);
}
