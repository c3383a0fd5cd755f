/* From a download's question for many names to the directory and back, with what is remembered. */
#include "unit.h"

#include "common/log.h"
#include "common/memory.h"
#include "http_stub.h"
#include "peer/downloads/sources.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 3

struct fixture {
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct http_stub *stub;
    atomic_int status;
    struct directories *directories;
    struct locator *locator;
    struct interrupt *interrupt;
};

static const struct file_name names[COUNT] = {{"a"}, {"b"}, {"c"}};

/* We have "a", too; "b" is at a peer that does not say where it is; nobody has "c". */
#define FOUND                                                                                   \
    "{\"archivos\":[{\"archivo\":\"a\",\"disponible_en\":[{\"peer\":\"Me\",\"url\":[\"h:1\"]}," \
    "{\"peer\":\"P\",\"url\":[\"h:2\"],\"size\":7}]},{\"archivo\":\"b\",\"disponible_en\":[{"   \
    "\"peer\":"                                                                                 \
    "\"Q\",\"url\":[]}],\"truncated\":true}]}"

static void answer(void *context, const struct http_stub_request *request, int *status, char *body,
                   size_t body_size)
{
    struct fixture *fixture = context;

    (void)request;
    *status = fixture->status;
    snprintf(body, body_size, "%s", *status == 200 ? FOUND : "{\"detail\":\"no\"}");
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    log_set_level(LOG_ERROR);
    unit_folder_make(fixture->folder);
    unit_path(fixture->folder, "answers.json", fixture->path);
    fixture->status = 200;
    fixture->stub = http_stub_start(answer, fixture);
    auto_free char *login = memory_format("%s/login", http_stub_url(fixture->stub));
    auto_free char *search = memory_format("%s/search", http_stub_url(fixture->stub));
    struct config_strings logins = {.items = &login, .count = 1};
    struct config_strings searches = {.items = &search, .count = 1};
    fixture->directories = directories_new(&logins, &searches);
    fixture->interrupt = interrupt_new();
    *state = fixture;
    return locator_start(&(struct locator_options){.own_name = "Me",
                                                   .own_address = "h:1",
                                                   .path = fixture->path,
                                                   .directories = fixture->directories},
                         &fixture->locator, NULL);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    locator_stop(fixture->locator);
    directories_free(fixture->directories);
    interrupt_free(fixture->interrupt);
    http_stub_stop(fixture->stub);
    unit_folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

static enum error_code find_many(struct fixture *fixture, const struct source_finder *finder,
                                 struct directory_sources sources[COUNT])
{
    const struct file_name *items[] = {&names[0], &names[1], &names[2]};
    struct locator_names query = {.items = items, .count = COUNT, .interrupt = fixture->interrupt};

    return sources_find_many(finder, &query, sources, NULL);
}

static void finds_many_and_remembers(void **state)
{
    struct fixture *fixture = *state;
    struct address fallback = {.host = "f", .port = 9};
    struct source_finder finder = {
        .own_name = "Me", .locator = fixture->locator, .fallbacks = &fallback, .fallback_count = 1};
    struct directory_sources sources[COUNT];
    struct locator_search search = {.name = &names[0], .interrupt = fixture->interrupt};

    assert_int_equal(find_many(fixture, &finder, sources), ERROR_NONE);
    assert_int_equal(sources[0].count, 2);
    assert_string_equal(sources[0].items[0].peer, "P"); /* we are our own last resort */
    assert_int_equal(sources[0].items[0].size_bytes, 7);
    assert_int_equal(sources[1].count, 1);
    assert_string_equal(sources[1].items[0].addresses[0].host, "f");
    assert_int_equal(sources[2].count, 0);
    for (size_t i = 0; i < COUNT; i++)
        directory_sources_done(&sources[i]);
    assert_int_equal(http_stub_wait(fixture->stub, 1), 1);
    /* Now nobody answers. */
    fixture->status = 500;
    assert_int_equal(sources_find(&finder, &search, &sources[0], NULL), ERROR_NONE);
    assert_int_equal(sources[0].count, 1);
    assert_string_equal(sources[0].items[0].peer, "P");
    assert_int_equal(sources[0].items[0].origin, SOURCE_REMEMBERED);
    directory_sources_done(&sources[0]);
}

static void says_that_names_are_asked_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    struct source_finder finder = {.own_name = "Me", .locator = fixture->locator};
    struct directory_sources sources[COUNT];

    fixture->status = 405;
    for (int i = 0; i < 3; i++) {
        memset(sources, 0xff, sizeof sources);
        assert_int_equal(find_many(fixture, &finder, sources), ERROR_UNSUPPORTED);
        for (size_t k = 0; k < COUNT; k++)
            check_row(k, sources[k].count == 0 && !sources[k].items);
    }
    assert_int_equal(http_stub_wait(fixture->stub, 1), 1);
}

