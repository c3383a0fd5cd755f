#include "share_fixture.h"

#include "common/memory.h"
#include "peer/share/arrivals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);

    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 2;
}

/* Everything that is no shared file, under names of its own. */
static void make_oddities(const struct fixture *fixture)
{
    char path[UNIT_PATH_BYTES];
    char target[UNIT_PATH_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_int_equal(symlink("/etc/passwd", unit_path(fixture->folder, "link", path)), 0);
    assert_int_equal(symlink("nowhere", unit_path(fixture->folder, "dangling", path)), 0);
    fixture_put(fixture, "real", "r");
    assert_int_equal(symlink("real", unit_path(fixture->folder, "inside", path)), 0);
    assert_int_equal(mkdir(unit_path(fixture->folder, "folder", path), 0755), 0);
    assert_int_equal(mkfifo(unit_path(fixture->folder, "fifo", path), 0644), 0);
    fixture_put(fixture, ".hidden", "h");
    unit_path(fixture->folder, "socket", target);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", target);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    close(server);
    /* Needs rights that a test may not have; the row is then about a name that is not there. */
    (void)!mknod(unit_path(fixture->folder, "device", path), S_IFCHR | 0666, 0x0103);
    fixture_put(fixture, "bad\nname", "b");
    fixture_put(fixture, "bad\xff", "b");
}

static void lists_regular_visible_files(void **state)
{
    struct fixture *fixture = *state;
    struct share_list list;

    make_oddities(fixture);
    fixture_put(fixture, "b.txt", "12345");
    fixture_put(fixture, "a \xc3\xb1", "");
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.files[0].name, "a \xc3\xb1");
    assert_int_equal(list.files[0].size_bytes, 0);
    assert_string_equal(list.files[1].name, "b.txt");
    assert_int_equal(list.files[1].size_bytes, 5);
    assert_true(list.files[1].identity->modified_ns > 1600000000000000000);
    assert_string_equal(list.files[2].name, "real");
    share_list_done(&list);
}

static void opens_nothing_but_regular_visible_files(void **state)
{
    static const char *const names[] = {"link",   "dangling", "inside",  "folder", "fifo",
                                        "socket", "device",   ".hidden", "absent"};
    struct fixture *fixture = *state;

    make_oddities(fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct file_name name = name_of(names[i]);
        struct share_reader *reader;
        struct error error = {0};
        check_row(i, share_reader_open(fixture->share, &name, &reader, &error) == ERROR_NOT_FOUND);
        check_row(i, strcmp(error.text, "Archivo no encontrado") == 0);
    }
}

/* In a process of its own that is not root's; the exit status tells the line that was wrong. */
static int look_without_rights(struct fixture *fixture)
{
    struct file_name name = name_of("private");
    struct share_reader *reader;
    struct share_list list;

    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
        return 1;
    if (share_list_files(fixture->share, &list, NULL) || list.count != 1)
        return 2;
    if (strcmp(list.files[0].name, "public") != 0)
        return 3;
    return share_reader_open(fixture->share, &name, &reader, NULL) == ERROR_DENIED ? 0 : 4;
}

