/* Several small files together: a directory that is a stub, our own service as the source. */
#include "common/log.h"
#include "common/memory.h"
#include "http_stub.h"
#include "manifest_of.h"
#include "peer/downloads/batch.h"
#include "service_world.h"

#include <stdatomic.h>

#define FILES_MAX 40

/* What is said of a file, and what comes of it. */
struct row {
    const char *name;
    size_t length;
    const char *sources; /* one letter each, see describe_source */
    const char *peer;    /* from this one only */
    char end;            /* 'a'rrived, 'l'eft, or '-': neither */
};

struct fixture {
    struct service_world *source;
    const struct row *rows;
    atomic_size_t count; /* set when the rest is there: the stub is a thread */
    struct content_id contents[FILES_MAX];
    uint8_t *bytes[FILES_MAX];

    struct http_stub *stub;
    atomic_bool single; /* the directory answers single names only */
    struct directories *directories;
    struct locator *locator;

    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct share *share;
    struct channel_pool *channels;
    struct interrupt *interrupt;
    char ends[FILES_MAX];
    size_t unwanted; /* this one nobody wants any more; from 1 on */
    size_t shown;    /* times that `at` was told */
};

/* ---- the directory ---- */

/* g: has it. d: does not answer. o: has other content. n: does not say which. p: has a part. m: is
 * ourselves. */
static void describe_source(const struct fixture *fixture, size_t index, char kind, char *out,
                            size_t capacity)
{
    char id[2 * HASH_BYTES + 1];
    char address[ADDRESS_TEXT_BYTES];
    struct content_id content = fixture->contents[index];

    content.bytes[0] ^= kind == 'o';
    content_id_format(&content, id);
    snprintf(out, capacity, "{\"peer\":\"%s%c\",\"url\":[\"%s\"]%s", kind == 'm' ? "Me" : "P", kind,
             kind == 'd' ? "127.0.0.1:1" : address_format(&fixture->source->address, address),
             kind == 'n' ? "" : ",");
    size_t used = strlen(out);
    if (kind != 'n')
        snprintf(out + used, capacity - used, "\"size\":%zu,\"content\":\"%s\"%s",
                 fixture->rows[index].length, id, kind == 'p' ? ",\"partial\":true" : "");
    used = strlen(out);
    snprintf(out + used, capacity - used, "}");
}

static void describe(const struct fixture *fixture, size_t index, char *out, size_t capacity)
{
    const struct row *row = &fixture->rows[index];
    size_t used =
        (size_t)snprintf(out, capacity, "{\"archivo\":\"%s\",\"disponible_en\":[", row->name);

    for (const char *kind = row->sources; *kind; kind++) {
        used += (size_t)snprintf(out + used, capacity - used, "%s", kind > row->sources ? "," : "");
        describe_source(fixture, index, *kind, out + used, capacity - used);
        used += strlen(out + used);
    }
    snprintf(out + used, capacity - used, "]}");
}

static void answer_many(const struct fixture *fixture, char *body, size_t capacity)
{
    size_t used = (size_t)snprintf(body, capacity, "{\"archivos\":[");
    bool first = true;

    for (size_t i = 0; i < fixture->count; i++) {
        if (!fixture->rows[i].sources[0])
            continue;
        used += (size_t)snprintf(body + used, capacity - used, "%s", first ? "" : ",");
        describe(fixture, i, body + used, capacity - used);
        used += strlen(body + used);
        first = false;
    }
    assert_true(used + 3 < capacity);
    snprintf(body + used, capacity - used, "]}");
}

static void answer(void *context, const struct http_stub_request *request, int *status, char *body,
                   size_t capacity)
{
    const struct fixture *fixture = context;

    *status = 405;
    snprintf(body, capacity, "{\"detail\":\"Method Not Allowed\"}");
    if (strncmp(request->head, "POST", 4) == 0 && !fixture->single) {
        *status = 200;
        answer_many(fixture, body, capacity);
    } else if (strncmp(request->head, "GET", 3) == 0) {
        *status = 404;
        for (size_t i = 0; i < fixture->count; i++) {
            auto_free char *wanted = memory_format("filename=%s&", fixture->rows[i].name);
            auto_free char *last = memory_format("filename=%s ", fixture->rows[i].name);
            if (!fixture->rows[i].sources[0] ||
                (!strstr(request->head, wanted) && !strstr(request->head, last)))
                continue;
            *status = 200;
            describe(fixture, i, body, capacity);
        }
    }
}

