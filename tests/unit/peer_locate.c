#include "unit.h"

#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "peer/locate/answers.h"
#include "peer/locate/answers_file.h"
#include "peer/locate/ask.h"
#include "peer/locate/client_rates.h"
#include "peer/locate/located.h"
#include "peer/locate/questions.h"

#include <sys/stat.h>

#define NOW INT64_C(1767225600000)

static struct address parse(const char *text)
{
    struct address address;

    assert_int_equal(address_parse(text, true, &address, NULL), ERROR_NONE);
    return address;
}

/* count sources "P0", "P1", ... at "h:first", "h:first + 1", ... */
static struct directory_sources make_sources(size_t count, uint16_t first)
{
    struct directory_sources sources = {.items = memory_new(count, sizeof *sources.items),
                                        .count = count};

    for (size_t i = 0; i < count; i++) {
        struct address address = {.host = "h", .port = (uint16_t)(first + i)};
        sources.items[i] = (struct directory_source){
            .peer = memory_format("P%zu", i),
            .addresses = (struct address *)memory_copy(&address, sizeof address),
            .address_count = 1,
            .size_bytes = (int64_t)i};
    }
    return sources;
}

static struct file_name make_name(size_t number)
{
    struct file_name name;

    snprintf(name.text, sizeof name.text, "file %zu", number);
    return name;
}

/* ---- questions ---- */

static void takes_each_question_once(void **state)
{
    struct questions *questions = memory_new(1, sizeof *questions);
    uint8_t first[QUESTION_ID_BYTES] = {1};
    uint8_t second[QUESTION_ID_BYTES] = {2};

    (void)state;
    assert_true(questions_take(questions, first, 1000));
    assert_false(questions_take(questions, first, 1001));
    assert_true(questions_take(questions, second, 1002));
    assert_false(questions_take(questions, first, 1000 + QUESTIONS_KEEP_MS));
    assert_true(questions_take(questions, first, 1001 + QUESTIONS_KEEP_MS));
    assert_false(questions_take(questions, second, 1001 + QUESTIONS_KEEP_MS));
    free(questions);
}

static void remembers_so_many_questions(void **state)
{
    struct questions *questions = memory_new(1, sizeof *questions);
    uint8_t id[QUESTION_ID_BYTES] = {0};

    (void)state;
    for (uint32_t i = 0; i <= QUESTIONS_MAX; i++) {
        memcpy(id, &i, sizeof i);
        assert_true(questions_take(questions, id, i / 100));
    }
    assert_false(questions_take(questions, id, 50));
    memset(id, 0, sizeof id);
    assert_true(questions_take(questions, id, 50)); /* the oldest was forgotten */
    assert_int_equal(questions->count, QUESTIONS_MAX);
    free(questions);
}

static void limits_a_client(void **state)
{
    struct client_rates *rates = memory_new(1, sizeof *rates);

    (void)state;
    for (int i = 0; i < CLIENT_RATES_BURST; i++)
        assert_true(client_rates_take(rates, i % 2 ? "10.0.0.1:1" : "10.0.0.1:2", 1000));
    assert_false(client_rates_take(rates, "10.0.0.1:3", 1000));
    assert_false(client_rates_take(rates, "[::ffff:10.0.0.1]:3", 1000));
    assert_true(client_rates_take(rates, "10.0.0.2:3", 1000));
    assert_true(client_rates_take(rates, "[2001:db8::1]:3", 1000));
    assert_true(client_rates_take(rates, "10.0.0.1:3", 1000 + 1000 / CLIENT_RATES_SECOND));
    assert_false(client_rates_take(rates, "10.0.0.1:3", 1000 + 1000 / CLIENT_RATES_SECOND));
    assert_true(client_rates_take(rates, "10.0.0.1:3", INT64_C(1) << 50));
    free(rates);
}

