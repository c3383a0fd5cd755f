#include "directory/daemon.h"

#include "common/clock.h"
#include "common/file_io.h"
#include "common/memory.h"
#include "common/notify.h"
#include "common/signals.h"
#include "common/thread_pool.h"
#include "directory/access_log.h"
#include "directory/checker.h"
#include "directory/health.h"
#include "directory/http.h"
#include "directory/index.h"
#include "directory/index_reader.h"
#include "directory/index_writer.h"
#include "directory/metrics.h"
#include "directory/read_ahead.h"
#include "directory/registry.h"
#include "directory/routes.h"
#include "directory/user_list.h"
#include "directory/users.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    DAY_MS = 86400000,
    REST_MS = 60000,   /* between writes of the clock while nobody is there */
    COMMIT_MS = 1000,  /* for what was submitted when stopping */
    STALLED_MS = 5000, /* a loop that answers nobody for so long is worth a line */
    THREADS_MAX = 16,  /* more loops than that gain nothing: the network is not our work */
};

/* One of the registry's ways to the database: at most one write is under way. */
struct write_behind {
    struct daemon *daemon;
    struct index_job job;
    atomic_bool busy;
    int64_t submitted_ms; /* 0: never */
    bool failing;         /* said so; the writer's thread */
};

struct daemon {
    const struct settings *settings;
    struct users *users;
    struct registry *registry;
    struct index *index;
    struct index_writer *writer;
    struct thread_pool *verifier;
    struct thread_pool *worker;
    atomic_bool stopping;
    struct health health;
    struct checker *checker; /* NULL: nothing is checked */
    bool said_stalled;
    atomic_int_least64_t stalled_ms; /* the slowest loop, at the last tick */
    struct routes routes;
    struct access_log *access_log;
    struct http *http;
    struct write_behind behind;  /* of the ticks */
    struct write_behind parting; /* of the end, which must not wait for a tick's */
};

/* ---- users ---- */

static enum error_code read_users(struct daemon *daemon, struct error *error)
{
    const char *path = daemon->settings->users;
    auto_free char *text = NULL;
    struct user_list list;
    size_t length;
    enum error_code code = file_read(path, USER_LIST_FILE_MAX_BYTES, &text, &length, error);

    if (!code)
        code = user_list_take(path, take_pointer(&text), length, &list, error);
    if (code)
        return code;
    users_replace(daemon->users, &list);
    return ERROR_NONE;
}

static void say_users(const struct daemon *daemon)
{
    if (users_count(daemon->users) == 0)
        log_line(LOG_WARNING, "directory",
                 "no users in %s: nobody can log in; add one with: p2p-directory user add NAME "
                 "--users %s, then send SIGHUP",
                 daemon->settings->users, daemon->settings->users);
}

/* The users are read while the peers are: both take a second when there are a million. */
struct users_start {
    struct daemon *daemon;
    pthread_t thread;
    bool has_thread;
    enum error_code code;
    struct error error;
};

static void *start_users(void *context)
{
    struct users_start *start = context;

    start->code = read_users(start->daemon, &start->error);
    if (start->code == ERROR_NOT_FOUND)
        start->code = ERROR_NONE;
    return NULL;
}

static void users_start_begin(struct users_start *start, struct daemon *daemon)
{
    daemon->users = users_new();
    start->daemon = daemon;
    start->has_thread = pthread_create(&start->thread, NULL, start_users, start) == 0;
    if (!start->has_thread)
        start_users(start);
}

static enum error_code users_start_end(struct users_start *start, struct error *error)
{
    if (start->has_thread)
        pthread_join(start->thread, NULL);
    if (!start->code)
        return ERROR_NONE;
    *error = start->error;
    return error_context(error, "users");
}

static void reread_users(struct daemon *daemon)
{
    struct error error;

    if (read_users(daemon, &error)) {
        log_line(LOG_ERROR, "directory", "users stay as they were: %s", error.text);
        return;
    }
    log_line(LOG_INFO, "directory", "users read again: %zu", users_count(daemon->users));
    say_users(daemon);
}

