/* Downloads in pieces, from peers of ours in this process: the real service over real folders. */
#include "unit.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/downloads.h"
#include "peer/downloads/journal.h"
#include "peer/downloads/wanted.h"
#include "peer/rpc/server.h"
#include "peer/service/peer_service.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 30000
#define SOURCES     3
#define SIZE        ((size_t)12 * PIECE_BYTES + 4321)

struct source {
    char folder[UNIT_PATH_BYTES];
    struct share *share;
    struct catalogue *catalogue;
    struct timer *timer;
    struct limits *limits;
    struct peer_service *service;
    struct rpc_server *server;
    struct address address;
};

struct world {
    struct source sources[SOURCES];
    char folder[UNIT_PATH_BYTES];
    char journals[UNIT_PATH_BYTES];
    struct share *share;
    struct downloads *downloads;
    uint8_t *data;
};

static const struct source_finder finder = {.own_name = "Peer1"};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static struct file_name named(const char *text)
{
    struct file_name name;

    assert_int_equal(file_name_parse(text, strlen(text), &name, NULL), ERROR_NONE);
    return name;
}

static void wait_hashed(struct source *source, const char *name)
{
    struct file_name file = named(name);
    struct catalogue_entry entry;
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;

    while (catalogue_look_up(source->catalogue, &file, &entry, NULL) != ERROR_NONE) {
        assert_true(clock_boot_ms() < end_ms);
        catalogue_share_changed(source->catalogue);
        pause_ms(10);
    }
}

static void start_source(struct source *source, const uint8_t *data)
{
    char path[UNIT_PATH_BYTES];

    unit_folder_make(source->folder);
    unit_file_write(unit_path(source->folder, "a.bin", path), data, SIZE);
    assert_int_equal(share_open(source->folder, &source->share, NULL), ERROR_NONE);
    unit_path(source->folder, ".catalogue.db", path);
    const struct catalogue_options options = {.share = source->share, .path = path, .threads = 1};
    assert_int_equal(catalogue_start(&options, &source->catalogue, NULL), ERROR_NONE);
    assert_int_equal(timer_start(&source->timer, NULL), ERROR_NONE);
    source->limits =
        limits_new(&(struct limits_rates){.total = {0}}, LIMITS_UPLOAD_SLOTS, source->timer);
    const struct peer_service_options service = {.share = source->share,
                                                 .catalogue = source->catalogue,
                                                 .limits = source->limits,
                                                 .timer = source->timer};
    assert_int_equal(peer_service_new(&service, &source->service, NULL), ERROR_NONE);
    const struct rpc_server_options server = {.address = "127.0.0.1:0",
                                              .services = peer_service_rpc(source->service),
                                              .service_count = 1,
                                              .loops = 1};
    assert_int_equal(rpc_server_start(&server, &source->server, NULL), ERROR_NONE);
    snprintf(source->address.host, sizeof source->address.host, "127.0.0.1");
    source->address.port = rpc_server_port(source->server);
    wait_hashed(source, "a.bin");
}

static void stop_source(struct source *source)
{
    if (!source->server)
        return;
    rpc_server_stop(source->server, 0);
    rpc_server_free(take_pointer(&source->server));
    peer_service_free(source->service);
    limits_free(source->limits);
    timer_stop(source->timer);
    catalogue_free(source->catalogue);
    share_close(source->share);
    unit_folder_remove(source->folder);
}

static void start_downloads(struct world *world)
{
    struct share_kept kept;
    const struct downloads_options options = {.finder = &finder, .folder = world->journals};
    struct downloads_options given = options;

    journal_kept(world->journals, &kept);
    assert_int_equal(share_open_keeping(world->folder, &kept, &world->share, NULL), ERROR_NONE);
    free(kept.names);
    given.share = world->share;
    assert_int_equal(downloads_start(&given, &world->downloads, NULL), ERROR_NONE);
}

static void stop_downloads(struct world *world)
{
    downloads_stop(world->downloads);
    downloads_free(world->downloads);
    share_close(world->share);
}

static int start(void **state)
{
    struct world *world = memory_new(1, sizeof *world);

    world->data = memory_new(SIZE, 1);
    for (size_t i = 0; i < SIZE; i++)
        world->data[i] = (uint8_t)(i * 2654435761U >> 13);
    for (size_t i = 0; i < SOURCES; i++)
        start_source(&world->sources[i], world->data);
    unit_folder_make(world->folder);
    unit_folder_make(world->journals);
    start_downloads(world);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;

    stop_downloads(world);
    for (size_t i = 0; i < SOURCES; i++)
        stop_source(&world->sources[i]);
    unit_folder_remove(world->folder);
    unit_folder_remove(world->journals);
    free(world->data);
    free(world);
    return 0;
}

