/* Downloads against a peer that behaves as the name of the file says. */
#include "unit.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/downloads.h"
#include "peer/rpc/reply.h"
#include "peer/service/control_private.h"
#include "proto/peer.pb-c.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define PATIENCE_MS 60000
#define HALF        "first half, "
#define REST        "second half"

/* ---- the other peer ---- */

/* Streams of "slow…" wait here after the first half. */
static struct {
    pthread_mutex_t lock;
    bool open;
    struct rpc_call *waiting[16];
    size_t count;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct stream {
    struct rpc_call *call;
    char name[64];
    unsigned sent;
};

static void *stream_open(void *service, struct rpc_call *call)
{
    struct stream *stream = memory_new(1, sizeof *stream);

    (void)service;
    stream->call = call;
    return stream;
}

static enum error_code stream_message(void *state, const struct rpc_request *request,
                                      struct error *error)
{
    struct stream *stream = state;
    const Peer__DownloadRequest *message = (const Peer__DownloadRequest *)request->message;

    (void)error;
    snprintf(stream->name, sizeof stream->name, "%.*s", (int)message->filename.len,
             (const char *)message->filename.data);
    return ERROR_NONE;
}

static bool must_wait(struct stream *stream)
{
    pthread_mutex_lock(&gate.lock);
    bool wait = !gate.open;
    if (wait && gate.count < ARRAY_LENGTH(gate.waiting))
        gate.waiting[gate.count++] = stream->call;
    pthread_mutex_unlock(&gate.lock);
    return wait;
}

static enum rpc_step send(struct rpc_reply *reply, const char *text, int64_t total,
                          struct error *error)
{
    Peer__Chunk chunk = PEER__CHUNK__INIT;

    chunk.data.data = (uint8_t *)(uintptr_t)text;
    chunk.data.len = strlen(text);
    chunk.total_bytes = total;
    return rpc_reply_pack(reply, &chunk.base, error) == ERROR_NONE ? RPC_SEND : RPC_END;
}

static enum rpc_step stream_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct stream *stream = state;
    bool is_short = strncmp(stream->name, "short", 5) == 0;

    if (strncmp(stream->name, "none", 4) == 0) {
        error_set(error, ERROR_NOT_FOUND, "Archivo no encontrado");
        return RPC_END;
    }
    if (stream->sent == 1 && strncmp(stream->name, "slow", 4) == 0 && must_wait(stream))
        return RPC_WAIT;
    if (stream->sent == 2 || (stream->sent == 1 && is_short))
        return RPC_END;
    const char *text = stream->sent == 0 ? HALF : REST;
    return send(reply, text, stream->sent++ == 0 ? (int64_t)strlen(HALF REST) : 0, error);
}

static void stream_close(void *state)
{
    struct stream *stream = state;

    pthread_mutex_lock(&gate.lock);
    for (size_t i = 0; i < gate.count; i++) {
        if (gate.waiting[i] == stream->call)
            gate.waiting[i] = gate.waiting[--gate.count];
    }
    pthread_mutex_unlock(&gate.lock);
    free(stream);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    for (size_t i = 0; i < gate.count; i++)
        rpc_call_wake(gate.waiting[i]);
    gate.count = 0;
    pthread_mutex_unlock(&gate.lock);
}

static const struct rpc_method methods[] = {{.path = "/peer.PeerService/DownloadFile",
                                             .request = &peer__download_request__descriptor,
                                             .open = stream_open,
                                             .message = stream_message,
                                             .next = stream_next,
                                             .close = stream_close}};

/* ---- the world of a test ---- */

struct world {
    char folder[UNIT_PATH_BYTES];
    struct share *share;
    struct rpc_server *server;
    struct downloads *downloads;
    struct address address; /* of the other peer */
};

static const struct source_finder finder = {.own_name = "Peer1"};