/* SIGHUP. */
static void reread(struct daemon *daemon)
{
    reread_users(daemon);
    if (daemon->access_log)
        access_log_reopen(daemon->access_log);
}

/* ---- registry ---- */

static void log_gone(void *context, const struct registry_peer *peer)
{
    struct buffer *names = context;

    buffer_append(names, peer->name, strlen(peer->name) + 1);
    metrics_add(METRICS_EXPIRIES, 1);
}

static void sweep(struct daemon *daemon)
{
    auto_buffer names;

    /* Logged after the registry's lock is given back. */
    buffer_init(&names, SIZE_MAX / 2);
    registry_sweep(daemon->registry, clock_boot_ms(), log_gone, &names);
    for (size_t i = 0; i < names.length; i += strlen(names.data + i) + 1)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' se ha desconectado por inactividad",
                 names.data + i);
}

/* What comes of writing is what the readiness goes by. */
static void note_health(struct health *health, enum error_code code)
{
    enum health_fault fault = code == ERROR_NO_SPACE ? HEALTH_DISK_FULL : HEALTH_UNWRITABLE;
    enum health_fault other = code == ERROR_NO_SPACE ? HEALTH_UNWRITABLE : HEALTH_DISK_FULL;

    health_clear(health, other);
    if (code)
        health_raise(health, fault);
    else
        health_clear(health, fault);
}

/* On the writer's thread. */
static void on_written(struct index_job *job, enum error_code code, const struct error *error)
{
    struct write_behind *behind =
        (struct write_behind *)((char *)job - offsetof(struct write_behind, job));

    if (code && !behind->failing)
        log_line(LOG_ERROR, "directory", "cannot store who is alive: %s", error->text);
    else if (!code && behind->failing)
        log_line(LOG_INFO, "directory", "storing who is alive works again");
    behind->failing = code != ERROR_NONE;
    note_health(&behind->daemon->health, code);
    index_job_done(job);
    *job = (struct index_job){0};
    atomic_store(&behind->busy, false);
}

static void write_behind(struct write_behind *behind)
{
    struct daemon *daemon = behind->daemon;
    int64_t now_ms = clock_boot_ms();

    if (atomic_load(&behind->busy))
        return;
    /* While somebody is active the clock goes on, so that a restart knows the time left. After a
     * failure it is tried until it succeeds. */
    if (behind->submitted_ms && !behind->failing && now_ms - behind->submitted_ms < REST_MS &&
        !registry_has_changed(daemon->registry) && !registry_has_active(daemon->registry))
        return;
    behind->submitted_ms = now_ms;
    behind->job.behind = true;
    behind->job.done = on_written;
    atomic_store(&behind->busy, true);
    if (index_writer_submit(daemon->writer, &behind->job))
        atomic_store(&behind->busy, false); /* it is stopping */
}

struct restoring {
    struct registry *registry;
    int64_t written_ms, now_ms;
};

static void restore_peer(void *context, const struct registry_record *record)
{
    const struct restoring *restoring = context;

    registry_restore(restoring->registry, record, restoring->written_ms, restoring->now_ms);
}

static enum error_code load_peers(struct daemon *daemon, struct error *error)
{
    struct index_peers *peers = index_peers(daemon->index);
    struct restoring restoring = {.registry = daemon->registry, .now_ms = clock_boot_ms()};
    struct index_clocks clocks;
    int64_t last_id;
    enum error_code code = index_peers_clocks(peers, &clocks, error);

    if (code)
        return code;
    restoring.written_ms = clocks.written_ms;
    code = index_peers_last_id(peers, &last_id, error);
    if (code)
        return code;
    struct read_ahead *ahead = read_ahead_start(daemon->index, daemon->settings->database, last_id);
    registry_expect(daemon->registry, (size_t)last_id);
    code = index_peers_load(peers, restore_peer, &restoring, error);
    read_ahead_stop(ahead);
    registry_restored(daemon->registry, clocks.run_ms, restoring.now_ms);
    return code;
}