static uint64_t add_from(struct world *world, const struct address *addresses, size_t count,
                         enum download_destination destination)
{
    uint64_t id;
    struct download_request request = {.name = named("a.bin"),
                                       .destination = destination,
                                       .addresses = addresses,
                                       .address_count = count};

    assert_int_equal(downloads_add(world->downloads, &request, &id, NULL), ERROR_NONE);
    return id;
}

static uint64_t add(struct world *world, enum download_destination destination)
{
    struct address addresses[SOURCES];

    for (size_t i = 0; i < SOURCES; i++)
        addresses[i] = world->sources[i].address;
    return add_from(world, addresses, SOURCES, destination);
}

/* Connections to it are taken by the system, and never answered. */
static int silent_listener(struct address *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &length), 0);
    snprintf(address->host, sizeof address->host, "127.0.0.1");
    address->port = ntohs(name.sin_port);
    return listener;
}

static struct download_status wait_for(struct world *world, uint64_t id, enum download_state state)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    struct download_status status = {0};

    while (clock_boot_ms() < end_ms) {
        assert_true(downloads_find(world->downloads, id, &status));
        if (status.state == state)
            return status;
        pause_ms(2);
    }
    fail_msg("job %d is %s with %d bytes: %s %s", (int)id, download_state_name(status.state),
             (int)status.bytes, status.error.text, status.reason);
    return status;
}

/* Whichever: nothing of it is left on disk then but the file. */
static void wait_for_end(const struct world *world, uint64_t id)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    struct download_status status;

    do {
        assert_true(downloads_find(world->downloads, id, &status));
        pause_ms(2);
    } while (!download_state_is_final(status.state) && clock_boot_ms() < end_ms);
    assert_true(download_state_is_final(status.state));
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

static void wait_for_names(const struct world *world, size_t count)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;

    while (count_names(world->folder) != count && clock_boot_ms() < end_ms)
        pause_ms(5);
    assert_int_equal(count_names(world->folder), count);
}

