#include "peer/network/heartbeat.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/network/directory_client.h"
#include "peer/network/directory_requests.h"
#include "peer/network/heartbeat_log.h"
#include "peer/network/heartbeat_rules.h"
#include "peer/network/list_changes.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define MODULE HEARTBEAT_MODULE

/* A directory that may have our list from an earlier run is asked before it gets a longer one than
 * this, of some 100 KiB; a shorter one is no more work than the question. */
#define ASK_FIRST_FILES 500

/* Such a list waits so long for the ids that the catalogue has stored, since without them it is
 * another one than that of the earlier run. The peer is logged in meanwhile. */
#define IDS_WAIT_MS 10000

struct heartbeat {
    struct heartbeat_names names; /* these do not change; owned */
    char *password;
    struct directories *directories; /* may be NULL */
    size_t number;
    struct share *share;
    struct catalogue *catalogue; /* may be NULL, */
    struct arrivals *arrivals;   /* this, too */
    struct stop_event *stop;
    int wake;                  /* eventfd: the share has changed */
    atomic_bool share_changed; /* set before wake */
    pthread_t thread;
    pthread_mutex_t lock;
    struct heartbeat_status status; /* guarded by lock */
    /* From here on: the heartbeat's thread alone. */
    struct directory_client *client;
    struct heartbeat_rules rules;
    struct name_rival rival;
    bool names_only;        /* the directory keeps no ids: the reference's */
    bool folders;           /* the directory knows names with a '/', */
    bool folders_known;     /* or it is certain that it does not */
    struct share_list told; /* what the directory was last told, whether or not it took it */
    struct index_sum told_sum;
    bool has_told;           /* it may have that list, and the sum is known; */
    bool is_certain;         /* it has it: it has said so */
    struct share_list fresh; /* the list of now, for the next login, */
    bool has_fresh;          /* when it is there */
    bool asked_first;        /* whether it has our list: from an earlier run */
    bool knows_sums;         /* and tokens */
    bool sums_differ;        /* it has another sum for the same list: it is not told any */
    bool listing_failed;     /* and that was said */
    int64_t last_ms;         /* end of the last login */
    int64_t ids_until_ms;    /* the list waits for its ids; 0: it never had to */
    uint32_t random;         /* a new one for each wait */
};

static uint32_t random_number(void)
{
    uint32_t number = 0;

    /* Jitter: should the system have nothing for us, any number will do. */
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) < 0)
        number = (uint32_t)clock_boot_ms() * 2654435761U;
    return number;
}

/* What is kept of the list for the next login, unless it becomes another one before. */
static void drop_fresh(struct heartbeat *heartbeat)
{
    share_list_done(&heartbeat->fresh);
    heartbeat->has_fresh = false;
}

static bool has_folders(const struct share_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (strchr(list->files[i].name, '/'))
            return true;
    return false;
}

/* A folder that is gone shares nothing, and the directory should know. False: it cannot be told
 * what is shared, or not yet: whether the directory knows the names of all that is; what it has
 * then stays. */
static bool list_share(struct heartbeat *heartbeat, struct share_list *list)
{
    struct error error;
    enum error_code code = share_list_files(heartbeat->share, list, &error);

    if (code && !heartbeat->listing_failed)
        log_line(LOG_WARNING, MODULE, "%s: %s", share_path(heartbeat->share), error.text);
    heartbeat->listing_failed = code != ERROR_NONE;
    if (heartbeat->catalogue && !heartbeat->names_only)
        catalogue_fill_list(heartbeat->catalogue, list);
    if (heartbeat->catalogue)
        catalogue_leave_out_withdrawn(heartbeat->catalogue, list);
    if (heartbeat->arrivals && !heartbeat->names_only)
        arrivals_fill_list(heartbeat->arrivals, list);
    bool certain = heartbeat->folders || heartbeat->folders_known || !has_folders(list);
    if (!heartbeat->folders)
        share_list_leave_out_folders(list);
    return certain && (code == ERROR_NONE || code == ERROR_NOT_FOUND);
}

/* The directory keeps names and ids: a file that only grew is no news to it until its new content
 * is known. */
static void compare_share(struct heartbeat *heartbeat)
{
    struct list_changes changes = {0};

    if (!atomic_exchange(&heartbeat->share_changed, false))
        return;
    drop_fresh(heartbeat);
    if (heartbeat->rules.wants_index)
        return;
    if (list_share(heartbeat, &heartbeat->fresh))
        list_changes_find(&heartbeat->told, &heartbeat->fresh, &changes);
    heartbeat->has_fresh = changes.is_news;
    if (changes.is_news)
        heartbeat_rules_changed(&heartbeat->rules);
    else
        drop_fresh(heartbeat);
    list_changes_done(&changes);
}