static void limits_all_clients(void **state)
{
    struct client_rates *rates = memory_new(1, sizeof *rates);
    int taken = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char client[64];
        snprintf(client, sizeof client, "10.0.%d.%d:1", i / 250, i % 250);
        taken += client_rates_take(rates, client, 1000);
    }
    assert_int_equal(taken, CLIENT_RATES_ALL_BURST);
    /* A network of IPv6 is one client. */
    taken = 0;
    for (int i = 0; i < 100; i++) {
        char client[64];
        snprintf(client, sizeof client, "[2001:db8::%x]:1", i);
        taken += client_rates_take(rates, client, 1000000);
    }
    assert_int_equal(taken, CLIENT_RATES_BURST);
    free(rates);
}

/* ---- sources of others ---- */

static void checks_addresses(void **state)
{
    static const struct {
        const char *address, *from;
        bool good;
    } rows[] = {
        {"172.28.0.4:8002", "172.28.0.3:8001", true},
        {"peer.example:1", "10.0.0.1:1", true},
        {"127.0.0.1:22", "172.28.0.3:8001", false},
        {"127.1.2.3:22", "172.28.0.3:8001", false},
        {"[::1]:22", "172.28.0.3:8001", false},
        {"LocalHost:22", "172.28.0.3:8001", false},
        {"[::ffff:127.0.0.1]:22", "10.0.0.1:1", false},
        {"127.0.0.1:8002", "127.0.0.1:8001", true},
        {"0.0.0.0:8002", "127.0.0.1:8001", false},
        {"[::]:8002", "127.0.0.1:8001", false},
        {"10.0.0.1:0", "10.0.0.2:1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct address address = parse(rows[i].address);
        struct address from = parse(rows[i].from);
        check_row(i, located_address_is_good(&address, &from) == rows[i].good);
    }
    assert_true(located_peer_is_good("Peer 1 ñ", strlen("Peer 1 ñ")));
    assert_false(located_peer_is_good("", 0));
    assert_false(located_peer_is_good("a\nb", 3));
    assert_false(located_peer_is_good("a\0b", 3));
    assert_false(located_peer_is_good("\xff", 1));
}

static void merges_what_is_new(void **state)
{
    struct directory_sources into = make_sources(2, 100);
    struct directory_sources from = make_sources(4, 101); /* the first is there already */

    (void)state;
    free(from.items[3].addresses);
    from.items[3].addresses = NULL;
    from.items[3].address_count = 0;
    located_merge(&into, &from);
    assert_int_equal(from.count, 0);
    assert_int_equal(into.count, 4);
    assert_string_equal(into.items[2].peer, "P1");
    assert_int_equal(into.items[3].addresses[0].port, 103);
    /* The same place with other content is another source. */
    into.items[0].has_content = true;
    from = make_sources(1, 100);
    from.items[0].has_content = true;
    from.items[0].content.bytes[0] = 1;
    located_merge(&into, &from);
    assert_int_equal(into.count, 5);
    from = make_sources(100, 200);
    located_merge(&into, &from);
    assert_int_equal(into.count, LOCATED_SOURCES_MAX);
    located_drop_peer(&into, "P1");
    for (size_t i = 0; i < into.count; i++)
        check_row(i, strcmp(into.items[i].peer, "P1") != 0);
    directory_sources_done(&into);
}

static void tells_where_from(void **state)
{
    struct directory_sources sources = make_sources(4, 1);
    char text[LOCATED_NOTE_BYTES];

    (void)state;
    assert_string_equal(located_note(&sources, text), "");
    sources.items[1].origin = SOURCE_REMEMBERED;
    sources.items[1].age_ms = 5 * 60000;
    sources.items[2].origin = SOURCE_LOCATED;
    sources.items[2].via = parse("10.0.0.1:8001");
    sources.items[2].age_ms = 3 * 24 * 3600000;
    sources.items[3] = (struct directory_source){.peer = sources.items[3].peer,
                                                 .addresses = sources.items[3].addresses,
                                                 .address_count = 1,
                                                 .origin = SOURCE_LOCATED,
                                                 .via = parse("10.0.0.1:8001")};
    assert_string_equal(located_note(&sources, text),
                        "El directorio no responde; según lo recordado hace 5 min; según "
                        "10.0.0.1:8001 hace 3 días");
    directory_sources_done(&sources);
    assert_string_equal(located_age(-5, text), "hace 0 s");
    assert_string_equal(located_age(59999, text), "hace 59 s");
    assert_string_equal(located_age(47 * 3600000, text), "hace 47 h");
}

static void takes_a_response_with_care(void **state)
{
    static const struct {
        const char *peer, *address;
        int64_t size, age;
        size_t content;
        const char *taken; /* the address; NULL: not taken */
    } rows[] = {
        {"Peer2", "172.28.0.4:8002", 5, 7, 32, "172.28.0.4:8002"},
        {"Peer2", "0.0.0.0:8002", -5, -7, 31, "172.28.0.3:8002"},
        {"Peer2", "127.0.0.1:22", 0, 0, 0, NULL},
        {"Peer2", "nonsense", 0, 0, 0, NULL},
        {"Peer2", "host:0", 0, 0, 0, NULL},
        {"", "172.28.0.4:8002", 0, 0, 0, NULL},
        {"a\x1b[2Jb", "172.28.0.4:8002", 0, 0, 0, NULL},
    };
    struct address asked = parse("172.28.0.3:8001");
    uint8_t content[32] = {1};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        Peer__LocateResponse response = PEER__LOCATE_RESPONSE__INIT;
        Peer__LocatedSource source = PEER__LOCATED_SOURCE__INIT;
        Peer__LocatedSource *sources[200];
        char *addresses[50];
        struct directory_sources taken;
        char text[ADDRESS_TEXT_BYTES];

        for (size_t k = 0; k < ARRAY_LENGTH(addresses); k++)
            addresses[k] = (char *)(uintptr_t)rows[i].address;
        for (size_t k = 0; k < ARRAY_LENGTH(sources); k++)
            sources[k] = &source;
        source.peer = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)rows[i].peer,
                                            .len = strlen(rows[i].peer)};
        source.addresses = addresses;
        source.n_addresses = ARRAY_LENGTH(addresses);
        source.has_size = true;
        source.size_bytes = rows[i].size;
        source.age_ms = rows[i].age;
        source.content_id = (ProtobufCBinaryData){.data = content, .len = rows[i].content};
        response.sources = sources;
        response.n_sources = ARRAY_LENGTH(sources);
        ask_take_response(&response, &asked, &taken);
        check_row(i, taken.count == (rows[i].taken ? LOCATED_SOURCES_MAX : 0));
        if (rows[i].taken) {
            const struct directory_source *first = &taken.items[0];
            assert_string_equal(address_format(&first->addresses[0], text), rows[i].taken);
            check_row(i, first->address_count == LOCATED_ADDRESSES_MAX);
            check_row(i, first->size_bytes == (rows[i].size < 0 ? -1 : rows[i].size));
            check_row(i, first->age_ms == (rows[i].age < 0 ? 0 : rows[i].age));
            check_row(i, first->has_content == (rows[i].content == 32));
            check_row(i, first->origin == SOURCE_LOCATED);
        }
        directory_sources_done(&taken);
    }
}