static void leaves_out_what_it_may_not_read(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    int status;

    fixture_put(fixture, "private", "p");
    fixture_put(fixture, "public", "p");
    assert_int_equal(chmod(unit_path(fixture->folder, "private", path), 0), 0);
    assert_int_equal(chmod(unit_path(fixture->folder, "public", path), 0644), 0);
    assert_int_equal(chmod(fixture->folder, 0755), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(look_without_rights(fixture));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void reads_in_order_to_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("f");
    struct share_reader *reader;
    char data[4];
    size_t got;

    fixture_put(fixture, "f", "123456789");
    assert_int_equal(share_reader_open(fixture->share, &name, &reader, NULL), ERROR_NONE);
    assert_int_equal(share_reader_size(reader), 9);
    for (size_t at = 0; at < 9; at += got) {
        assert_int_equal(share_reader_read(reader, data, sizeof data, &got, NULL), ERROR_NONE);
        assert_int_equal(got, at < 8 ? 4 : 1);
        assert_memory_equal(data, &"123456789"[at], got);
    }
    assert_int_equal(share_reader_read(reader, data, sizeof data, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 0);
    share_reader_close(reader);
    fixture_put(fixture, "f", "");
    assert_int_equal(share_reader_open(fixture->share, &name, &reader, NULL), ERROR_NONE);
    assert_int_equal(share_reader_read(reader, data, sizeof data, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 0);
    share_reader_close(reader);
}

static void shrink(const char *path)
{
    assert_int_equal(truncate(path, 5), 0);
}

static void grow(const char *path)
{
    assert_int_equal(truncate(path, 12), 0);
}

static void replace(const char *path)
{
    char fresh[UNIT_PATH_BYTES + 8];

    snprintf(fresh, sizeof fresh, "%s.new", path);
    unit_file_write(fresh, "abcdefgh", 8);
    assert_int_equal(rename(fresh, path), 0);
}

static void rewrite(const char *path)
{
    int file = open(path, O_WRONLY);

    usleep(20000); /* time stamps of older kernels have the grain of a tick */
    assert_int_equal(write(file, "abcdefgh", 8), 8);
    close(file);
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void move_away(const char *path)
{
    char other[UNIT_PATH_BYTES + 8];

    snprintf(other, sizeof other, "%s.old", path);
    assert_int_equal(rename(path, other), 0);
}

static void notices_a_file_that_changes(void **state)
{
    static void (*const changes[])(const char *) = {shrink,  grow,        replace,
                                                    rewrite, remove_file, move_away};
    struct fixture *fixture = *state;
    struct file_name name = name_of("f");
    char path[UNIT_PATH_BYTES];

    unit_path(fixture->folder, "f", path);
    /* Changed after 0, 4 and all 8 bytes were read. */
    for (size_t i = 0; i < ARRAY_LENGTH(changes) * 3; i++) {
        struct share_reader *reader;
        enum error_code code = ERROR_NONE;
        size_t total = i % 3 * 4;
        char data[8];
        size_t got = 0;
        fixture_put(fixture, "f", "12345678");
        check_row(i, share_reader_open(fixture->share, &name, &reader, NULL) == ERROR_NONE);
        if (total > 0)
            check_row(i, share_reader_read(reader, data, total, &got, NULL) == ERROR_NONE);
        check_row(i, got == total);
        changes[i / 3](path);
        do {
            code = share_reader_read(reader, data, 4, &got, NULL);
            total += got;
        } while (!code && got > 0);
        check_row(i, code == ERROR_CHANGED);
        check_row(i, total <= 8);
        share_reader_close(reader);
    }
}

static void receives_a_file(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("new.txt");
    struct file_name stored;
    struct share_list list;
    char data[16];
    size_t got;
    char bytes[] = "abcdef";
    struct iovec spans[] = {{bytes, 2}, {bytes, 0}, {bytes + 2, 4}};
    struct share_incoming *incoming = fixture_receive(fixture, "123");

    assert_int_equal(share_incoming_write(incoming, spans, 3, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_read(incoming, 2, data, 4, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 4);
    assert_memory_equal(data, "3abc", 4);
    assert_int_equal(share_incoming_read(incoming, 7, data, sizeof data, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 2);
    assert_int_equal(share_incoming_read(incoming, 9, data, sizeof data, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 0);
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    assert_int_equal(list.count, 0); /* not before it is whole */
    share_list_done(&list);
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, NULL),
                     ERROR_NONE);
    assert_string_equal(stored.text, "new.txt");
    fixture_check(fixture, "new.txt", "123abcdef");
    assert_int_equal(count_entries(fixture->folder), 1);
}

static void makes_received_files_readable_for_all(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("f");
    char path[UNIT_PATH_BYTES];
    struct file_name stored;
    struct stat status;
    mode_t before = umask(077);

    assert_int_equal(
        share_incoming_commit(fixture_receive(fixture, "x"), &name, SHARE_REFUSE, &stored, NULL),
        ERROR_NONE);
    umask(before);
    assert_int_equal(stat(unit_path(fixture->folder, "f", path), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
}

static void takes_many_spans(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("f");
    struct iovec spans[100];
    char text[201] = "";
    struct file_name stored;
    struct share_incoming *incoming = fixture_receive(fixture, "");

    for (size_t i = 0; i < ARRAY_LENGTH(spans); i++) {
        spans[i] = (struct iovec){(void *)(uintptr_t) & "0123456789"[i % 9], 2};
        memcpy(text + i * 2, spans[i].iov_base, 2);
    }
    assert_int_equal(share_incoming_write(incoming, spans, 100, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, NULL),
                     ERROR_NONE);
    fixture_check(fixture, "f", text);
}

/* Who is patient is told when too much of what was written is not on the disk yet, and only then.
 */
static void says_when_it_lags(void **state)
{
    struct fixture *fixture = *state;
    const size_t part = (size_t)4 << 20;
    char *bytes = calloc(1, part);
    struct iovec span = {.iov_base = bytes, .iov_len = part};

    for (int patient = 0; patient < 2; patient++) {
        struct share_incoming *incoming;
        int lags = 0;
        assert_int_equal(share_incoming_begin(fixture->share, &incoming, NULL), ERROR_NONE);
        if (patient)
            share_incoming_be_patient(incoming);
        for (int i = 0; i < 24; i++) {
            assert_int_equal(share_incoming_write(incoming, &span, 1, NULL), ERROR_NONE);
            if (!share_incoming_lags(incoming))
                continue;
            lags++;
            share_incoming_settle(incoming);
            assert_false(share_incoming_lags(incoming));
        }
        assert_int_equal(lags > 0, patient);
        share_incoming_abort(incoming);
    }
    free(bytes);
}

static void never_overwrites(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("f.txt");
    struct file_name stored;
    struct error error = {0};
    struct share_incoming *incoming = fixture_receive(fixture, "new");

    fixture_put(fixture, "f.txt", "old");
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, &error),
                     ERROR_EXISTS);
    assert_string_equal(error.text, "Ya existe f.txt");
    fixture_check(fixture, "f.txt", "old");
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_NUMBER, &stored, NULL),
                     ERROR_NONE); /* the same one again, as the header allows */
    assert_string_equal(stored.text, "f (1).txt");
    assert_int_equal(share_incoming_commit(fixture_receive(fixture, "third"), &name, SHARE_NUMBER,
                                           &stored, NULL),
                     ERROR_NONE);
    assert_string_equal(stored.text, "f (2).txt");
    fixture_check(fixture, "f.txt", "old");
    fixture_check(fixture, "f (1).txt", "new");
    fixture_check(fixture, "f (2).txt", "third");
    assert_int_equal(count_entries(fixture->folder), 3);
}

static void stores_equal_content_once(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("f");
    struct file_name stored;

    fixture_put(fixture, "f", "same");
    for (int conflict = SHARE_REFUSE; conflict <= SHARE_NUMBER; conflict++) {
        assert_int_equal(share_incoming_commit(fixture_receive(fixture, "same"), &name,
                                               (enum share_conflict)conflict, &stored, NULL),
                         ERROR_NONE);
        assert_string_equal(stored.text, "f");
    }
    assert_int_equal(share_incoming_commit(fixture_receive(fixture, "shorter"), &name, SHARE_NUMBER,
                                           &stored, NULL),
                     ERROR_NONE);
    assert_int_equal(share_incoming_commit(fixture_receive(fixture, "shorter"), &name, SHARE_NUMBER,
                                           &stored, NULL),
                     ERROR_NONE);
    assert_string_equal(stored.text, "f (1)");
    assert_int_equal(count_entries(fixture->folder), 2);
}

static void respects_what_is_no_file(void **state)
{
    static const char *const names[] = {"folder", "dangling", "link", "fifo", "socket"};
    struct fixture *fixture = *state;
    size_t before;

    make_oddities(fixture);
    before = count_entries(fixture->folder);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct file_name name = name_of(names[i]);
        struct file_name stored;
        struct share_incoming *incoming = fixture_receive(fixture, "x");
        check_row(i, share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, NULL) ==
                         ERROR_EXISTS);
        share_incoming_abort(incoming);
    }
    assert_int_equal(count_entries(fixture->folder), before);
}

static void refuses_hidden_names(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of(".bashrc");
    struct file_name stored;
    struct share_incoming *incoming = fixture_receive(fixture, "x");

    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_NUMBER, &stored, NULL),
                     ERROR_INVALID);
    share_incoming_abort(incoming);
    assert_int_equal(count_entries(fixture->folder), 0);
    share_incoming_abort(NULL);
}