/* Also while the time is not over, and they are not there. */
static bool waits_for_ids(const struct heartbeat *heartbeat)
{
    return clock_boot_ms() < heartbeat->ids_until_ms && !catalogue_has_looked(heartbeat->catalogue);
}

/* The first list of all, if it is a long one. */
static bool must_wait_for_ids(struct heartbeat *heartbeat, const struct share_list *list)
{
    if (heartbeat->catalogue && heartbeat->ids_until_ms == 0 && list->count > ASK_FIRST_FILES)
        heartbeat->ids_until_ms = clock_boot_ms() + IDS_WAIT_MS;
    return waits_for_ids(heartbeat);
}

/* As list_share. */
static bool take_list(struct heartbeat *heartbeat, struct share_list *list)
{
    if (!heartbeat->has_fresh || atomic_load(&heartbeat->share_changed)) {
        drop_fresh(heartbeat);
        return list_share(heartbeat, list) && !must_wait_for_ids(heartbeat, list);
    }
    *list = heartbeat->fresh;
    heartbeat->fresh = (struct share_list){0};
    heartbeat->has_fresh = false;
    return true;
}

static void set_status(struct heartbeat *heartbeat, enum error_code code, const struct error *error)
{
    pthread_mutex_lock(&heartbeat->lock);
    heartbeat->status.connected = code == ERROR_NONE;
    if (code)
        heartbeat->status.failure = *error;
    else
        heartbeat->status = (struct heartbeat_status){
            .connected = true, .success_ms = heartbeat->last_ms, .rival = heartbeat->rival.status};
    pthread_mutex_unlock(&heartbeat->lock);
}

static void keep_names(struct share_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (list->files[i].partial)
            continue;
        list->files[kept] = list->files[i];
        list->files[kept++].has_content = false;
    }
    list->count = kept;
    share_list_leave_out_folders(list);
}

/* Whether the directory knows folders shows with each login; a list that it refuses may be one with
 * such names, sent to one that has taken the place of another. When it is not as before, the list
 * that it should have is another one, too. */
static void note_folders(struct heartbeat *heartbeat, bool knows)
{
    heartbeat->folders_known = true;
    if (heartbeat->folders == knows)
        return;
    heartbeat->folders = knows;
    atomic_store(&heartbeat->share_changed, true);
}

/* What the directory has now, unless it could not be reached: then perhaps. The reference's has
 * taken names only, whatever was in the list. */
static void note_told(struct heartbeat *heartbeat, struct share_list *list,
                      const struct directory_login *login, enum error_code code,
                      const struct directory_session *session)
{
    bool was_names_only = heartbeat->names_only;

    heartbeat->names_only = !code && !session->tells_expiry;
    if (was_names_only && !heartbeat->names_only)
        atomic_store(&heartbeat->share_changed, true); /* this one is told ids, too */
    if (heartbeat->names_only)
        keep_names(list);
    share_list_done(&heartbeat->told);
    heartbeat->told = *list;
    *list = (struct share_list){0};
    heartbeat->has_told = login->etag && code != ERROR_INVALID && code != ERROR_TOO_LARGE;
    if (heartbeat->has_told)
        heartbeat->told_sum = *login->etag;
    heartbeat->asked_first = true;
    if (!code && session->says_index && session->index_needed) {
        log_line(LOG_WARNING, MODULE, "the directory %s has another sum for the list of our files",
                 heartbeat->names.login_url);
        heartbeat->sums_differ = true;
    }
}

/* The list as changes of that which the directory has for certain, if they are shorter; the usual
 * urls of an empty one would change, too. */
static bool find_changes(const struct heartbeat *heartbeat, const struct share_list *list,
                         struct list_changes *changes)
{
    if (!heartbeat->is_certain || !heartbeat->has_told || !heartbeat->told.count || !list->count)
        return false;
    list_changes_find(&heartbeat->told, list, changes);
    return changes->added_count + changes->removed_count <= heartbeat->told.count;
}

/* The sum of the list that it comes with, or of that which the directory should have; the changes
 * are the caller's. */