/* ---- answers ---- */

static void remembers_an_answer(void **state)
{
    struct answers_table *table = memory_new(1, sizeof *table);
    struct directory_sources sources = make_sources(ANSWER_SOURCES_MAX + 4, 1);
    struct file_name name = make_name(1);

    (void)state;
    assert_null(answers_table_find(table, &name, NOW));
    assert_true(answers_table_remember(table, &name, &sources, NOW));
    assert_int_equal(answers_table_find(table, &name, NOW)->sources.count, ANSWER_SOURCES_MAX);
    assert_null(answers_table_find(table, &name, NOW + ANSWERS_KEEP_MS + 1));
    /* Another answer takes its place; one with nothing to remember does not. */
    sources.items[0].address_count = 0;
    sources.items[1].peer[0] = '\n';
    assert_true(answers_table_remember(table, &name, &sources, NOW + 1));
    assert_string_equal(answers_table_find(table, &name, NOW)->sources.items[0].peer, "P2");
    for (size_t i = 0; i < sources.count; i++)
        sources.items[i].peer[0] = '\n';
    assert_false(answers_table_remember(table, &name, &sources, NOW + 2));
    assert_int_equal(answers_table_find(table, &name, NOW)->seen_ms, NOW + 1);
    assert_int_equal(table->count, 1);
    directory_sources_done(&sources);
    answers_table_done(table);
    free(table);
}