static void finds_nobody_without_a_directory(void **state)
{
    struct source_finder finder = {.own_name = "Me"};
    struct directory_sources sources[COUNT];

    assert_int_equal(find_many(*state, &finder, sources), ERROR_UNREACHABLE);
    assert_int_equal(sources[2].count, 0);
}

static void stops(void **state)
{
    struct fixture *fixture = *state;
    struct source_finder finder = {.own_name = "Me", .locator = fixture->locator};
    struct directory_sources sources[COUNT];

    interrupt_raise(fixture->interrupt);
    assert_int_equal(find_many(fixture, &finder, sources), ERROR_CANCELLED);
}

/* ---- in which order ---- */

#define HOLDERS 60
#define ASKING  300

static void hold(struct directory_sources *sources, size_t count)
{
    *sources = (struct directory_sources){.items = memory_new(count, sizeof *sources->items),
                                          .count = count};
    for (size_t i = 0; i < count; i++)
        sources->items[i].peer = memory_format("Holder%zu", i);
}

static size_t number_of(const struct directory_source *source)
{
    return (size_t)strtoul(source->peer + strlen("Holder"), NULL, 10);
}

static void many_sources_are_used_evenly(void **state)
{
    size_t first[HOLDERS] = {0};
    size_t used[HOLDERS] = {0};

    (void)state;
    for (int asking = 0; asking < ASKING; asking++) {
        auto_free char *name = memory_format("Peer%d", asking);
        struct source_finder finder = {.own_name = name};
        struct directory_sources sources;
        bool seen[HOLDERS] = {false};
        hold(&sources, HOLDERS);
        sources_spread(&finder, &sources);
        first[number_of(&sources.items[0])]++;
        for (size_t i = 0; i < SOURCES_IN_ORDER; i++)
            used[number_of(&sources.items[i])]++;
        for (size_t i = 0; i < HOLDERS; i++) {
            check_row(i, !seen[number_of(&sources.items[i])]);
            seen[number_of(&sources.items[i])] = true;
        }
        directory_sources_done(&sources);
    }
    /* 5 and 40 each on average. */
    for (size_t i = 0; i < HOLDERS; i++)
        check_row(i, first[i] <= 15 && used[i] >= 20 && used[i] <= 65);
}

/* With one more, all others keep their order. */
static void the_order_of_many_sources_lasts(void **state)
{
    struct source_finder finder = {.own_name = "Me"};
    struct directory_sources fewer;
    struct directory_sources more;
    size_t next = 0;

    (void)state;
    hold(&fewer, HOLDERS - 1);
    hold(&more, HOLDERS);
    sources_spread(&finder, &fewer);
    sources_spread(&finder, &more);
    for (size_t i = 0; i < more.count; i++)
        if (number_of(&more.items[i]) != HOLDERS - 1)
            assert_string_equal(more.items[i].peer, fewer.items[next++].peer);
    assert_int_equal(next, fewer.count);
    directory_sources_done(&fewer);
    directory_sources_done(&more);
}

static void few_sources_stay_as_they_are(void **state)
{
    struct source_finder finder = {.own_name = "Me"};
    struct directory_sources sources;

    (void)state;
    hold(&sources, SOURCES_IN_ORDER);
    sources_spread(&finder, &sources);
    for (size_t i = 0; i < SOURCES_IN_ORDER; i++)
        assert_int_equal(number_of(&sources.items[i]), i);
    directory_sources_done(&sources);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(finds_many_and_remembers),
        TEST(says_that_names_are_asked_one_by_one),
        TEST(finds_nobody_without_a_directory),
        TEST(stops),
        cmocka_unit_test(many_sources_are_used_evenly),
        cmocka_unit_test(the_order_of_many_sources_lasts),
        cmocka_unit_test(few_sources_stay_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