static int start(void **state)
{
    static const struct rpc_service service = {.methods = methods,
                                               .method_count = ARRAY_LENGTH(methods)};
    const struct rpc_server_options options = {
        .address = "127.0.0.1:0", .services = &service, .service_count = 1, .loops = 2};
    struct world *world = memory_new(1, sizeof *world);

    gate.open = false;
    unit_folder_make(world->folder);
    assert_int_equal(share_open(world->folder, &world->share, NULL), ERROR_NONE);
    assert_int_equal(rpc_server_start(&options, &world->server, NULL), ERROR_NONE);
    snprintf(world->address.host, sizeof world->address.host, "127.0.0.1");
    world->address.port = rpc_server_port(world->server);
    const struct downloads_options wanted = {.share = world->share, .finder = &finder};
    assert_int_equal(downloads_start(&wanted, &world->downloads, NULL), ERROR_NONE);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;

    downloads_stop(world->downloads);
    downloads_free(world->downloads);
    rpc_server_stop(world->server, 0);
    rpc_server_free(world->server);
    share_close(world->share);
    unit_folder_remove(world->folder);
    free(world);
    return 0;
}

static uint64_t add_from(struct world *world, const char *name,
                         enum download_destination destination, const struct address *addresses,
                         size_t count)
{
    struct download_request request = {.destination = destination,
                                       .peer = "Peer2",
                                       .addresses = addresses,
                                       .address_count = count};
    uint64_t id;

    assert_int_equal(file_name_parse(name, strlen(name), &request.name, NULL), ERROR_NONE);
    assert_int_equal(downloads_add(world->downloads, &request, &id, NULL), ERROR_NONE);
    return id;
}

static uint64_t add(struct world *world, const char *name, enum download_destination destination)
{
    return add_from(world, name, destination, &world->address, 1);
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Waits until the job is in that state, and has so many bytes. */
static struct download_status wait_for(struct world *world, uint64_t id, enum download_state state,
                                       int64_t bytes)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    struct download_status status = {0};

    while (clock_boot_ms() < end_ms) {
        assert_true(downloads_find(world->downloads, id, &status));
        if (status.state == state && status.bytes >= bytes)
            return status;
        pause_ms(2);
    }
    fail_msg("job %d is %s with %d bytes: %s", (int)id, download_state_name(status.state),
             (int)status.bytes, status.error.text);
    return status;
}

static size_t count_names(const char *folder)
{
    DIR *opened = opendir(folder);
    size_t count = 0;

    assert_non_null(opened);
    for (const struct dirent *entry = readdir(opened); entry; entry = readdir(opened))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(opened);
    return count;
}

static void wait_for_names(struct world *world, size_t count)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;

    while (count_names(world->folder) != count && clock_boot_ms() < end_ms)
        pause_ms(2);
    assert_int_equal(count_names(world->folder), count);
}

/* ---- tests ---- */

static void note_wake(void *context)
{
    atomic_fetch_add((atomic_uint *)context, 1);
}

static void a_download_and_its_news(void **state)
{
    struct world *world = *state;
    atomic_uint wakes = 0;
    struct downloads_follower follower = {.wake = note_wake, .context = &wakes};
    struct download_status status;
    auto_free uint64_t *ids = NULL;

    downloads_follow(world->downloads, &follower);
    uint64_t id = add(world, "a.txt", DOWNLOAD_SHARE);
    status = wait_for(world, id, DOWNLOAD_DONE, (int64_t)strlen(HALF REST));
    assert_string_equal(status.stored.text, "a.txt");
    assert_int_equal(status.total_bytes, strlen(HALF REST));
    assert_non_null(strstr(status.source, "Peer2 (127.0.0.1:"));
    assert_true(atomic_load(&wakes) >= 3); /* queued, running, done */
    assert_true(downloads_next_change(world->downloads, &follower, &status));
    assert_int_equal(status.id, id);
    assert_false(downloads_next_change(world->downloads, &follower, &status));
    downloads_unfollow(world->downloads, &follower);
    assert_int_equal(downloads_list(world->downloads, &ids), 1);
    assert_int_equal(ids[0], id);
    assert_int_equal(count_names(world->folder), 1);
}

static void the_next_address_is_tried(void **state)
{
    struct world *world = *state;
    struct address addresses[] = {{"127.0.0.1", 1}, world->address};

    uint64_t id = add_from(world, "a.txt", DOWNLOAD_SHARE, addresses, 2);
    struct download_status status = wait_for(world, id, DOWNLOAD_DONE, 1);
    assert_int_equal(status.attempt, 2);
    assert_int_equal(count_names(world->folder), 1);
}