#define RACERS 8

struct racer {
    struct share_incoming *incoming;
    enum share_conflict conflict;
    pthread_barrier_t *start;
    enum error_code code;
    struct file_name stored;
};

static void *race(void *context)
{
    struct racer *racer = context;
    struct file_name name = name_of("prize");

    pthread_barrier_wait(racer->start);
    racer->code =
        share_incoming_commit(racer->incoming, &name, racer->conflict, &racer->stored, NULL);
    if (racer->code)
        share_incoming_abort(racer->incoming);
    return NULL;
}

/* Returns how many stored theirs. */
static size_t run_race(struct fixture *fixture, enum share_conflict conflict,
                       struct racer racers[RACERS])
{
    pthread_t threads[RACERS];
    pthread_barrier_t start;
    size_t winners = 0;
    char text[16];

    pthread_barrier_init(&start, NULL, RACERS);
    for (size_t i = 0; i < RACERS; i++) {
        snprintf(text, sizeof text, "racer %zu", i);
        racers[i] = (struct racer){
            .incoming = fixture_receive(fixture, text), .conflict = conflict, .start = &start};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        winners += racers[i].code == ERROR_NONE;
    }
    pthread_barrier_destroy(&start);
    return winners;
}

static void lets_one_of_many_win_whole(void **state)
{
    struct fixture *fixture = *state;
    struct racer racers[RACERS];
    char text[16];

    assert_int_equal(run_race(fixture, SHARE_REFUSE, racers), 1);
    assert_int_equal(count_entries(fixture->folder), 1);
    for (size_t i = 0; i < RACERS; i++) {
        if (racers[i].code) {
            check_row(i, racers[i].code == ERROR_EXISTS);
            continue;
        }
        snprintf(text, sizeof text, "racer %zu", i);
        fixture_check(fixture, "prize", text);
    }
}

