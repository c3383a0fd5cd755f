#include "unit.h"

#include "common/log.h"
#include "common/memory.h"
#include "http_stub.h"
#include "peer/network/directories.h"

#include <stdatomic.h>

#define COUNT 3

/* Three directories, each with a status of its own (-1: it never answers, 0: it has the file). */
struct fixture {
    struct place {
        struct http_stub *stub;
        atomic_int status;
        int number;
    } places[COUNT];
    struct stop_event *stop;
    struct directories *directories;
};

static void answer(void *context, const struct http_stub_request *request, int *status, char *body,
                   size_t body_size)
{
    struct place *place = context;
    int wanted = atomic_load(&place->status);

    *status = wanted == 0 ? 200 : wanted > 0 ? wanted : 0;
    if (wanted == 0 && strncmp(request->head, "POST ", 5) == 0)
        snprintf(body, body_size,
                 "{\"archivos\":[{\"archivo\":\"b\",\"disponible_en\":[{\"peer\":\"P%d\"}]}]}",
                 place->number);
    else if (wanted == 0)
        snprintf(body, body_size, "{\"disponible_en\":[{\"peer\":\"P%d\",\"url\":[\"h:1\"]}]}",
                 place->number);
    else
        snprintf(body, body_size, "{\"detail\":\"%d of %d\"}", wanted, place->number);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);
    char *logins[COUNT + 1];
    char *searches[COUNT + 1];

    log_set_level(LOG_ERROR);
    for (int i = 0; i < COUNT; i++) {
        struct place *place = &fixture->places[i];
        place->number = i;
        place->stub = http_stub_start(answer, place);
        logins[i] = memory_format("%s/login", http_stub_url(place->stub));
        searches[i] = memory_format("%s/search", http_stub_url(place->stub));
    }
    logins[COUNT] = logins[0]; /* twice: one counts */
    searches[COUNT] = searches[1];
    struct config_strings login_urls = {.items = logins, .count = COUNT + 1};
    struct config_strings search_urls = {.items = searches, .count = COUNT + 1};
    fixture->stop = stop_event_new();
    fixture->directories = directories_new(&login_urls, &search_urls);
    for (int i = 0; i < COUNT; i++) {
        free(logins[i]);
        free(searches[i]);
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    directories_free(fixture->directories);
    stop_event_free(fixture->stop);
    for (int i = 0; i < COUNT; i++)
        http_stub_stop(fixture->places[i].stub);
    free(fixture);
    return 0;
}

/* What was asked so far: "1,0,2" requests of each. */
static void check_asked(struct fixture *fixture, size_t first, size_t second, size_t third)
{
    assert_int_equal(http_stub_wait(fixture->places[0].stub, first), first);
    assert_int_equal(http_stub_wait(fixture->places[1].stub, second), second);
    assert_int_equal(http_stub_wait(fixture->places[2].stub, third), third);
}

static enum error_code search(struct fixture *fixture, int64_t quick_ms, bool *answered,
                              char peer[8], struct error *error)
{
    struct file_name name = {"a"};
    struct directories_query query = {.name = &name, .stop = fixture->stop, .quick_ms = quick_ms};
    struct directory_sources sources;

    enum error_code code =
        directories_search(fixture->directories, &query, &sources, answered, error);
    snprintf(peer, 8, "%s", code == ERROR_NONE ? sources.items[0].peer : "");
    directory_sources_done(&sources);
    return code;
}

static void asks_on_after_a_failure(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char peer[8];
    bool answered;

    assert_int_equal(directories_count(fixture->directories), COUNT);
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P0");
    check_asked(fixture, 1, 0, 0);
    fixture->places[0].status = 503;
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_NONE);
    assert_true(answered);
    assert_string_equal(peer, "P1");
    check_asked(fixture, 2, 1, 0);
    /* The one that answered last is first from now on. */
    fixture->places[0].status = 0;
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P1");
    check_asked(fixture, 2, 2, 0);
}