static void remembers_so_many_answers(void **state)
{
    struct answers_table *table = memory_new(1, sizeof *table);
    struct directory_sources few = make_sources(1, 1);
    struct directory_sources many = make_sources(ANSWER_SOURCES_MAX, 1);

    (void)state;
    for (size_t i = 0; i < ANSWERS_MAX + 10; i++) {
        struct file_name name = make_name(i);
        assert_true(answers_table_remember(table, &name, &few, NOW + (int64_t)i));
    }
    assert_int_equal(table->count, ANSWERS_MAX);
    struct file_name oldest = make_name(9);
    struct file_name kept = make_name(10);
    assert_null(answers_table_find(table, &oldest, NOW));
    assert_non_null(answers_table_find(table, &kept, NOW));
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        struct file_name name = make_name(i);
        assert_true(answers_table_remember(table, &name, &many, NOW + 100000 + (int64_t)i));
    }
    assert_true(table->source_count <= ANSWERS_SOURCES_MAX);
    for (uint16_t i = 0; i < ANSWERS_PEERS_MAX + 5; i++) {
        struct address address = {.host = "h", .port = (uint16_t)(i + 1)};
        answers_table_met(table, &address, NOW + i);
        answers_table_met(table, &address, NOW + i);
    }
    assert_int_equal(table->peer_count, ANSWERS_PEERS_MAX);
    assert_int_equal(table->peers[0].address.port, ANSWERS_PEERS_MAX + 5);
    assert_int_equal(table->peers[ANSWERS_PEERS_MAX - 1].address.port, 6);
    directory_sources_done(&few);
    directory_sources_done(&many);
    answers_table_done(table);
    free(table);
}

static void writes_and_reads_answers(void **state)
{
    struct answers_table *table = memory_new(1, sizeof *table);
    struct answers_table *again = memory_new(1, sizeof *again);
    struct directory_sources sources = make_sources(3, 1);
    struct file_name odd = {"quote\" ñ \\ ✅"};
    struct address peer = parse("[2001:db8::1]:8001");
    auto_buffer text;

    (void)state;
    buffer_init(&text, ANSWERS_FILE_MAX_BYTES);
    sources.items[1].has_content = true;
    memset(sources.items[1].content.bytes, 0xab, HASH_BYTES);
    sources.items[2].size_bytes = -1;
    assert_true(answers_table_remember(table, &odd, &sources, NOW));
    answers_table_met(table, &peer, NOW - 5);
    answers_format(table, &text);
    assert_int_equal(answers_parse(text.data, text.length, NOW + 10, again, NULL), ERROR_NONE);
    const struct answer *answer = answers_table_find(again, &odd, NOW);
    assert_int_equal(answer->seen_ms, NOW);
    assert_int_equal(answer->sources.count, 3);
    assert_int_equal(answer->sources.items[0].size_bytes, 0);
    assert_true(answer->sources.items[1].has_content);
    assert_int_equal(answer->sources.items[1].content.bytes[31], 0xab);
    assert_int_equal(answer->sources.items[2].size_bytes, -1);
    assert_int_equal(again->peer_count, 1);
    assert_string_equal(again->peers[0].address.host, "2001:db8::1");
    answers_table_done(again);
    /* A clock that was put back: it was seen now. */
    assert_int_equal(answers_parse(text.data, text.length, NOW - 100, again, NULL), ERROR_NONE);
    assert_int_equal(answers_table_find(again, &odd, NOW)->seen_ms, NOW - 100);
    answers_table_done(again);
    /* Too old. */
    assert_int_equal(answers_parse(text.data, text.length, NOW + ANSWERS_KEEP_MS + 1, again, NULL),
                     ERROR_NONE);
    assert_int_equal(again->count + again->peer_count, 0);
    directory_sources_done(&sources);
    answers_table_done(table);
    free(table);
    free(again);
}