static void add_sum(const struct heartbeat *heartbeat, struct directory_login *login,
                    struct index_sum *sum, struct list_changes *changes)
{
    if (heartbeat->names_only || heartbeat->sums_differ || (!login->files && !heartbeat->has_told))
        return;
    if (login->files && find_changes(heartbeat, login->files, changes)) {
        login->base = &heartbeat->told_sum;
        login->changes = changes;
    }
    if (login->files && !login->changes)
        directory_sum_index(login, sum);
    else
        *sum = heartbeat->told_sum;
    if (login->changes)
        list_changes_apply(changes, sum);
    login->etag = sum;
    login->ask_first =
        !heartbeat->asked_first && login->files && login->files->count > ASK_FIRST_FILES;
}

/* What keeps the list here. */
static void hold_list(struct heartbeat *heartbeat)
{
    const struct name_rival_status *rival = &heartbeat->rival.status;

    heartbeat->rules.is_held = (rival->is_there && rival->is_listed) || waits_for_ids(heartbeat);
}

/* Whether there is another one with our name; before the rules are asked. */
static void note_rival(struct heartbeat *heartbeat, const struct heartbeat_attempt *attempt,
                       bool was_certain, const struct directory_session *session)
{
    const char *token = heartbeat->rules.token;
    const struct name_rival_login login = {
        .now_ms = attempt->end_ms,
        .session = session,
        .with_index = attempt->with_index,
        .was_certain = was_certain,
        .is_new_token = token[0] && strcmp(token, session->token) != 0,
    };

    heartbeat_log_rival(&heartbeat->names, name_rival_note(&heartbeat->rival, &login),
                        &heartbeat->rival.status);
    hold_list(heartbeat);
}

/* Whether the directory took us and what it said of the list. */
static enum heartbeat_news judge(struct heartbeat *heartbeat,
                                 const struct heartbeat_attempt *attempt, enum error_code code,
                                 const struct directory_session *session)
{
    bool wanted = heartbeat->rules.wants_index;

    if (code) {
        heartbeat->sums_differ = false; /* it may be another one when it is back */
        return heartbeat_rules_failure(&heartbeat->rules, attempt, code);
    }
    enum heartbeat_news news = heartbeat_rules_success(&heartbeat->rules, attempt, session);
    /* It has what it was told; the share may have changed since. */
    if (wanted && !attempt->with_index && !heartbeat->rules.wants_index)
        atomic_store(&heartbeat->share_changed, true);
    return news;
}

static void log_in(struct heartbeat *heartbeat)
{
    struct heartbeat_attempt attempt = {.start_ms = clock_boot_ms()};
    struct directory_login login = {.username = heartbeat->names.username,
                                    .password = heartbeat->password,
                                    .advertise = heartbeat->names.advertise,
                                    .folders = heartbeat->folders};
    struct directory_session session = {.says_index = false};
    struct share_list list = {0};
    struct list_changes changes = {0};
    struct index_sum sum;
    struct error error = {0};

    attempt.with_index =
        heartbeat_rules_with_index(&heartbeat->rules) && take_list(heartbeat, &list);
    if (attempt.with_index)
        login.files = &list;
    add_sum(heartbeat, &login, &sum, &changes);
    if (heartbeat->knows_sums)
        login.token = heartbeat->rules.token;
    enum error_code code = directory_login(heartbeat->client, &login, &session, &error);
    heartbeat->last_ms = attempt.end_ms = clock_boot_ms();
    attempt.with_index &= !session.list_kept;
    attempt.retry_ms = directory_retry_ms(heartbeat->client);
    bool was_certain = heartbeat->is_certain;
    heartbeat->is_certain = !code && login.etag && session.says_index && !session.index_needed;
    if (attempt.with_index && log_enabled(LOG_DEBUG))
        log_line(LOG_DEBUG, MODULE, "sent the names of %zu files, %zu changes: %s", list.count,
                 login.changes ? changes.added_count + changes.removed_count : list.count,
                 code ? error.text : "taken");
    list_changes_done(&changes);
    if (attempt.with_index)
        note_told(heartbeat, &list, &login, code, &session);
    share_list_done(&list);
    if (code == ERROR_NONE && login.etag)
        heartbeat->knows_sums = session.says_index;
    if (code == ERROR_NONE)
        note_folders(heartbeat, session.knows_folders);
    else if (attempt.with_index && code == ERROR_INVALID)
        note_folders(heartbeat, false);
    if (code == ERROR_CANCELLED)
        return;
    if (heartbeat->directories)
        directories_note(heartbeat->directories, heartbeat->number, code);
    if (!code)
        note_rival(heartbeat, &attempt, was_certain, &session);
    set_status(heartbeat, code, &error);
    heartbeat_log_news(&heartbeat->names, judge(heartbeat, &attempt, code, &session), &error);
}