static enum error_code start_index(struct daemon *daemon, struct error *error)
{
    enum error_code code = index_open(daemon->settings->database, &daemon->index, error);

    if (code)
        return error_context(error, "database");
    if (index_only_reads(daemon->index))
        health_raise(&daemon->health, HEALTH_UNWRITABLE); /* the first write finds out why */
    daemon->registry = registry_new(daemon->settings->expiry * 1000);
    code = load_peers(daemon, error);
    if (code)
        return error_context(error, "database: %s", daemon->settings->database);
    sweep(daemon);
    daemon->writer =
        index_writer_start(daemon->index, daemon->registry, daemon->settings->retention * DAY_MS);
    /* Before any login: it stores the times by the clock of now; those that were stored before the
     * outage would be as much older. */
    write_behind(&daemon->behind);
    return ERROR_NONE;
}

/* ---- HTTP ---- */

static enum error_code begin_thread(void *context, void **thread, struct error *error)
{
    const struct routes *routes = context;
    const struct daemon *daemon =
        (const struct daemon *)(const void *)((const char *)routes -
                                              offsetof(struct daemon, routes));
    struct index_reader *reader = NULL;
    enum error_code code =
        index_reader_open(daemon->settings->database, index_news(daemon->index), &reader, error);

    *thread = reader;
    return code;
}

static void rest_thread(void *context, void *thread)
{
    (void)context;
    index_reader_rest(thread);
}

static bool must_rest_thread(void *context, void *thread)
{
    (void)context;
    return index_reader_must_rest(thread);
}

static void end_thread(void *context, void *thread)
{
    (void)context;
    index_reader_close(thread);
}

static unsigned thread_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
}

/* Idle connections are cheap, descriptors are what they need: take all that the system allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum error_code start_access_log(struct daemon *daemon, struct error *error)
{
    const char *path = daemon->settings->access_log;

    if (!path)
        return ERROR_NONE;
    enum error_code code = access_log_open(path, thread_count(), &daemon->access_log, error);
    return code ? error_context(error, "access_log") : ERROR_NONE;
}

static enum error_code start_http(struct daemon *daemon, struct error *error)
{
    struct http_settings settings = {
        .threads = thread_count(),
        .access_log = daemon->access_log,
        .handle = routes_handle,
        .context = &daemon->routes,
        .thread_begin = begin_thread,
        .thread_end = end_thread,
        .thread_rest = rest_thread,
        .thread_must_rest = must_rest_thread,
    };
    enum error_code code = address_parse(daemon->settings->listen, true, &settings.listen, error);

    raise_descriptor_limit();
    daemon->routes.health = &daemon->health;
    daemon->routes.index = daemon->index;
    daemon->routes.started_ms = clock_wall_ms();
    daemon->routes.stalled_ms = &daemon->stalled_ms;
    daemon->routes.login = (struct login_services){
        .users = daemon->users,
        .registry = daemon->registry,
        .verifier = daemon->verifier,
        .worker = daemon->worker,
        .writer = daemon->writer,
        .expiry_s = daemon->settings->expiry,
        .stopping = &daemon->stopping,
        .health = &daemon->health,
    };
    if (!code)
        code = http_start(&settings, &daemon->http, error);
    return code ? error_context(error, "listen") : ERROR_NONE;
}

/* ---- the whole ---- */

static enum error_code start_pools(struct daemon *daemon, struct error *error)
{
    unsigned threads = thread_count() - 1;

    if (threads < 1)
        threads = 1;
    if (threads > LOGIN_VERIFIER_THREADS)
        threads = LOGIN_VERIFIER_THREADS;
    enum error_code code = thread_pool_start(
        "verifier", threads, (size_t)threads * LOGIN_VERIFYING_MAX, &daemon->verifier, error);
    return code ? code : thread_pool_start("login", 1, LOGIN_WAITING_MAX, &daemon->worker, error);
}

/* Once it can be written: what is only read becomes no worse. */
static enum error_code start_checker(struct daemon *daemon, struct error *error)
{
    if (daemon->checker || index_only_reads(daemon->index))
        return ERROR_NONE;
    return checker_start(daemon->index, daemon->settings->database, &daemon->health,
                         &daemon->checker, error);
}

