#include "peer/daemon.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/catalogue/catalogue.h"
#include "peer/daemon_lock.h"
#include "peer/downloads/downloads.h"
#include "peer/downloads/journal.h"
#include "peer/limits/limits.h"
#include "peer/limits/timer.h"
#include "peer/locate/locator.h"
#include "peer/network/directories.h"
#include "peer/network/heartbeats.h"
#include "peer/rpc/server.h"
#include "peer/scrub/repairer.h"
#include "peer/scrub/scrub.h"
#include "peer/service/control_service.h"
#include "peer/service/health_service.h"
#include "peer/service/peer_service.h"
#include "peer/service/reflection_service.h"
#include "peer/share/arrivals.h"
#include "peer/share/list/watch.h"
#include "peer/share/share.h"
#include "peer/version.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MODULE "peer"

/* Together well within the two seconds that a stop may take. */
#define PEER_GRACE_MS    800 /* short transfers may end */
#define CONTROL_GRACE_MS 200

/* Commands are few, and what they wait for waits on other threads. */
#define CONTROL_LOOPS 2

/* Each stream has a file and each connection a socket; the usual soft limit of 1,024 would be the
 * first to give. */
#define OPEN_FILES_WANTED 65536

struct daemon {
    const struct settings *settings; /* borrowed */
    int64_t start_ms;                /* on the boot clock */
    char address[ADDRESS_TEXT_BYTES];
    char advertise[ADDRESS_TEXT_BYTES];
    /* In the order in which they are made. */
    struct daemon_lock lock;
    char *journals; /* the folder of the downloads' journals */
    struct share *share;
    struct arrivals *arrivals;
    struct catalogue *catalogue;
    struct timer *timer;
    struct limits *limits;
    struct peer_service *service;
    struct health_service *health;
    struct reflection_service *reflection;
    struct rpc_server *server;
    struct directories *directories;
    _Atomic(struct heartbeats *) heartbeats; /* NULL without auth_enabled, and before it is made */
    struct watch *watch;
    atomic_bool tells; /* of changes of the share: who is told is there */
    struct locator *locator;
    struct address *fallbacks;
    struct source_finder finder;
    struct downloads *downloads;
    _Atomic(struct repairer *) repairer; /* NULL before it is made */
    struct scrub *scrub;                 /* NULL without scrub_days */
    struct control_service *control;
    struct rpc_server *control_server;
};

static void raise_open_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= OPEN_FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES_WANTED ? limit.rlim_max : OPEN_FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit); /* what there was will do */
}

/* Files that are half there and will be gone on with are no left-overs. */
static enum error_code open_share(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;
    struct share_kept kept;

    daemon->journals = memory_format("%s/downloads", settings->state_directory);
    journal_kept(daemon->journals, &kept);
    enum error_code code = share_open_keeping(settings->directory, &kept, &daemon->share, error);
    free(kept.names);
    if (code)
        return error_context(error, "%s: directory", settings->source);
    share_exclude(daemon->share, settings->state_directory);
    return ERROR_NONE;
}

/* On the catalogue's thread, which begins before the heartbeat does (then the first login sends
 * what is known), or that of a download. */
static void ids_known(void *context)
{
    struct daemon *daemon = context;
    struct heartbeats *heartbeats = atomic_load(&daemon->heartbeats);

    if (heartbeats)
        heartbeats_share_changed(heartbeats);
}

/* On the watch's thread. */
static void share_changed(void *context)
{
    struct daemon *daemon = context;

    if (!atomic_load(&daemon->tells))
        return;
    catalogue_share_changed(daemon->catalogue);
    ids_known(daemon);
}

static enum error_code start_watch(struct daemon *daemon, struct error *error)
{
    return watch_start(daemon->share, share_changed, daemon, &daemon->watch, error);
}

static enum error_code start_telling(struct daemon *daemon, struct error *error)
{
    (void)error;
    atomic_store(&daemon->tells, true);
    share_changed(daemon); /* what has changed since the first scan and the first login */
    return ERROR_NONE;
}

/* On any thread that looks at files; those end before the repairer does. */
static void files_damaged(void *context)
{
    struct daemon *daemon = context;
    struct repairer *repairer = atomic_load(&daemon->repairer);

    if (repairer)
        repairer_wake(repairer);
}

static enum error_code start_catalogue(struct daemon *daemon, struct error *error)
{
    daemon->arrivals = arrivals_new(ids_known, daemon);

    auto_free char *path = memory_format("%s/catalogue.db", daemon->settings->state_directory);
    struct catalogue_options options = {.share = daemon->share,
                                        .path = path,
                                        .known = ids_known,
                                        .damaged = files_damaged,
                                        .context = daemon};

    return catalogue_start(&options, &daemon->catalogue, error);
}