/* Until the time is over, told to stop, or the share has changed. */
static void wait_for_event(struct heartbeat *heartbeat, int64_t timeout_ms)
{
    struct pollfd items[] = {
        {.fd = stop_event_descriptor(heartbeat->stop), .events = POLLIN},
        {.fd = heartbeat->wake, .events = POLLIN},
    };
    eventfd_t count;

    poll(items, ARRAY_LENGTH(items), timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms);
    if (items[1].revents)
        eventfd_read(heartbeat->wake, &count);
}

/* Who knows sums knows this; one that is away is not waited for. */
static void log_out(struct heartbeat *heartbeat)
{
    struct error error;

    if (!heartbeat->knows_sums || heartbeat->rules.state != HEARTBEAT_LISTED)
        return;
    if (directory_logout(heartbeat->client, heartbeat->rules.token, HEARTBEAT_LOGOUT_MS, &error))
        log_line(LOG_DEBUG, MODULE, "%s: logging out: %s", heartbeat->names.login_url, error.text);
}

static void *run(void *context)
{
    struct heartbeat *heartbeat = context;

    while (!stop_event_raised(heartbeat->stop)) {
        compare_share(heartbeat);
        hold_list(heartbeat);
        int64_t wait = heartbeat_rules_wait_ms(&heartbeat->rules, heartbeat->last_ms,
                                               clock_boot_ms(), heartbeat->random);
        if (wait > 0) {
            int64_t left = heartbeat->ids_until_ms - clock_boot_ms();
            wait_for_event(heartbeat, waits_for_ids(heartbeat) && left < wait ? left : wait);
            continue;
        }
        log_in(heartbeat);
        heartbeat->random = random_number();
    }
    log_out(heartbeat);
    return NULL;
}

static void free_heartbeat(struct heartbeat *heartbeat)
{
    directory_client_free(heartbeat->client);
    share_list_done(&heartbeat->told);
    share_list_done(&heartbeat->fresh);
    stop_event_free(heartbeat->stop);
    if (heartbeat->wake >= 0)
        close(heartbeat->wake);
    pthread_mutex_destroy(&heartbeat->lock);
    free(heartbeat->names.login_url);
    free(heartbeat->names.username);
    explicit_bzero(heartbeat->password, strlen(heartbeat->password));
    free(heartbeat->password);
    free(heartbeat->names.advertise);
    free(heartbeat);
}

enum error_code heartbeat_start(const struct heartbeat_options *options,
                                struct heartbeat **heartbeat, struct error *error)
{
    struct heartbeat *made = memory_new(1, sizeof *made);

    made->names.login_url = memory_copy_string(options->login_url);
    made->names.username = memory_copy_string(options->username);
    made->password = memory_copy_string(options->password);
    made->names.advertise = memory_copy_string(options->advertise);
    made->directories = options->directories;
    made->number = options->number;
    made->share = options->share;
    made->catalogue = options->catalogue;
    made->arrivals = options->arrivals;
    made->stop = stop_event_new();
    made->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&made->lock, NULL);
    made->status.success_ms = -1;
    made->client = directory_client_new(&(struct directory_client_options){
        .login_url = options->login_url, .search_url = "", .stop = made->stop});
    heartbeat_rules_init(&made->rules);
    bool can_wait = made->wake >= 0 && stop_event_descriptor(made->stop) >= 0;
    int reason = can_wait ? pthread_create(&made->thread, NULL, run, made) : EMFILE;
    if (reason != 0) {
        free_heartbeat(made);
        return error_set_errno(error, reason, "cannot start the heartbeat");
    }
    *heartbeat = made;
    return ERROR_NONE;
}

void heartbeat_tell_stop(struct heartbeat *heartbeat)
{
    stop_event_raise(heartbeat->stop);
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
    if (!heartbeat)
        return;
    heartbeat_tell_stop(heartbeat);
    pthread_join(heartbeat->thread, NULL);
    free_heartbeat(heartbeat);
}

void heartbeat_share_changed(struct heartbeat *heartbeat)
{
    atomic_store(&heartbeat->share_changed, true);
    eventfd_write(heartbeat->wake, 1);
}

void heartbeat_read_status(struct heartbeat *heartbeat, struct heartbeat_status *status)
{
    pthread_mutex_lock(&heartbeat->lock);
    *status = heartbeat->status;
    pthread_mutex_unlock(&heartbeat->lock);
}