/* Neither a journal nor a line of what is wanted. */
static void check_nothing_recorded(const struct world *world)
{
    char path[UNIT_PATH_BYTES];
    struct stat status;

    assert_int_equal(stat(unit_path(world->journals, WANTED_FILE, path), &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(count_names(world->journals), 1);
}

static void check_stored(struct world *world)
{
    char path[UNIT_PATH_BYTES];
    auto_free uint8_t *read = memory_new(SIZE + 1, 1);
    FILE *file = fopen(unit_path(world->folder, "a.bin", path), "re");

    assert_non_null(file);
    assert_int_equal(fread(read, 1, SIZE + 1, file), SIZE);
    fclose(file);
    assert_memory_equal(read, world->data, SIZE);
    assert_int_equal(count_names(world->folder), 1);
    check_nothing_recorded(world);
}

/* ---- tests ---- */

static void from_all_at_once(void **state)
{
    struct world *world = *state;
    struct download_source rows[8];
    int64_t bytes = 0;

    uint64_t id = add(world, DOWNLOAD_SHARE);
    struct download_status status = wait_for(world, id, DOWNLOAD_DONE);
    assert_int_equal(status.held_bytes, SIZE);
    assert_int_equal(status.total_bytes, SIZE);
    assert_int_equal(downloads_sources(world->downloads, id, rows, 8), SOURCES);
    for (size_t i = 0; i < SOURCES; i++) {
        bytes += rows[i].bytes;
        assert_int_equal(rows[i].error.code, ERROR_NONE);
        assert_false(rows[i].liar);
    }
    assert_int_equal(bytes, SIZE);
    assert_int_equal(downloads_sources(world->downloads, id + 1, rows, 8), 0);
    check_stored(world);
}

static void by_a_reader_in_order(void **state)
{
    struct world *world = *state;
    auto_free uint8_t *read = memory_new(SIZE, 1);
    size_t done = 0;
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;

    uint64_t id = add(world, DOWNLOAD_SPOOL);
    while (done < SIZE && clock_boot_ms() < end_ms) {
        struct error error = {0};
        size_t got = 0;
        enum error_code code = downloads_read(world->downloads, id, 1, (int64_t)done, read + done,
                                              SIZE - done, &got, &error);
        assert_true(code == ERROR_NONE || code == ERROR_CHANGED); /* not begun yet */
        done += got;
        if (got == 0)
            pause_ms(1);
    }
    assert_int_equal(done, SIZE);
    assert_memory_equal(read, world->data, SIZE);
    (void)wait_for(world, id, DOWNLOAD_DONE);
    downloads_release(world->downloads, id);
    wait_for_names(world, 0); /* the worker takes it away when it has not left the job yet */
    check_nothing_recorded(world);
}

static void paused_resumed_and_cancelled(void **state)
{
    struct world *world = *state;
    uint64_t ids[10];

    for (int round = 0; round < (int)ARRAY_LENGTH(ids); round++) {
        uint64_t id = ids[round] = add(world, DOWNLOAD_SHARE);
        pause_ms(round);
        assert_true(downloads_pause(world->downloads, id));
        pause_ms(round % 3);
        assert_true(downloads_resume(world->downloads, id));
        assert_true(downloads_pause(world->downloads, id));
        struct download_status status;
        int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
        do {
            assert_true(downloads_find(world->downloads, id, &status));
            pause_ms(2);
        } while (status.state != DOWNLOAD_PAUSED && status.state != DOWNLOAD_DONE &&
                 clock_boot_ms() < end_ms);
        assert_true(status.state == DOWNLOAD_PAUSED || status.state == DOWNLOAD_DONE);
        assert_true(downloads_resume(world->downloads, id));
        if (round % 2 == 0)
            (void)wait_for(world, id, DOWNLOAD_DONE);
        else
            assert_true(downloads_cancel(world->downloads, id));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        wait_for_end(world, ids[i]);
    check_stored(world);
    assert_false(downloads_pause(world->downloads, 1000));
    assert_false(downloads_resume(world->downloads, 1000));
    assert_false(downloads_cancel(world->downloads, 1000));
}

static void over_a_restart(void **state)
{
    struct world *world = *state;
    struct download_status status;

    uint64_t id = add(world, DOWNLOAD_SHARE);
    assert_true(downloads_pause(world->downloads, id));
    (void)wait_for(world, id, DOWNLOAD_PAUSED);
    uint64_t other = add(world, DOWNLOAD_SHARE);
    pause_ms(3);
    stop_downloads(world);
    start_downloads(world);
    assert_true(downloads_find(world->downloads, id, &status));
    assert_int_equal(status.state, DOWNLOAD_PAUSED);
    if (downloads_find(world->downloads, other, &status)) /* else it was done before */
        (void)wait_for(world, other, DOWNLOAD_DONE);
    assert_true(downloads_cancel(world->downloads, id));
    check_stored(world);
}

/* Bytes a second of each source; 0: no limit. */
static void set_rate(struct world *world, int64_t rate)
{
    const struct limits_rates rates = {.total = {[LIMITS_UPLOAD] = rate}};

    for (size_t i = 0; i < SOURCES; i++)
        limits_set_rates(world->sources[i].limits, &rates);
}

static struct download_status wait_for_piece(struct world *world, uint64_t id)
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    struct download_status status = {0};

    while (status.held_bytes == 0 && clock_boot_ms() < end_ms) {
        assert_true(downloads_find(world->downloads, id, &status));
        pause_ms(2);
    }
    assert_true(status.held_bytes > 0);
    assert_int_equal(status.state, DOWNLOAD_RUNNING);
    return status;
}

static void the_urgent_take_a_place(void **state)
{
    struct world *world = *state;
    uint64_t ids[DOWNLOADS_RUNNING_MAX];
    struct download_status status;

    set_rate(world, 3000000);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        ids[i] = add(world, DOWNLOAD_SHARE);
    struct download_status before = wait_for_piece(world, ids[3]);
    set_rate(world, 1000);
    uint64_t urgent = add(world, DOWNLOAD_SHARE);
    assert_true(downloads_find(world->downloads, urgent, &status));
    assert_int_equal(status.state, DOWNLOAD_QUEUED);
    assert_true(downloads_set_priority(world->downloads, urgent, DOWNLOAD_HIGH));
    (void)wait_for(world, urgent, DOWNLOAD_RUNNING);
    status = wait_for(world, ids[3], DOWNLOAD_QUEUED); /* the youngest, and only that */
    assert_true(status.held_bytes >= before.held_bytes);
    assert_true(downloads_find(world->downloads, ids[2], &status));
    assert_int_equal(status.state, DOWNLOAD_RUNNING);

    /* One that runs is not urgent any more. */
    assert_true(downloads_set_priority(world->downloads, ids[0], DOWNLOAD_LOW));
    (void)wait_for(world, ids[0], DOWNLOAD_QUEUED);
    status = wait_for(world, ids[3], DOWNLOAD_RUNNING);
    assert_true(status.held_bytes >= before.held_bytes);

    /* One that waits is ordered about like any other. */
    assert_true(downloads_pause(world->downloads, ids[0]));
    (void)wait_for(world, ids[0], DOWNLOAD_PAUSED);
    assert_true(downloads_cancel(world->downloads, ids[3]));
    (void)wait_for(world, ids[3], DOWNLOAD_CANCELLED);
    set_rate(world, 0);
    assert_true(downloads_resume(world->downloads, ids[0]));
    for (size_t i = 0; i < 3; i++)
        (void)wait_for(world, ids[i], DOWNLOAD_DONE);
    (void)wait_for(world, urgent, DOWNLOAD_DONE);
    check_stored(world);
}

static void priorities_over_a_restart(void **state)
{
    static const enum download_priority wanted[] = {DOWNLOAD_LOW, DOWNLOAD_HIGH, DOWNLOAD_NORMAL,
                                                    DOWNLOAD_LOW, DOWNLOAD_HIGH, DOWNLOAD_LOW};
    struct world *world = *state;
    struct download_status status;
    uint64_t ids[ARRAY_LENGTH(wanted)];

    set_rate(world, 1000);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        ids[i] = add(world, DOWNLOAD_SHARE);
    (void)wait_for(world, ids[0], DOWNLOAD_RUNNING);
    assert_true(downloads_pause(world->downloads, ids[1]));
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        assert_true(downloads_set_priority(world->downloads, ids[i], wanted[i]));
    stop_downloads(world);
    start_downloads(world);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        assert_true(downloads_find(world->downloads, ids[i], &status));
        check_row(i, status.priority == wanted[i]);
    }
    (void)wait_for(world, ids[4], DOWNLOAD_RUNNING);
    assert_true(downloads_find(world->downloads, ids[5], &status));
    assert_int_equal(status.state, DOWNLOAD_QUEUED); /* four run, and one is paused */
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        assert_true(downloads_cancel(world->downloads, ids[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++)
        (void)wait_for(world, ids[i], DOWNLOAD_CANCELLED);
    assert_int_equal(count_names(world->folder), 0);
    check_nothing_recorded(world);
}

static void a_source_that_goes_while_it_runs(void **state)
{
    struct world *world = *state;

    uint64_t id = add(world, DOWNLOAD_SHARE);
    stop_source(&world->sources[0]);
    stop_source(&world->sources[1]);
    (void)wait_for(world, id, DOWNLOAD_DONE);
    check_stored(world);
}

/* One step takes ten seconds to be given up: nobody waits for that. */
static void a_source_that_never_answers(void **state)
{
    struct world *world = *state;
    struct address addresses[2];
    int64_t began_ms = clock_boot_ms();

    int listener = silent_listener(&addresses[0]);
    addresses[1] = world->sources[0].address;
    uint64_t id = add_from(world, addresses, 2, DOWNLOAD_SHARE);
    (void)wait_for(world, id, DOWNLOAD_DONE);
    assert_true(clock_boot_ms() - began_ms < 9900); /* the hashes 1 s, the pieces it keeps 3 s */
    check_stored(world);
    close(listener);
}

/* Who knows nothing of it does not hold up the next. */
static void sources_without_it_come_first(void **state)
{
    struct world *world = *state;
    struct address addresses[SOURCES];
    char path[UNIT_PATH_BYTES];

    for (size_t i = 0; i < SOURCES; i++)
        addresses[i] = world->sources[i].address;
    for (size_t i = 0; i + 1 < SOURCES; i++)
        assert_int_equal(unlink(unit_path(world->sources[i].folder, "a.bin", path)), 0);
    uint64_t id = add_from(world, addresses, SOURCES, DOWNLOAD_SHARE);
    (void)wait_for(world, id, DOWNLOAD_DONE);
    check_stored(world);
    id = add_from(world, addresses, SOURCES - 1, DOWNLOAD_SHARE);
    (void)wait_for(world, id, DOWNLOAD_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_source_that_never_answers, start, stop),
        cmocka_unit_test_setup_teardown(sources_without_it_come_first, start, stop),
        cmocka_unit_test_setup_teardown(from_all_at_once, start, stop),
        cmocka_unit_test_setup_teardown(by_a_reader_in_order, start, stop),
        cmocka_unit_test_setup_teardown(paused_resumed_and_cancelled, start, stop),
        cmocka_unit_test_setup_teardown(over_a_restart, start, stop),
        cmocka_unit_test_setup_teardown(the_urgent_take_a_place, start, stop),
        cmocka_unit_test_setup_teardown(priorities_over_a_restart, start, stop),
        cmocka_unit_test_setup_teardown(a_source_that_goes_while_it_runs, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