static enum error_code make_limits(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;
    struct limits_rates rates = {
        .total = {settings->upload_limit, settings->download_limit},
        .per_peer = {settings->upload_limit_per_peer, settings->download_limit_per_peer}};

    if (timer_start(&daemon->timer, error))
        return error->code;
    daemon->limits = limits_new(&rates, (size_t)settings->upload_slots, daemon->timer);
    return ERROR_NONE;
}

static enum error_code make_services(struct daemon *daemon, struct error *error)
{
    struct peer_service_options service = {.share = daemon->share,
                                           .arrivals = daemon->arrivals,
                                           .catalogue = daemon->catalogue,
                                           .limits = daemon->limits,
                                           .timer = daemon->timer};
    enum error_code code = peer_service_new(&service, &daemon->service, error);

    daemon->health = health_service_new();
    return code ? code : reflection_service_new(&daemon->reflection, error);
}

static enum error_code start_server(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;
    const struct rpc_service services[] = {*peer_service_rpc(daemon->service),
                                           *health_service_rpc(daemon->health),
                                           *reflection_service_rpc(daemon->reflection)};
    char listen[ADDRESS_TEXT_BYTES];
    struct rpc_server_options options = {.address = settings_listen_address(settings, listen),
                                         .services = services,
                                         .service_count = ARRAY_LENGTH(services)};

    if (rpc_server_start(&options, &daemon->server, error))
        return error_context(error, "%s: ip, port", settings->source);
    uint16_t port = rpc_server_port(daemon->server);
    settings_serving_address(settings, port, daemon->address);
    settings_advertise_address(settings, port, daemon->advertise);
    return ERROR_NONE;
}

static enum error_code start_heartbeats(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;

    daemon->directories = directories_new(&settings->api_url, &settings->api_search_url);
    if (!settings->auth_enabled || directories_count(daemon->directories) == 0) {
        log_line(LOG_INFO, MODULE, "%s: serving without logging in",
                 settings->auth_enabled ? "no api_url" : "auth_enabled is false");
        return ERROR_NONE;
    }
    struct heartbeat_options options = {.directories = daemon->directories,
                                        .username = settings->peer_name,
                                        .password = settings->password,
                                        .advertise = daemon->advertise,
                                        .share = daemon->share,
                                        .catalogue = daemon->catalogue,
                                        .arrivals = daemon->arrivals};
    struct heartbeats *heartbeats = NULL;
    enum error_code code = heartbeats_start(&options, &heartbeats, error);
    atomic_store(&daemon->heartbeats, heartbeats);
    return code;
}

static enum error_code start_locator(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;
    auto_free char *path = memory_format("%s/answers.json", settings->state_directory);
    struct locator_options options = {
        .own_name = settings->peer_name,
        .own_address = daemon->advertise,
        .path = path,
        .friends = {settings->peer_amigo_titular, settings->peer_amigo_suplente},
        .directories = daemon->directories,
        .share = daemon->share,
        .catalogue = daemon->catalogue};
    enum error_code code = locator_start(&options, &daemon->locator, error);

    if (!code)
        peer_service_set_locator(daemon->service, daemon->locator);
    return code;
}

static enum error_code start_downloads(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;

    daemon->finder =
        (struct source_finder){.own_name = settings->peer_name, .locator = daemon->locator};
    daemon->fallbacks = settings_grpc_addresses(settings, &daemon->finder.fallback_count);
    daemon->finder.fallbacks = daemon->fallbacks;
    struct downloads_options options = {.share = daemon->share,
                                        .finder = &daemon->finder,
                                        .catalogue = daemon->catalogue,
                                        .arrivals = daemon->arrivals,
                                        .limits = daemon->limits,
                                        .folder = daemon->journals};
    return downloads_start(&options, &daemon->downloads, error);
}

static enum error_code start_scrub(struct daemon *daemon, struct error *error)
{
    struct repairer_options options = {.share = daemon->share,
                                       .catalogue = daemon->catalogue,
                                       .finder = &daemon->finder,
                                       .limits = daemon->limits};
    struct repairer *repairer = NULL;
    enum error_code code = repairer_start(&options, &repairer, error);

    if (code)
        return code;
    atomic_store(&daemon->repairer, repairer);
    repairer_wake(repairer); /* what the catalogue has told until now */
    return scrub_start(daemon->catalogue, daemon->settings->scrub_days, &daemon->scrub, error);
}

static void describe_directory(struct heartbeats *heartbeats, size_t number,
                               struct control_directory *directory)
{
    struct heartbeat_status heartbeat = {.success_ms = -1};

    if (heartbeats)
        heartbeats_read_status(heartbeats, number, &heartbeat);
    directory->connected = heartbeat.connected;
    directory->rival = heartbeat.rival;
    directory->age_ms = heartbeat.success_ms < 0 ? -1 : clock_boot_ms() - heartbeat.success_ms;
    if (heartbeat.failure.code)
        snprintf(directory->error, sizeof directory->error, "%s", heartbeat.failure.text);
}