static void numbers_without_losing_one(void **state)
{
    struct fixture *fixture = *state;
    struct racer racers[RACERS];
    char text[16];

    assert_int_equal(run_race(fixture, SHARE_NUMBER, racers), RACERS);
    assert_int_equal(count_entries(fixture->folder), RACERS);
    for (size_t i = 0; i < RACERS; i++) {
        snprintf(text, sizeof text, "racer %zu", i);
        fixture_check(fixture, racers[i].stored.text, text);
    }
}

static void removes_what_a_killed_peer_left(void **state)
{
    struct fixture *fixture = *state;
    struct share_incoming *held = fixture_receive(fixture, "in use");
    struct share *second;
    struct file_name name = name_of("f");
    struct file_name stored;
    char path[UNIT_PATH_BYTES];

    fixture_put(fixture, ".p2p-part-abcdef", "left over");
    fixture_put(fixture, ".p2p-part-", "not ours");
    fixture_put(fixture, ".p2p-part-toolong", "not ours");
    fixture_put(fixture, ".p2p-part-ab.def", "not ours");
    assert_int_equal(mkdir(unit_path(fixture->folder, ".p2p-part-folder", path), 0755), 0);
    assert_int_equal(share_open(fixture->folder, &second, NULL), ERROR_NONE);
    assert_int_equal(access(unit_path(fixture->folder, ".p2p-part-abcdef", path), F_OK), -1);
    assert_int_equal(count_entries(fixture->folder), 5);
    assert_int_equal(share_incoming_commit(held, &name, SHARE_REFUSE, &stored, NULL), ERROR_NONE);
    fixture_check(fixture, "f", "in use");
    share_close(second);
}