static void each_reason_is_told(void **state)
{
    static const struct {
        const char *name;
        enum error_code code;
        const char *reason;
    } rows[] = {
        {"none", ERROR_NOT_FOUND, "Archivo no encontrado"},
        {"short", ERROR_CORRUPT, "no está completo"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t id = add(world, rows[i].name, DOWNLOAD_SHARE);
        struct download_status status = wait_for(world, id, DOWNLOAD_FAILED, 0);
        check_row(i, status.error.code == rows[i].code);
        check_row(i, strstr(status.error.text, rows[i].reason) != NULL);
        check_row(i, strstr(status.error.text, "Peer2 (127.0.0.1:") != NULL);
    }
    assert_int_equal(count_names(world->folder), 0);
}

static void without_a_directory_it_fails(void **state)
{
    struct world *world = *state;

    uint64_t id = add_from(world, "a.txt", DOWNLOAD_SHARE, NULL, 0);
    struct download_status status = wait_for(world, id, DOWNLOAD_FAILED, 0);
    assert_int_equal(status.error.code, ERROR_UNREACHABLE);
}

static void what_runs_and_what_waits_is_cancelled(void **state)
{
    struct world *world = *state;
    uint64_t ids[DOWNLOADS_RUNNING_MAX + 1];
    struct downloads_counts counts;

    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        ids[i] = add(world, "slow", DOWNLOAD_SHARE);
    for (size_t i = 0; i < DOWNLOADS_RUNNING_MAX; i++)
        (void)wait_for(world, ids[i], DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    downloads_count(world->downloads, &counts);
    assert_int_equal(counts.running, DOWNLOADS_RUNNING_MAX);
    assert_int_equal(counts.queued, 1);
    downloads_cancel(world->downloads, ids[DOWNLOADS_RUNNING_MAX]);
    (void)wait_for(world, ids[DOWNLOADS_RUNNING_MAX], DOWNLOAD_CANCELLED, 0);
    downloads_cancel(world->downloads, ids[0]);
    struct download_status status = wait_for(world, ids[0], DOWNLOAD_CANCELLED, 0);
    assert_int_equal(status.error.code, ERROR_CANCELLED);
    int64_t begin_ms = clock_boot_ms();
    downloads_stop(world->downloads);
    assert_true(clock_boot_ms() - begin_ms < 8000);
    assert_int_equal(count_names(world->folder), 0);
    downloads_count(world->downloads, &counts);
    assert_int_equal(counts.failed, ARRAY_LENGTH(ids));
    struct download_request request = {.peer = ""};
    assert_int_equal(downloads_add(world->downloads, &request, &ids[0], NULL), ERROR_CANCELLED);
}

static enum download_state state_of(struct world *world, uint64_t id)
{
    struct download_status status;

    assert_true(downloads_find(world->downloads, id, &status));
    return status.state;
}

/* Streams without hashes keep their places; who waits goes by its priority as it is then. */
static void the_urgent_go_first(void **state)
{
    struct world *world = *state;
    uint64_t runs[DOWNLOADS_RUNNING_MAX];
    struct download_status status;
    uint64_t waits[3];

    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++)
        runs[i] = add(world, "slow", DOWNLOAD_SHARE);
    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++)
        (void)wait_for(world, runs[i], DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    for (size_t i = 0; i < ARRAY_LENGTH(waits); i++)
        waits[i] = add(world, "slow", DOWNLOAD_SHARE);
    assert_true(downloads_set_priority(world->downloads, waits[0], DOWNLOAD_LOW));
    assert_true(downloads_set_priority(world->downloads, waits[2], DOWNLOAD_HIGH));
    assert_true(downloads_find(world->downloads, waits[2], &status));
    assert_int_equal(status.priority, DOWNLOAD_HIGH);
    downloads_cancel(world->downloads, runs[3]);
    (void)wait_for(world, waits[2], DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    assert_int_equal(state_of(world, waits[0]), DOWNLOAD_QUEUED);
    assert_int_equal(state_of(world, waits[1]), DOWNLOAD_QUEUED);
    assert_true(downloads_set_priority(world->downloads, waits[0], DOWNLOAD_HIGH));
    downloads_cancel(world->downloads, runs[0]);
    (void)wait_for(world, waits[0], DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    assert_int_equal(state_of(world, waits[1]), DOWNLOAD_QUEUED);
    assert_int_equal(state_of(world, runs[1]), DOWNLOAD_RUNNING);
    open_gate();
    (void)wait_for(world, waits[1], DOWNLOAD_DONE, 0);
    assert_true(downloads_set_priority(world->downloads, waits[1], DOWNLOAD_HIGH));
    assert_true(downloads_find(world->downloads, waits[1], &status));
    assert_int_equal(status.priority, DOWNLOAD_NORMAL); /* it was over */
    assert_false(downloads_set_priority(world->downloads, 1000, DOWNLOAD_HIGH));
}

static void bytes_are_read_while_they_arrive(void **state)
{
    struct world *world = *state;
    char bytes[64] = "";
    struct error error;
    size_t got;

    uint64_t id = add(world, "slow", DOWNLOAD_SPOOL);
    (void)wait_for(world, id, DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    assert_int_equal(downloads_read(world->downloads, id, 1, 0, bytes, sizeof bytes, &got, &error),
                     ERROR_NONE);
    assert_int_equal(got, strlen(HALF));
    assert_int_equal(downloads_read(world->downloads, id, 2, 0, bytes, sizeof bytes, &got, &error),
                     ERROR_CHANGED);
    open_gate();
    (void)wait_for(world, id, DOWNLOAD_DONE, (int64_t)strlen(HALF REST));
    assert_int_equal(downloads_read(world->downloads, id, 1, (int64_t)strlen(HALF), bytes,
                                    sizeof bytes, &got, &error),
                     ERROR_NONE);
    assert_memory_equal(bytes, REST, strlen(REST));
    assert_int_equal(count_names(world->folder), 1); /* the hidden one */
    downloads_release(world->downloads, id);
    wait_for_names(world, 0); /* the worker takes it away when it has not left the job yet */
}

static void a_reader_that_leaves_ends_the_job(void **state)
{
    struct world *world = *state;

    uint64_t id = add(world, "slow", DOWNLOAD_SPOOL);
    (void)wait_for(world, id, DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    downloads_release(world->downloads, id);
    (void)wait_for(world, id, DOWNLOAD_CANCELLED, 0);
    wait_for_names(world, 0);
}

static void wait_forgotten(struct world *world, uint64_t id)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    struct download_status status;

    while (downloads_find(world->downloads, id, &status) && clock_boot_ms() < end_ms)
        pause_ms(2);
    assert_false(downloads_find(world->downloads, id, &status));
}

/* Goes on with a list that is under way. Returns how many more jobs it has. */
static size_t count_listed(void *listing)
{
    struct rpc_reply reply = {.limit_bytes = RPC_MAX_MESSAGE_BYTES};
    struct error error = {0};
    size_t count = 0;

    for (; control_downloads_next(listing, &reply, &error) == RPC_SEND; count++)
        reply_drop(&reply);
    assert_int_equal(error.code, ERROR_NONE);
    return count - 1; /* the last one says that these were all */
}

/* Or who cancels all would miss those. */
static void what_changes_meanwhile_is_listed_once(void **state)
{
    const P2p__Control__DownloadsRequest message = P2P__CONTROL__DOWNLOADS_REQUEST__INIT;
    const struct rpc_request request = {.message = &message.base};
    struct world *world = *state;
    struct control_service service = {
        .options = {.share = world->share, .downloads = world->downloads, .finder = &finder}};
    struct rpc_reply reply = {.limit_bytes = RPC_MAX_MESSAGE_BYTES};
    struct error error = {0};
    uint64_t ids[4];

    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        ids[i] = add(world, "slow", DOWNLOAD_SHARE);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        (void)wait_for(world, ids[i], DOWNLOAD_RUNNING, (int64_t)strlen(HALF));
    void *listing = control_downloads_open(&service, NULL);
    assert_int_equal(control_downloads_message(listing, &request, &error), ERROR_NONE);
    assert_int_equal(control_downloads_next(listing, &reply, &error), RPC_SEND);
    reply_drop(&reply);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        downloads_set_priority(world->downloads, ids[i], DOWNLOAD_HIGH);
    assert_int_equal(count_listed(listing), ARRAY_LENGTH(ids) - 1);
    control_downloads_close(listing);
}

static void old_jobs_are_forgotten(void **state)
{
    struct world *world = *state;
    struct download_status status;
    uint64_t first = add(world, "none", DOWNLOAD_SHARE);
    uint64_t last = first;

    (void)wait_for(world, first, DOWNLOAD_FAILED, 0);
    for (size_t i = 0; i < DOWNLOADS_FINISHED_MAX; i++)
        last = add(world, "none", DOWNLOAD_SHARE);
    wait_forgotten(world, first);
    assert_true(downloads_find(world->downloads, last, &status));
}

/* More than are remembered, and nobody took the news meanwhile. */
static void who_follows_hears_of_every_end(void **state)
{
    enum { JOBS = 5 * DOWNLOADS_FINISHED_MAX };
    struct world *world = *state;
    atomic_uint wakes = 0;
    struct downloads_follower follower = {.wake = note_wake, .context = &wakes};
    struct downloads_counts counts = {0};
    struct download_status status;
    bool ended[JOBS + 1] = {false};
    size_t count = 0;

    downloads_follow(world->downloads, &follower);
    for (size_t i = 0; i < JOBS; i++)
        (void)add(world, "none", DOWNLOAD_SHARE);
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    while (counts.failed < JOBS && clock_boot_ms() < end_ms) {
        downloads_count(world->downloads, &counts);
        pause_ms(2);
    }
    while (downloads_next_change(world->downloads, &follower, &status)) {
        if (download_state_is_final(status.state))
            assert_false(ended[status.id]);
        ended[status.id] |= download_state_is_final(status.state);
    }
    for (size_t i = 1; i <= JOBS; i++)
        count += ended[i];
    assert_int_equal(count, JOBS);
    downloads_unfollow(world->downloads, &follower);
    assert_false(downloads_find(world->downloads, 1, &status)); /* nobody wants them any more */
}

/* It is not forgotten while somebody wants to hear how it ends. */
static void who_follows_one_hears_its_end(void **state)
{
    struct world *world = *state;
    atomic_uint wakes = 0;
    struct downloads_follower follower = {.wake = note_wake, .context = &wakes};
    struct download_status status;
    uint64_t last = 0;

    uint64_t first = add(world, "none", DOWNLOAD_SHARE);
    assert_true(downloads_follow_job(world->downloads, &follower, first));
    for (size_t i = 0; i < 2 * DOWNLOADS_FINISHED_MAX; i++)
        last = add(world, "none", DOWNLOAD_SHARE);
    (void)wait_for(world, last, DOWNLOAD_FAILED, 0);
    (void)wait_for(world, first, DOWNLOAD_FAILED, 0);
    assert_false(downloads_next_change(world->downloads, &follower, &status));
    downloads_unfollow(world->downloads, &follower);
    (void)add(world, "none", DOWNLOAD_SHARE);
    wait_forgotten(world, first);
    assert_false(downloads_follow_job(world->downloads, &follower, first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_download_and_its_news, start, stop),
        cmocka_unit_test_setup_teardown(the_next_address_is_tried, start, stop),
        cmocka_unit_test_setup_teardown(each_reason_is_told, start, stop),
        cmocka_unit_test_setup_teardown(without_a_directory_it_fails, start, stop),
        cmocka_unit_test_setup_teardown(what_runs_and_what_waits_is_cancelled, start, stop),
        cmocka_unit_test_setup_teardown(the_urgent_go_first, start, stop),
        cmocka_unit_test_setup_teardown(who_follows_hears_of_every_end, start, stop),
        cmocka_unit_test_setup_teardown(who_follows_one_hears_its_end, start, stop),
        cmocka_unit_test_setup_teardown(bytes_are_read_while_they_arrive, start, stop),
        cmocka_unit_test_setup_teardown(a_reader_that_leaves_ends_the_job, start, stop),
        cmocka_unit_test_setup_teardown(old_jobs_are_forgotten, start, stop),
        cmocka_unit_test_setup_teardown(what_changes_meanwhile_is_listed_once, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