static void describe_directories(const struct daemon *daemon, struct control_status *status)
{
    struct heartbeats *heartbeats = atomic_load(&daemon->heartbeats);

    status->directory_enabled = heartbeats != NULL;
    status->directory_count = directories_count(daemon->directories);
    for (size_t i = 0; i < status->directory_count; i++) {
        struct control_directory *directory = &status->directories[i];
        snprintf(directory->url, sizeof directory->url, "%s",
                 directories_login_url(daemon->directories, i));
        text_cut(directory->url, sizeof directory->url - 1);
        describe_directory(heartbeats, i, directory);
    }
}

/* On any thread. */
static void describe(void *context, struct control_status *status)
{
    struct daemon *daemon = context;
    const struct settings *settings = daemon->settings;

    *status = (struct control_status){.uptime_ms = clock_boot_ms() - daemon->start_ms,
                                      .uploads_running = peer_service_streams(daemon->service)};
    snprintf(status->version, sizeof status->version, "%s", P2P_VERSION);
    snprintf(status->peer_name, sizeof status->peer_name, "%s", settings->peer_name);
    snprintf(status->address, sizeof status->address, "%s", daemon->advertise);
    rpc_server_connections(daemon->server, &status->connections, &status->connections_max);
    describe_directories(daemon, status);
}

static enum error_code start_control(struct daemon *daemon, struct error *error)
{
    const struct settings *settings = daemon->settings;
    auto_free char *address = memory_format("unix:%s", settings->control_socket);
    struct control_service_options service = {.share = daemon->share,
                                              .catalogue = daemon->catalogue,
                                              .downloads = daemon->downloads,
                                              .limits = daemon->limits,
                                              .directories = daemon->directories,
                                              .finder = &daemon->finder,
                                              .describe = describe,
                                              .context = daemon};
    enum error_code code = control_service_start(&service, &daemon->control, error);

    if (code)
        return code;
    struct rpc_server_options options = {.address = address,
                                         .services = control_service_rpc(daemon->control),
                                         .service_count = 1,
                                         .loops = CONTROL_LOOPS};
    code = rpc_server_start(&options, &daemon->control_server, error);
    return code ? error_context(error, "%s: control_socket", settings->source) : ERROR_NONE;
}

enum error_code daemon_start(const struct settings *settings, struct daemon **daemon,
                             struct error *error)
{
    static enum error_code (*const steps[])(struct daemon *, struct error *) = {
        open_share,    start_watch,     start_catalogue,  make_limits,
        make_services, start_server,    start_heartbeats, start_telling,
        start_locator, start_downloads, start_scrub,      start_control};
    struct daemon *made = memory_new(1, sizeof *made);
    enum error_code code;

    made->settings = settings;
    made->start_ms = clock_boot_ms();
    raise_open_files();
    code = daemon_lock_take(settings, &made->lock, error);
    for (size_t i = 0; i < ARRAY_LENGTH(steps) && !code; i++)
        code = steps[i](made, error);
    if (code)
        daemon_stop(made);
    else
        *daemon = made;
    return code;
}

const char *daemon_address(const struct daemon *daemon)
{
    return daemon->address;
}

int64_t daemon_busy_ms(const struct daemon *daemon)
{
    return rpc_server_busy_ms(daemon->server);
}

void daemon_stop(struct daemon *daemon)
{
    if (!daemon)
        return;
    control_service_stop(daemon->control);
    downloads_stop(daemon->downloads);
    scrub_stop(daemon->scrub);
    catalogue_stop(daemon->catalogue); /* it tells the heartbeat; the server asks it to the end */
    repairer_stop(daemon->repairer);
    if (daemon->control_server)
        rpc_server_stop(daemon->control_server, CONTROL_GRACE_MS);
    rpc_server_free(daemon->control_server);
    control_service_free(daemon->control);
    downloads_free(daemon->downloads);
    free(daemon->fallbacks);
    watch_stop(daemon->watch);
    heartbeats_stop(daemon->heartbeats);
    if (daemon->health)
        health_service_stop(daemon->health);
    if (daemon->server)
        rpc_server_stop(daemon->server, PEER_GRACE_MS);
    rpc_server_free(daemon->server);
    locator_stop(daemon->locator); /* the calls that wait for it are closed now */
    reflection_service_free(daemon->reflection);
    health_service_free(daemon->health);
    peer_service_free(daemon->service);
    limits_free(daemon->limits);
    timer_stop(daemon->timer);
    catalogue_free(daemon->catalogue);
    directories_free(daemon->directories);
    arrivals_free(daemon->arrivals);
    share_close(daemon->share);
    free(daemon->journals);
    daemon_lock_release(&daemon->lock);
    free(daemon);
}