static void asks_the_others_what_one_does_not_know(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char peer[8];
    bool answered;

    fixture->places[0].status = 404;
    fixture->places[1].status = 500;
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P2");
    /* One that has failed is not waited for when another has answered. */
    fixture->places[2].status = 404;
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_NOT_FOUND);
    assert_true(answered);
    assert_string_equal(error.text, "404 of 2");
    check_asked(fixture, 2, 1, 2);
}

static void says_that_none_answers(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char peer[8];
    bool answered;

    for (int i = 0; i < COUNT; i++)
        fixture->places[i].status = 500 + i;
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_UNSUPPORTED);
    assert_false(answered);
    assert_string_equal(error.text, "500 of 0");
    check_asked(fixture, 1, 1, 1);
    /* In a hurry, those that failed are left alone. */
    error = (struct error){0};
    assert_int_equal(search(fixture, 500, &answered, peer, &error), ERROR_UNREACHABLE);
    assert_false(answered);
    check_asked(fixture, 1, 1, 1);
    directories_note(fixture->directories, 2, ERROR_NONE);
    fixture->places[2].status = 0;
    assert_int_equal(search(fixture, 500, &answered, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P2");
}

static void stops(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char peer[8];
    bool answered;

    stop_event_raise(fixture->stop);
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_CANCELLED);
    assert_false(answered);
}

/* The name of the peer that has "b" of "a" and "b"; "" for nobody. */
static enum error_code search_many(struct fixture *fixture, char peer[8], struct error *error)
{
    static const struct file_name names[] = {{"a"}, {"b"}};
    struct directories_names query = {.items =
                                          (const struct file_name *const[]){&names[0], &names[1]},
                                      .count = 2,
                                      .stop = fixture->stop};
    struct directory_sources sources[2];

    enum error_code code = directories_search_many(fixture->directories, &query, sources, error);
    assert_int_equal(sources[0].count, 0);
    snprintf(peer, 8, "%s", sources[1].count > 0 ? sources[1].items[0].peer : "");
    directory_sources_done(&sources[1]);
    return code;
}

static void asks_for_many_names_where_that_is_known(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char peer[8];
    bool answered;

    fixture->places[0].status = 405; /* the reference's */
    fixture->places[1].status = 503;
    assert_int_equal(search_many(fixture, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P2");
    check_asked(fixture, 1, 1, 1);
    /* That one is first now. When it fails nobody is waited for, since the first is still there. */
    fixture->places[2].status = 503;
    assert_int_equal(search_many(fixture, peer, &error), ERROR_UNSUPPORTED);
    assert_string_equal(peer, "");
    check_asked(fixture, 1, 1, 2);
    assert_int_equal(search_many(fixture, peer, &error), ERROR_UNSUPPORTED);
    check_asked(fixture, 1, 1, 2);
    /* It is asked again after it was away. */
    fixture->places[0].status = 0;
    directories_note(fixture->directories, 0, ERROR_NONE);
    assert_int_equal(search_many(fixture, peer, &error), ERROR_UNSUPPORTED);
    directories_note(fixture->directories, 0, ERROR_UNREACHABLE);
    directories_note(fixture->directories, 0, ERROR_NONE);
    assert_int_equal(search_many(fixture, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P0");
    check_asked(fixture, 2, 1, 2);
    assert_int_equal(search(fixture, 0, &answered, peer, &error), ERROR_NONE);
    assert_string_equal(peer, "P0");
}

static void says_that_none_answers_for_many(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char peer[8];

    for (int i = 0; i < COUNT; i++)
        fixture->places[i].status = 503;
    assert_int_equal(search_many(fixture, peer, &error), ERROR_BUSY);
    assert_string_equal(error.text, "503 of 0");
    check_asked(fixture, 1, 1, 1);
    stop_event_raise(fixture->stop);
    assert_int_equal(search_many(fixture, peer, &error), ERROR_CANCELLED);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(asks_on_after_a_failure),         TEST(asks_the_others_what_one_does_not_know),
        TEST(says_that_none_answers),          TEST(asks_for_many_names_where_that_is_known),
        TEST(says_that_none_answers_for_many), TEST(stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