static void makes_the_folder(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct share *share;
    struct stat status;
    struct error error = {0};
    mode_t before = umask(077);

    assert_int_equal(share_open(unit_path(fixture->folder, "deep/er", path), &share, NULL),
                     ERROR_NONE);
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    assert_string_equal(share_path(share), path);
    share_close(share);
    fixture_put(fixture, "file", "x");
    assert_int_not_equal(share_open(unit_path(fixture->folder, "file", path), &share, &error),
                         ERROR_NONE);
    assert_non_null(strstr(error.text, path));
    share_close(NULL);
}

static void bears_a_folder_that_goes_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    char away[UNIT_PATH_BYTES];
    struct share *share;
    struct share_list list;
    struct share_reader *reader;
    struct share_incoming *incoming;
    struct file_name name = name_of("f");
    struct error error = {0};

    unit_path(fixture->folder, "shared", path);
    unit_path(fixture->folder, "away", away);
    assert_int_equal(share_open(path, &share, NULL), ERROR_NONE);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(share_list_files(share, &list, &error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, "La carpeta compartida no está disponible"));
    assert_int_equal(list.count, 0);
    assert_int_equal(share_reader_open(share, &name, &reader, NULL), ERROR_NOT_FOUND);
    assert_int_equal(share_incoming_begin(share, &incoming, NULL), ERROR_NOT_FOUND);
    unit_file_write(path, "a file in its place", 1);
    assert_int_equal(share_list_files(share, &list, NULL), ERROR_NOT_FOUND);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    fixture_put(fixture, "shared/f", "fresh");
    assert_int_equal(share_list_files(share, &list, NULL), ERROR_NONE);
    assert_int_equal(list.count, 1);
    share_list_done(&list);
    assert_int_equal(share_reader_open(share, &name, &reader, NULL), ERROR_NONE);
    share_reader_close(reader);
    share_close(share);
}