static void leaves_out_what_is_no_good(void **state)
{
    static const struct {
        const char *text;
        bool is_ours;
    } rows[] = {
        {"", false},
        {"{}", false},
        {"[]", false},
        {"{\"version\":2,\"answers\":[],\"peers\":[]}", false},
        {"{\"version\":1,\"answers\":{},\"peers\":[]}", false},
        {"{\"version\":1,\"answers\":[],\"peers\":[]} x", false},
        {"{\"version\":1,\"answers\":[1,{},null,\"x\"],\"peers\":[1,{},{\"url\":1}]}", true},
        {"{\"version\":1,\"answers\":[{\"name\":\"../x\",\"seen_ms\":1767225600000,\"sources\":"
         "[{\"peer\":\"P\",\"url\":[\"h:1\"]}]}],\"peers\":[]}",
         true},
        {"{\"version\":1,\"answers\":[{\"name\":\"x\",\"seen_ms\":-1,\"sources\":"
         "[{\"peer\":\"P\",\"url\":[\"h:1\"]}]}],\"peers\":[]}",
         true},
        {"{\"version\":1,\"answers\":[{\"name\":\"x\",\"seen_ms\":1767225600000,\"sources\":"
         "[{\"peer\":\"P\",\"url\":[\"nonsense\"]},{\"peer\":\"\"}]}],"
         "\"peers\":[{\"url\":\"0.0.0.0:1\",\"seen_ms\":1767225600000}]}",
         true},
    };
    struct answers_table *table = memory_new(1, sizeof *table);

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        enum error_code code =
            answers_parse(rows[i].text, strlen(rows[i].text), NOW, table, &error);
        check_row(i, code == (rows[i].is_ours ? ERROR_NONE : ERROR_CORRUPT));
        check_row(i, table->count == 0 && table->peer_count == 0);
    }
    free(table);
}

static void keeps_answers_in_a_file(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    char aside[UNIT_PATH_BYTES];
    struct directory_sources sources = make_sources(2, 1);
    struct directory_sources found;
    struct file_name name = make_name(1);
    struct answers *answers;
    struct address peers[8];
    struct stat status;

    (void)state;
    log_set_level(LOG_ERROR);
    unit_folder_make(folder);
    unit_path(folder, "answers.json", path);
    assert_int_equal(answers_open(path, &answers, NULL), ERROR_NONE);
    answers_find(answers, &name, &found);
    assert_int_equal(found.count, 0);
    answers_close(answers);
    assert_true(stat(path, &status) != 0); /* nothing new, nothing written */

    assert_int_equal(answers_open(path, &answers, NULL), ERROR_NONE);
    answers_remember(answers, &name, &sources);
    answers_close(answers);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);

    assert_int_equal(answers_open(path, &answers, NULL), ERROR_NONE);
    answers_find(answers, &name, &found);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.items[1].origin, SOURCE_REMEMBERED);
    assert_in_range(found.items[1].age_ms, 0, 60000);
    directory_sources_done(&found);
    assert_int_equal(answers_peers(answers, peers, 8), 2);
    answers_close(answers);

    unit_file_write(path, "{\"version\":1,\"answ", 17);
    assert_int_equal(answers_open(path, &answers, NULL), ERROR_NONE);
    answers_find(answers, &name, &found);
    assert_int_equal(found.count, 0);
    answers_close(answers);
    assert_int_equal(stat(unit_path(folder, "answers.json.bad", aside), &status), 0);
    answers_close(NULL);
    directory_sources_done(&sources);
    unit_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_question_once), cmocka_unit_test(remembers_so_many_questions),
        cmocka_unit_test(limits_a_client),          cmocka_unit_test(limits_all_clients),
        cmocka_unit_test(checks_addresses),         cmocka_unit_test(merges_what_is_new),
        cmocka_unit_test(tells_where_from),         cmocka_unit_test(takes_a_response_with_care),
        cmocka_unit_test(remembers_an_answer),      cmocka_unit_test(remembers_so_many_answers),
        cmocka_unit_test(writes_and_reads_answers), cmocka_unit_test(leaves_out_what_is_no_good),
        cmocka_unit_test(keeps_answers_in_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
