/* The search for words: all pages of random questions against a plain look at every file, whatever
 * time and work a page is given. */
#include "unit.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/words.h"
#include "directory/hits.h"
#include "directory/index.h"
#include "directory/index_reader.h"
#include "directory/registry.h"
#include "directory/secrets.h"
#include "directory/word_search.h"

#include <sqlite3.h>

enum { PEERS = 40, FILES_A_PEER = 30, PAGES_MAX = 20000, QUERY_BYTES = 512, NAME_BYTES = 64 };

/* A file of the model. */
struct file {
    char name[NAME_BYTES];
    int64_t peer_id;
    int64_t size;
};

struct fixture {
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct index *index;
    struct index_reader *reader;
    struct registry *registry;
    struct file *files;
    size_t file_count;
    unsigned seed;
};

static void open_all(struct fixture *fixture)
{
    assert_int_equal(index_open(fixture->path, &fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_reader_open(fixture->path, NULL, &fixture->reader, NULL), ERROR_NONE);
}

static void close_all(struct fixture *fixture)
{
    index_reader_close(fixture->reader);
    index_close(fixture->index);
}

static int start(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    unit_folder_make(fixture->folder);
    unit_path(fixture->folder, "index.db", fixture->path);
    fixture->registry = registry_new(1000000);
    *state = fixture;
    if (secrets_init(NULL))
        return -1;
    open_all(fixture);
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    close_all(fixture);
    registry_free(fixture->registry);
    unit_folder_remove(fixture->folder);
    free(fixture->files);
    free(fixture);
    return 0;
}

static unsigned pick(struct fixture *fixture, unsigned count)
{
    fixture->seed = fixture->seed * 1103515245 + 12345;
    return (fixture->seed >> 16) % count;
}

/* Ids go on from there, so that a few names lie in many blocks of them. The names that are there
 * are indexed. */
static void skip_ids(struct fixture *fixture, int64_t last_id)
{
    auto_free char *sql =
        memory_format("UPDATE sqlite_sequence SET seq=%lld WHERE name='names'", (long long)last_id);
    sqlite3 *database;

    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_settle(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    close_all(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    open_all(fixture);
}

static bool is_there(int64_t peer_id)
{
    return peer_id % 3 != 0;
}

static void ignore_added(void *context, const char *name)
{
    (void)context;
    (void)name;
}

/* A peer with a list: who is there, and who is away, in the registry. */
static void add_peer(struct fixture *fixture, int64_t id, const char *list)
{
    int64_t now_ms = clock_boot_ms();
    auto_free char *name = memory_format("P%lld", (long long)id);
    struct registry_record record = {.id = id,
                                     .name = name,
                                     .urls = "[]",
                                     .host = "",
                                     .seen_ms = now_ms,
                                     .sequence = is_there(id) ? (uint64_t)id : 0};
    struct files_index *files = NULL;

    snprintf(record.token, sizeof record.token, "%032lld", (long long)id);
    assert_int_equal(files_index_parse(list, strlen(list), "h", &files, NULL), ERROR_NONE);
    registry_restore(fixture->registry, &record, now_ms, now_ms);
    assert_int_equal(index_peers_store(index_peers(fixture->index), &record, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, id, files, ignore_added, NULL, NULL),
                     ERROR_NONE);
    files_index_free(files);
}

static const char *const words[] = {
    "casa",         "casas",    "sol", "soledad", "marina", "mar",  "aaaa", "aa",
    "Canci\u00f3n", "a\u00f1o", "ano", "x",       "mp3",    ".txt", "-",    "rar",
};

static void make_name(struct fixture *fixture, char name[NAME_BYTES])
{
    name[0] = '\0';
    for (unsigned left = 1 + pick(fixture, 4); left > 0; left--) {
        strcat(name, words[pick(fixture, ARRAY_LENGTH(words))]);
        if (pick(fixture, 2))
            strcat(name, " ");
    }
    if (pick(fixture, 4) == 0) {
        char number[8];
        snprintf(number, sizeof number, "%u", pick(fixture, 100));
        strcat(name, number);
    }
}

static bool has_file(const struct fixture *fixture, const char *name, int64_t peer_id)
{
    for (size_t i = 0; i < fixture->file_count; i++)
        if (fixture->files[i].peer_id == peer_id && strcmp(fixture->files[i].name, name) == 0)
            return true;
    return false;
}

static void add_random_peer(struct fixture *fixture, int64_t id)
{
    auto_buffer list;

    buffer_init(&list, 1 << 20);
    fixture->files =
        memory_resize(fixture->files, fixture->file_count + FILES_A_PEER, sizeof *fixture->files);
    for (int i = 0; i < FILES_A_PEER; i++) {
        struct file file = {.peer_id = id, .size = pick(fixture, 3)};
        make_name(fixture, file.name);
        if (has_file(fixture, file.name, id))
            continue;
        buffer_printf(&list, "%s{\"filename\":\"%s\",\"size\":%d}", list.length ? "," : "[",
                      file.name, (int)file.size);
        fixture->files[fixture->file_count++] = file;
    }
    buffer_append_char(&list, ']');
    add_peer(fixture, id, list.data);
}

static void add_random_peers(struct fixture *fixture, int64_t first, int64_t last)
{
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    for (int64_t id = first; id <= last; id++)
        add_random_peer(fixture, id);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
}

/* ---- asking ---- */

struct found {
    char name[NAME_BYTES];
    int64_t size;
    int64_t peers;
    bool given, truncated;
};

struct answer {
    struct found items[PEERS * FILES_A_PEER];
    size_t count;
};

static struct found *find_item(struct answer *answer, const char *name, int64_t size)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->items[i].size == size && strcmp(answer->items[i].name, name) == 0)
            return &answer->items[i];
    return NULL;
}

static struct found *add_item(struct answer *answer, const char *name, int64_t size)
{
    struct found *item = &answer->items[answer->count++];

    assert_true(answer->count <= ARRAY_LENGTH(answer->items));
    *item = (struct found){.size = size};
    snprintf(item->name, sizeof item->name, "%s", name);
    return item;
}

/* By a plain look at every file. */
static void expect(const struct fixture *fixture, const char *question, struct answer *answer)
{
    struct words wanted;
    char folded[FOLD_GROWTH * NAME_BYTES + 1];

    answer->count = 0;
    assert_int_equal(words_parse(question, strlen(question), &wanted, NULL), ERROR_NONE);
    for (size_t i = 0; i < fixture->file_count; i++) {
        const struct file *file = &fixture->files[i];
        size_t length = fold_text(file->name, strlen(file->name), folded);
        if (!is_there(file->peer_id) || !words_match(&wanted, folded, length))
            continue;
        struct found *item = find_item(answer, file->name, file->size);
        if (!item)
            item = add_item(answer, file->name, file->size);
        item->peers++;
    }
}

/* Each hit once, and no other. */
static void take_hit(struct answer *answer, const struct json *hit)
{
    const char *name = json_string(json_find(hit, "archivo"));
    int64_t size = -1;
    int64_t peers = 0;

    assert_true(json_integer(json_find(hit, "size"), &size));
    assert_true(json_integer(json_find(hit, "peers"), &peers));
    struct found *item = find_item(answer, name, size);
    if (!item || item->given)
        fail_msg("%s, %d bytes: %s", name, (int)size, item ? "given twice" : "not looked for");
    item->given = true;
    item->truncated = json_find(hit, "truncated") != NULL;
    if (!item->truncated)
        assert_int_equal(peers, item->peers);
}

/* One page; false: it was the last one. */
static bool take_page(struct fixture *fixture, const struct word_search_limits *limits,
                      const char *question, char cursor[HIT_CURSOR_BYTES], struct answer *answer)
{
    char query[QUERY_BYTES];
    struct http_reply reply = {0};
    auto_json *root = NULL;
    int length =
        snprintf(query, sizeof query, "q=%s%s%s", question, *cursor ? "&cursor=" : "", cursor);
    const struct search_request request = {.registry = fixture->registry,
                                           .reader = fixture->reader,
                                           .query = query,
                                           .query_length = (size_t)length};

    assert_int_equal(word_search(&request, limits, &reply, NULL), ERROR_NONE);
    assert_int_equal(json_parse(reply.body.data, reply.body.length, &root, NULL), ERROR_NONE);
    buffer_done(&reply.body);
    const struct json *list = json_find(root, "archivos");
    for (const struct json *hit = json_first(list); hit; hit = json_next(hit))
        take_hit(answer, hit);
    const char *next = json_string(json_find(root, "cursor"));
    if (next)
        snprintf(cursor, HIT_CURSOR_BYTES, "%s", next);
    return next != NULL;
}

/* Of how many pages it consists. */
static size_t check_answer(struct fixture *fixture, const struct word_search_limits *limits,
                           const char *question, struct answer *answer)
{
    char cursor[HIT_CURSOR_BYTES] = "";
    size_t pages = 1;

    while (take_page(fixture, limits, question, cursor, answer))
        assert_true(++pages < PAGES_MAX);
    for (size_t i = 0; i < answer->count; i++)
        if (!answer->items[i].given)
            fail_msg("%s: %s is not found", question, answer->items[i].name);
    return pages;
}

/* No time at all, and none of the ways is taken to its end; hardly any work; and what is usual. */
static const struct word_search_limits limits[] = {
    {.budget_us = -1, .effort = 1, .prefix_effort = 1},
    {.budget_us = INT64_MAX / 2, .effort = 1, .prefix_effort = 1},
    {.budget_us = -1, .effort = 1000, .prefix_effort = 500},
    {.budget_us = INT64_MAX / 2, .effort = 30, .prefix_effort = 30},
    {.budget_us = 20000, .effort = 1000, .prefix_effort = 500},
};

static void make_question(struct fixture *fixture, char question[QUERY_BYTES])
{
    question[0] = '\0';
    for (unsigned left = 1 + pick(fixture, 3); left > 0; left--) {
        const char *word = words[pick(fixture, ARRAY_LENGTH(words))];
        size_t from = pick(fixture, 3);
        if (pick(fixture, 5) == 0)
            strcat(question, "-");
        /* Words are also asked for without their first characters. */
        strcat(question, from < strlen(word) && (word[from] & 0x80) == 0 ? word + from : word);
        strcat(question, " ");
    }
}

/* Names lie in three large blocks of ids, and in more small ones. */
static void random_questions(void **state)
{
    struct fixture *fixture = *state;
    auto_free struct answer *answer = memory_new(1, sizeof *answer);
    char question[QUERY_BYTES];
    char asked[QUERY_BYTES];

    fixture->seed = 4;
    add_random_peers(fixture, 1, 10);
    skip_ids(fixture, (1 << 14) - 50);
    add_random_peers(fixture, 11, 20);
    skip_ids(fixture, (1 << 18) - 50);
    add_random_peers(fixture, 21, 30);
    skip_ids(fixture, (5 << 18) - 50);
    add_random_peers(fixture, 31, PEERS);
    for (int i = 0; i < 100; i++) {
        make_question(fixture, question);
        unsigned limit = 1 + pick(fixture, 60);
        snprintf(asked, sizeof asked, "%s&limit=%u", question, limit);
        for (size_t row = 0; row < ARRAY_LENGTH(limits); row++) {
            expect(fixture, question, answer);
            check_answer(fixture, &limits[row], asked, answer);
        }
    }
}

/* ---- names that many have who are away ---- */

/* Who is there comes after many who are not; at a limit of one hit, too, and without any time. */
static void many_are_away(void **state)
{
    static const char *const there[] = {
        "[{\"filename\":\"todos\",\"size\":1}]",
        "[{\"filename\":\"todos\",\"size\":2},{\"filename\":\"todos o\",\"size\":3}]",
        "[{\"filename\":\"todos\",\"size\":1}]",
    };
    static const char *const questions[] = {"todos", "todos&limit=1", "o&limit=1", "o"};
    struct fixture *fixture = *state;
    auto_free struct answer *answer = memory_new(1, sizeof *answer);

    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    add_peer(fixture, 3, "[{\"filename\":\"nadie\",\"size\":0}]");
    for (int64_t id = 6; id < 6000; id += 3)
        add_peer(fixture, id, "[{\"filename\":\"todos\",\"size\":9}]");
    for (size_t i = 0; i < ARRAY_LENGTH(there); i++)
        add_peer(fixture, (int64_t)(6001 + 3 * i), there[i]);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    for (size_t i = 0; i < ARRAY_LENGTH(questions); i++) {
        for (size_t row = 0; row < ARRAY_LENGTH(limits); row++) {
            answer->count = 0;
            add_item(answer, "todos", 1)->peers = 2;
            add_item(answer, "todos", 2)->peers = 1;
            add_item(answer, "todos o", 3)->peers = 1;
            size_t pages = check_answer(fixture, &limits[row], questions[i], answer);
            /* Some 2,000 who are away, 256 at a time. */
            if (limits[row].budget_us < 0)
                assert_in_range(pages, 7, 16);
        }
    }
}

/* The one who is there stands about where a page without any time ends. */
static void the_first_one_after_many(void **state)
{
    struct fixture *fixture = *state;
    auto_free struct answer *answer = memory_new(1, sizeof *answer);
    int64_t id = 3;

    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    for (int away = 254; away <= 258; away++) {
        auto_free char *list = memory_format("[{\"filename\":\"tras %d\",\"size\":1}]", away);
        for (int i = 0; i < away; i++, id += 3)
            add_peer(fixture, id, list);
        add_peer(fixture, id + 1, list);
    }
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    for (size_t row = 0; row < ARRAY_LENGTH(limits); row++) {
        answer->count = 0;
        for (int away = 254; away <= 258; away++) {
            auto_free char *name = memory_format("tras %d", away);
            add_item(answer, name, 1)->peers = 1;
        }
        check_answer(fixture, &limits[row], "tras", answer);
    }
}

/* Of those who follow the first one who is there so many are looked at. */
static void a_name_that_thousands_have(void **state)
{
    struct fixture *fixture = *state;
    auto_free struct answer *answer = memory_new(1, sizeof *answer);

    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    add_peer(fixture, 1, "[{\"filename\":\"todos\",\"size\":1}]");
    for (int64_t id = 3; id < 3 * (HITS_ROWS_MAX + 10); id += 3)
        add_peer(fixture, id, "[{\"filename\":\"todos\",\"size\":1}]");
    add_peer(fixture, 30001, "[{\"filename\":\"todos\",\"size\":2}]");
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    add_item(answer, "todos", 1)->peers = 1;
    assert_int_equal(check_answer(fixture, &word_search_limits, "todos", answer), 1);
    assert_true(answer->items[0].truncated);
}

/* ---- work ---- */

static bool count_name(void *context, int64_t id, const char *name)
{
    (void)id;
    (void)name;
    ++*(size_t *)context;
    return true;
}

/* Two lists that have nothing in common, each longer than the work allows. */
static void work_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    struct index_names_query query = {
        .query = "\"aaa\" AND \"bbb\"", .last = INT64_MAX, .effort = 20};
    size_t found = 0;
    auto_buffer list;

    buffer_init(&list, 4 << 20);
    for (int i = 0; i < 40000; i++)
        buffer_printf(&list, "%c{\"filename\":\"%s%05d\"}", i ? ',' : '[', i % 2 ? "aaa" : "bbb",
                      i);
    buffer_append_char(&list, ']');
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    add_peer(fixture, 1, list.data);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);

    assert_int_equal(index_names_with(fixture->reader, &query, count_name, &found, NULL),
                     ERROR_NONE);
    assert_true(query.gave_up);
    query.effort = 0;
    assert_int_equal(index_names_with(fixture->reader, &query, count_name, &found, NULL),
                     ERROR_NONE);
    assert_false(query.gave_up);
    assert_int_equal(found, 0);
    /* Each name is little work, however many there are. */
    query.query = "\"aaa\"";
    query.effort = 200;
    assert_int_equal(index_names_with(fixture->reader, &query, count_name, &found, NULL),
                     ERROR_NONE);
    assert_false(query.gave_up);
    assert_int_equal(found, 20000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_questions, start, stop),
        cmocka_unit_test_setup_teardown(many_are_away, start, stop),
        cmocka_unit_test_setup_teardown(the_first_one_after_many, start, stop),
        cmocka_unit_test_setup_teardown(a_name_that_thousands_have, start, stop),
        cmocka_unit_test_setup_teardown(work_has_an_end, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