static void pieces_in_any_order_and_over_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct share_incoming *incoming, *other;
    struct file_name name = name_of("f");
    struct file_name stored;
    struct share_kept kept = {.names = memory_new(1, SHARE_TEMPORARY_BYTES), .count = 1};
    struct share *again;
    char path[UNIT_PATH_BYTES], text[16] = "";
    char head[] = "first, ", tail[] = "second";
    struct iovec spans[] = {{head, 7}, {tail, 6}};
    size_t got;

    assert_int_equal(share_incoming_begin(fixture->share, &incoming, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_reserve(incoming, 13, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_write_at(incoming, 7, &spans[1], 1, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_sync(incoming, NULL), ERROR_NONE);
    memcpy(kept.names[0], share_incoming_name(incoming), SHARE_TEMPORARY_BYTES);
    assert_int_equal(share_incoming_reopen(fixture->share, kept.names[0], 13, &other, NULL),
                     ERROR_BUSY);
    share_incoming_keep(incoming);

    assert_int_equal(share_open_keeping(fixture->folder, &kept, &again, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_reopen(again, kept.names[0], 12, &incoming, NULL),
                     ERROR_NOT_FOUND);
    assert_int_equal(share_incoming_reopen(again, "f", 13, &incoming, NULL), ERROR_INVALID);
    assert_int_equal(share_incoming_reopen(again, kept.names[0], 13, &incoming, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_write_at(incoming, 0, &spans[0], 1, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_read(incoming, 3, text, 15, &got, NULL), ERROR_NONE);
    assert_string_equal(text, "st, second");
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, NULL),
                     ERROR_NONE);
    assert_int_equal(count_entries(fixture->folder), 1);
    share_close(again);

    unit_file_write(unit_path(fixture->folder, kept.names[0], path), "x", 1);
    assert_int_equal(share_open(fixture->folder, &again, NULL), ERROR_NONE); /* keeps nothing */
    assert_int_equal(count_entries(fixture->folder), 1);
    share_close(again);
    free(kept.names);
}

/* ---- what arrives ---- */

static void count_call(void *context)
{
    ++*(int *)context;
}

static void what_arrives_is_told_and_read(void **state)
{
    static const char text[PIECE_BYTES] = "second piece";
    struct fixture *fixture = *state;
    int changes = 0;
    struct arrivals *arrivals = arrivals_new(count_call, &changes);
    struct share_incoming *incoming = NULL;
    struct share_reader *reader = NULL;
    struct share_list list = {0};
    auto_manifest manifest = {0};
    struct file_name name;
    char read[64];
    size_t got;
    uint8_t bits = 0xff;

    assert_int_equal(file_name_parse("a", 1, &name, NULL), ERROR_NONE);
    assert_int_equal(manifest_init(&manifest, (int64_t)PIECE_BYTES * 3, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_begin(fixture->share, &incoming, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_reserve(incoming, manifest.size_bytes, NULL), ERROR_NONE);
    struct arrival *arrival = arrivals_begin(arrivals, incoming, &name, &manifest, NULL);
    assert_non_null(arrival);
    struct arrival *found = arrivals_find(arrivals, &manifest.id);
    assert_ptr_equal(found, arrival);
    arrival_pieces(arrival, &bits);
    assert_int_equal(bits, 0);
    arrival_tell(arrival, INT64_MAX); /* there is nothing to tell of */
    assert_int_equal(changes, 0);

    struct iovec span = {.iov_base = (void *)(uintptr_t)text, .iov_len = sizeof text};
    assert_int_equal(share_incoming_write_at(incoming, PIECE_BYTES, &span, 1, NULL), ERROR_NONE);
    arrival_hold(arrival, 1);
    arrival_pieces(arrival, &bits);
    assert_int_equal(bits, 2);
    assert_true(arrival_has(arrival, PIECE_BYTES, PIECE_BYTES));
    assert_true(arrival_has(arrival, PIECE_BYTES + 7, 1));
    assert_false(arrival_has(arrival, PIECE_BYTES, PIECE_BYTES + 1));
    assert_false(arrival_has(arrival, PIECE_BYTES - 1, 2));
    arrivals_fill_list(arrivals, &list);
    assert_int_equal(list.count, 0); /* too soon */
    arrival_tell(arrival, INT64_MAX);
    arrival_tell(arrival, INT64_MAX);
    assert_int_equal(changes, 1);
    arrivals_fill_list(arrivals, &list);
    assert_int_equal(list.count, 1);
    assert_true(list.files[0].partial && list.files[0].has_content);
    list.files[0].partial = false;
    arrivals_fill_list(arrivals, &list); /* the name is taken */
    assert_int_equal(list.count, 1);
    assert_false(list.files[0].partial);
    share_list_done(&list);

    assert_int_equal(arrival_open(found, &reader, NULL), ERROR_NONE);
    arrival_release(found);
    arrivals_end(arrival, &name);
    assert_int_equal(changes, 2);
    assert_null(arrivals_find(arrivals, &manifest.id));
    assert_true(arrivals_stored(arrivals, &manifest.id, &name));
    share_incoming_abort(incoming);
    share_reader_limit(reader, PIECE_BYTES, 12); /* the descriptor stays good */
    assert_int_equal(share_reader_read(reader, read, sizeof read, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 12);
    assert_memory_equal(read, text, 12);
    assert_int_equal(share_reader_read(reader, read, sizeof read, &got, NULL), ERROR_NONE);
    assert_int_equal(got, 0);
    share_reader_close(reader);
    arrivals_free(arrivals);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lists_regular_visible_files),
        TEST(pieces_in_any_order_and_over_a_restart),
        TEST(opens_nothing_but_regular_visible_files),
        TEST(leaves_out_what_it_may_not_read),
        TEST(reads_in_order_to_the_end),
        TEST(notices_a_file_that_changes),
        TEST(receives_a_file),
        TEST(makes_received_files_readable_for_all),
        TEST(takes_many_spans),
        TEST(says_when_it_lags),
        TEST(never_overwrites),
        TEST(stores_equal_content_once),
        TEST(respects_what_is_no_file),
        TEST(refuses_hidden_names),
        TEST(lets_one_of_many_win_whole),
        TEST(numbers_without_losing_one),
        TEST(removes_what_a_killed_peer_left),
        TEST(makes_the_folder),
        TEST(bears_a_folder_that_goes_and_comes_back),
        TEST(what_arrives_is_told_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