enum error_code daemon_start(const struct settings *settings, struct daemon **daemon,
                             struct error *error)
{
    struct daemon *made = memory_new(1, sizeof *made);

    made->settings = settings;
    made->behind.daemon = made->parting.daemon = made;
    health_raise(&made->health, HEALTH_STARTING);
    struct users_start users = {0};
    struct error index_error;
    users_start_begin(&users, made);
    enum error_code index_code = start_index(made, &index_error);
    enum error_code code = users_start_end(&users, error);
    if (!code && index_code) {
        *error = index_error;
        code = index_code;
    }
    if (!code)
        code = start_pools(made, error);
    if (!code)
        code = start_access_log(made, error);
    if (!code)
        code = start_checker(made, error);
    if (!code)
        code = start_http(made, error);
    if (code) {
        daemon_stop(made);
        return code;
    }
    *daemon = made;
    return ERROR_NONE;
}

/* The manager ends us unless all loops serve: one that does not come round would leave its share of
 * the connections without an answer for ever. */
static void watch_loops(struct daemon *daemon, int64_t watchdog_ms)
{
    int64_t stalled_ms = http_check_ms(daemon->http);

    atomic_store(&daemon->stalled_ms, stalled_ms);
    if (stalled_ms >= STALLED_MS && !daemon->said_stalled)
        log_line(LOG_WARNING, "directory", "an HTTP loop has been busy for %lld ms",
                 (long long)stalled_ms);
    daemon->said_stalled = stalled_ms >= STALLED_MS;
    if (watchdog_ms && stalled_ms < watchdog_ms / 2)
        notify_send("WATCHDOG=1");
}

void daemon_run(struct daemon *daemon)
{
    char address[ADDRESS_TEXT_BYTES];
    struct error error;
    int64_t watchdog_ms = notify_watchdog_ms();
    int64_t tick_ms = watchdog_ms && watchdog_ms < 3 * TICK_MS ? watchdog_ms / 3 : TICK_MS;
    int64_t next_ms = clock_boot_ms() + tick_ms;

    say_users(daemon);
    health_clear(&daemon->health, HEALTH_STARTING);
    log_line(LOG_INFO, "directory", "ready at http://%s",
             address_format(http_address(daemon->http), address));
    notify_send("READY=1");
    for (;;) {
        int64_t wait_ms = next_ms - clock_boot_ms();
        int got = signals_wait_ms(wait_ms > 0 ? wait_ms : 0);
        if (got == SIGTERM || got == SIGINT)
            break;
        if (got == SIGHUP)
            reread(daemon);
        if (clock_boot_ms() < next_ms)
            continue;
        next_ms = clock_boot_ms() + tick_ms;
        watch_loops(daemon, watchdog_ms);
        sweep(daemon);
        write_behind(&daemon->behind);
        if (start_checker(daemon, &error))
            log_line(LOG_ERROR, "directory", "cannot check the database: %s", error.text);
    }
    log_line(LOG_INFO, "directory", "stopping");
    notify_send("STOPPING=1");
}

void daemon_stop(struct daemon *daemon)
{
    if (!daemon)
        return;
    atomic_store(&daemon->stopping, true);
    checker_stop(daemon->checker);
    health_raise(&daemon->health, HEALTH_STOPPING);
    thread_pool_stop(daemon->verifier); /* what it passes on is taken, or refused, by the worker */
    thread_pool_stop(daemon->worker);
    if (daemon->writer) {
        sweep(daemon); /* or the last moments' expired would come back for a while */
        write_behind(&daemon->parting);
        index_writer_stop(daemon->writer, COMMIT_MS);
    }
    http_stop(daemon->http);
    access_log_close(daemon->access_log);
    thread_pool_free(daemon->verifier);
    thread_pool_free(daemon->worker);
    index_writer_free(daemon->writer);
    registry_free(daemon->registry);
    index_close(daemon->index);
    users_free(daemon->users);
    free(daemon);
}