/* ---- the world ---- */

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);
    void *source = NULL;

    log_set_level(LOG_ERROR);
    assert_int_equal(service_world_start(&source, calloc(1, sizeof(struct service_world)), true),
                     0);
    fixture->source = source;
    unit_folder_make(fixture->folder);
    unit_path(fixture->folder, "answers.json", fixture->path);
    auto_free char *folder = memory_format("%s/share", fixture->folder);
    assert_int_equal(share_open(folder, &fixture->share, NULL), ERROR_NONE);
    fixture->stub = http_stub_start(answer, fixture);
    auto_free char *login = memory_format("%s/login", http_stub_url(fixture->stub));
    auto_free char *search = memory_format("%s/search", http_stub_url(fixture->stub));
    struct config_strings logins = {.items = &login, .count = 1};
    struct config_strings searches = {.items = &search, .count = 1};
    fixture->directories = directories_new(&logins, &searches);
    fixture->interrupt = interrupt_new();
    fixture->channels = channel_pool_new();
    *state = fixture;
    return locator_start(&(struct locator_options){.own_name = "Mem",
                                                   .own_address = "127.0.0.1:2",
                                                   .path = fixture->path,
                                                   .directories = fixture->directories},
                         &fixture->locator, NULL);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    void *source = fixture->source;

    locator_stop(fixture->locator);
    directories_free(fixture->directories);
    interrupt_free(fixture->interrupt);
    channel_pool_free(fixture->channels);
    http_stub_stop(fixture->stub);
    share_close(fixture->share);
    unit_folder_remove(fixture->folder);
    for (size_t i = 0; i < fixture->count; i++)
        free(fixture->bytes[i]);
    free(fixture);
    return service_world_stop(&source);
}

/* Files of those lengths are at the source, which knows them. */
static void use_rows(struct fixture *fixture, const struct row *rows, size_t count)
{
    assert_true(count <= FILES_MAX);
    fixture->rows = rows;
    for (size_t i = 0; i < count; i++) {
        struct file_name name;
        enum error_code code;
        fixture->bytes[i] = malloc(rows[i].length + 1);
        memset(fixture->bytes[i], (int)i + 1, rows[i].length);
        auto_manifest manifest = manifest_of(fixture->bytes[i], rows[i].length);
        fixture->contents[i] = manifest.id;
        snprintf(name.text, sizeof name.text, "%s", rows[i].name);
        service_world_put(fixture->source, rows[i].name, fixture->bytes[i], rows[i].length);
        while ((code = catalogue_learn(fixture->source->catalogue, &name, &manifest, NULL)) ==
               ERROR_BUSY)
            usleep(1000);
        assert_int_equal(code, ERROR_NONE);
    }
    fixture->count = count;
}

/* ---- what the batch says ---- */

static bool is_wanted(void *context, size_t index)
{
    const struct fixture *fixture = context;

    return index + 1 != fixture->unwanted;
}

static void note_place(void *context, size_t index, const char *who, int64_t size_bytes)
{
    struct fixture *fixture = context;

    fixture->shown++;
    assert_true(index < fixture->count);
    assert_true(!who || size_bytes == (int64_t)fixture->rows[index].length);
}

static void note_arrived(void *context, size_t index, struct batch_arrival *arrival)
{
    struct fixture *fixture = context;
    size_t length = fixture->rows[index].length;
    auto_free uint8_t *bytes = memory_new(length + 1, 1);
    size_t got;

    check_row(index, fixture->ends[index] == '-');
    fixture->ends[index] = 'a';
    assert_int_equal(share_incoming_read(arrival->incoming, 0, bytes, length + 1, &got, NULL),
                     ERROR_NONE);
    check_row(index, got == length && memcmp(bytes, fixture->bytes[index], length) == 0);
    check_row(index, content_id_equal(&arrival->manifest.id, &fixture->contents[index]));
    share_incoming_abort(arrival->incoming);
    manifest_done(&arrival->manifest);
}

static void note_left(void *context, size_t index)
{
    struct fixture *fixture = context;

    check_row(index, fixture->ends[index] == '-');
    fixture->ends[index] = 'l';
}

