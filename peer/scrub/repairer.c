#include "peer/scrub/repairer.h"

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define MODULE "repair"

/* A damaged file that was tried. */
struct attempt {
    int64_t number; /* in the catalogue */
    int64_t next_ms;
    unsigned failures;
    bool seen;
};

struct repairer {
    struct repair repair; /* constant */
    int wake;             /* eventfd */
    pthread_t thread;
    struct attempt *attempts; /* of the thread, as is all that follows */
    size_t count;
};

int64_t repairer_delay_ms(unsigned failures, uint32_t random)
{
    int64_t delay_ms = REPAIRER_FIRST_MS;

    for (unsigned i = 1; i < failures && delay_ms < REPAIRER_MOST_MS; i++)
        delay_ms *= 2;
    if (delay_ms > REPAIRER_MOST_MS)
        delay_ms = REPAIRER_MOST_MS;
    return delay_ms - (int64_t)(random % (uint32_t)(delay_ms / 2));
}

static uint32_t random_number(void)
{
    uint32_t number = 0;

    /* Jitter: should the system have nothing for us, any number will do. */
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) < 0)
        number = (uint32_t)clock_boot_ms() * 2654435761U;
    return number;
}

static struct attempt *attempt_of(struct repairer *repairer, int64_t number)
{
    for (size_t i = 0; i < repairer->count; i++)
        if (repairer->attempts[i].number == number)
            return &repairer->attempts[i];
    repairer->attempts =
        memory_resize(repairer->attempts, repairer->count + 1, sizeof *repairer->attempts);
    repairer->attempts[repairer->count] = (struct attempt){.number = number};
    return &repairer->attempts[repairer->count++];
}

static void give_up_for_now(struct repairer *repairer, struct attempt *attempt,
                            const struct damage *damage, const struct error *error)
{
    bool withdrawn = catalogue_withdraw(repairer->repair.catalogue, damage);

    attempt->next_ms = clock_boot_ms() + repairer_delay_ms(++attempt->failures, random_number());
    if (withdrawn || attempt->failures == 1) /* also after a restart */
        log_line(LOG_WARNING, MODULE,
                 "'%s' is damaged and cannot be repaired yet, so it is not shared: %s",
                 damage->name.text, error->text);
}

static void try_file(struct repairer *repairer, struct attempt *attempt, struct damage *damage)
{
    struct catalogue *catalogue = repairer->repair.catalogue;
    struct error error = {0};
    bool is_gone = false;
    enum error_code code = repair_file(&repairer->repair, damage, &is_gone, &error);

    if (!code)
        log_line(LOG_INFO, MODULE, "'%s' is whole again", damage->name.text);
    if (is_gone)
        catalogue_share_changed(catalogue);
    if (!code || is_gone) { /* the catalogue forgets it soon */
        attempt->next_ms = clock_boot_ms() + REPAIRER_FIRST_MS;
        return;
    }
    if (code != ERROR_CANCELLED)
        give_up_for_now(repairer, attempt, damage, &error);
}

/* Tries what is due. When something is next; INT64_MAX: nothing is damaged. */
static int64_t look(struct repairer *repairer)
{
    int64_t next_ms = INT64_MAX;
    size_t kept = 0;
    int64_t number = 0;

    for (size_t i = 0; i < repairer->count; i++)
        repairer->attempts[i].seen = false;
    while (!interrupt_raised(repairer->repair.interrupt)) {
        auto_damage damage = {.number = 0};
        if (!catalogue_next_damage(repairer->repair.catalogue, number, &damage))
            break;
        number = damage.number;
        struct attempt *attempt = attempt_of(repairer, number);
        attempt->seen = true;
        if (attempt->next_ms <= clock_boot_ms())
            try_file(repairer, attempt, &damage);
        if (attempt->next_ms < next_ms)
            next_ms = attempt->next_ms;
    }
    for (size_t i = 0; i < repairer->count; i++)
        if (repairer->attempts[i].seen)
            repairer->attempts[kept++] = repairer->attempts[i];
    repairer->count = kept;
    return next_ms;
}

/* True: all is to be tried now. */
static bool wait_for_event(struct repairer *repairer, int64_t next_ms)
{
    struct stop_event *stop = interrupt_event(repairer->repair.interrupt);
    struct pollfd items[] = {
        {.fd = stop_event_descriptor(stop), .events = POLLIN},
        {.fd = repairer->wake, .events = POLLIN},
    };
    int64_t wait_ms = next_ms == INT64_MAX ? -1 : next_ms - clock_boot_ms();
    eventfd_t count;

    if (next_ms != INT64_MAX && wait_ms < 0)
        wait_ms = 0;
    poll(items, ARRAY_LENGTH(items), wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
    return items[1].revents && eventfd_read(repairer->wake, &count) == 0;
}

static void *run(void *context)
{
    struct repairer *repairer = context;

    background_read_last("repair");
    while (!interrupt_raised(repairer->repair.interrupt))
        if (wait_for_event(repairer, look(repairer)))
            for (size_t i = 0; i < repairer->count; i++)
                repairer->attempts[i].next_ms = 0;
    return NULL;
}

static void destroy(struct repairer *repairer)
{
    if (repairer->wake >= 0)
        close(repairer->wake);
    interrupt_free(repairer->repair.interrupt);
    free(repairer->attempts);
    free(repairer);
}

enum error_code repairer_start(const struct repairer_options *options, struct repairer **repairer,
                               struct error *error)
{
    struct repairer *made = memory_new(1, sizeof *made);

    made->repair = (struct repair){.share = options->share,
                                   .catalogue = options->catalogue,
                                   .finder = options->finder,
                                   .limits = options->limits,
                                   .interrupt = interrupt_new()};
    made->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int reason =
        made->wake < 0 || stop_event_descriptor(interrupt_event(made->repair.interrupt)) < 0
            ? EMFILE
            : pthread_create(&made->thread, NULL, run, made);
    if (reason != 0) {
        destroy(made);
        return error_set_errno(error, reason, "cannot start the repairer");
    }
    *repairer = made;
    return ERROR_NONE;
}

void repairer_wake(struct repairer *repairer)
{
    eventfd_write(repairer->wake, 1);
}

void repairer_stop(struct repairer *repairer)
{
    if (!repairer)
        return;
    interrupt_raise(repairer->repair.interrupt);
    pthread_join(repairer->thread, NULL);
    destroy(repairer);
}