static void run(struct fixture *fixture, size_t turn)
{
    const struct source_finder finder = {.own_name = "Mem", .locator = fixture->locator};
    const struct batch_options options = {.share = fixture->share,
                                          .finder = &finder,
                                          .channels = fixture->channels,
                                          .interrupt = fixture->interrupt,
                                          .stall_ms = BATCH_STALL_MS,
                                          .turn = turn};
    const struct batch_taker taker = {.is_wanted = is_wanted,
                                      .at = note_place,
                                      .arrived = note_arrived,
                                      .left = note_left,
                                      .context = fixture};
    struct file_name names[FILES_MAX];
    struct batch_file files[FILES_MAX];

    for (size_t i = 0; i < fixture->count; i++) {
        snprintf(names[i].text, sizeof names[i].text, "%s", fixture->rows[i].name);
        files[i] = (struct batch_file){.name = &names[i],
                                       .peer = fixture->rows[i].peer ? fixture->rows[i].peer : ""};
        fixture->ends[i] = '-';
    }
    batch_run(&options, files, fixture->count, &taker);
}

static void check_ends(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->count; i++)
        check_row(i, fixture->ends[i] == fixture->rows[i].end);
}

/* ---- the tests ---- */

static const struct row rows[] = {
    {"one", 1, "g", NULL, 'a'},
    {"none", 0, "g", NULL, 'a'},
    {"block", 16384, "g", NULL, 'a'},
    {"piece", PIECE_BYTES, "g", NULL, 'a'},
    {"larger", PIECE_BYTES + 1, "g", NULL, 'l'},
    {"nobody", 5, "", NULL, 'l'},
    {"nameless", 6, "n", NULL, 'l'},
    {"ours", 7, "m", NULL, 'l'},
    {"part", 8, "p", NULL, 'l'},
    {"dead", 9, "d", NULL, 'l'},
    {"other", 10, "o", NULL, 'l'},
    {"dead-and-good", 11, "dg", NULL, 'a'},
    {"good-and-dead", 12, "gd", NULL, 'a'},
    {"many-kinds", 13, "nmdgp", NULL, 'a'},
    {"from-it", 14, "gd", "Pg", 'a'},
    {"from-the-dead", 15, "gd", "Pd", 'l'},
    {"from-nobody", 16, "gd", "Pz", 'l'},
    {"last", 4096, "g", NULL, 'a'},
};

static void each_ends_as_it_should(void **state)
{
    struct fixture *fixture = *state;

    use_rows(fixture, rows, ARRAY_LENGTH(rows));
    for (size_t turn = 0; turn < 3; turn++) {
        run(fixture, turn);
        check_ends(fixture);
        assert_true(fixture->shown > 0);
    }
    assert_int_equal(http_stub_wait(fixture->stub, 3), 3);
}

/* Of names that are found without contents nothing can be told for those after them. */
static void a_directory_of_single_names(void **state)
{
    static const struct row few[] = {
        {"one", 1, "g", NULL, 'a'},      {"none", 0, "g", NULL, 'a'},
        {"nobody", 5, "", NULL, 'l'},    {"dead", 9, "dg", NULL, 'a'},
        {"two", 20, "g", NULL, 'a'},     {"nameless", 6, "n", NULL, 'l'},
        {"not asked", 7, "g", NULL, 'l'}};
    struct fixture *fixture = *state;

    use_rows(fixture, few, ARRAY_LENGTH(few));
    fixture->single = true;
    run(fixture, 0);
    check_ends(fixture);
}

static void what_nobody_wants_any_more(void **state)
{
    struct fixture *fixture = *state;

    use_rows(fixture, rows, ARRAY_LENGTH(rows));
    fixture->unwanted = 3;
    run(fixture, 0);
    assert_int_equal(fixture->ends[0], 'a');
    assert_int_equal(fixture->ends[2], '-');
    assert_int_equal(fixture->ends[3], 'a');
}

static void interrupted(void **state)
{
    struct fixture *fixture = *state;

    use_rows(fixture, rows, ARRAY_LENGTH(rows));
    interrupt_raise(fixture->interrupt);
    run(fixture, 0);
    for (size_t i = 0; i < fixture->count; i++)
        check_row(i, fixture->ends[i] == '-');
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_ends_as_it_should),
        TEST(a_directory_of_single_names),
        TEST(what_nobody_wants_any_more),
        TEST(interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
