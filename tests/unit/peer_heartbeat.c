#include "unit.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "http_stub.h"
#include "peer/network/heartbeat.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct fixture {
    char folder[UNIT_PATH_BYTES];
    struct share *share;
    struct http_stub *stub;
    struct heartbeat *heartbeat;
    atomic_int status;
    atomic_int token;
    atomic_int heartbeat_s;
    atomic_bool folders;            /* the directory knows them */
    atomic_bool refuses;            /* lists with a name in a folder */
    atomic_bool sums;               /* the directory knows them, and tokens: */
    char has[INDEX_SUM_DIGITS + 1]; /* the sum of the list that it has  */
    atomic_bool loses;              /* the next to ask is told that the list is not there */
    atomic_bool differs;            /* it always has another sum */
    atomic_bool takes_tokens;
};

/* What a directory says that knows sums; true when the token is refused. */
static bool judge_sum(struct fixture *fixture, const struct http_stub_request *request, char *says,
                      size_t size)
{
    const char *etag = strstr(request->body, "index_etag=");

    if (!fixture->takes_tokens && strstr(request->head, "Authorization: "))
        return true;
    if (!etag)
        return false;
    etag += strlen("index_etag=");
    if (strstr(request->body, "files_index="))
        snprintf(fixture->has, sizeof fixture->has, "%.64s", etag);
    bool has = strncmp(fixture->has, etag, INDEX_SUM_DIGITS) == 0 && !fixture->differs &&
               !atomic_exchange(&fixture->loses, false);
    snprintf(says, size, ",\"index_needed\":%s", has ? "false" : "true");
    return false;
}

static void answer(void *context, const struct http_stub_request *request, int *status, char *body,
                   size_t body_size)
{
    struct fixture *fixture = context;
    char says[32] = "";

    *status = atomic_load(&fixture->status);
    if (fixture->refuses && strstr(request->body, "folder%2F"))
        *status = 400;
    if (fixture->sums && judge_sum(fixture, request, says, sizeof says))
        *status = 401;
    if (*status == 200)
        snprintf(body, body_size,
                 "{\"status\":\"OK\",\"token\":\"%d\",\"expiry_s\":%d,\"heartbeat_s\":%d%s%s}",
                 atomic_load(&fixture->token), 3 * atomic_load(&fixture->heartbeat_s),
                 atomic_load(&fixture->heartbeat_s), fixture->folders ? ",\"folders\":true" : "",
                 says);
    else
        snprintf(body, body_size, "{\"detail\":\"status %d\"}", *status);
}

static void put_file(const struct fixture *fixture, const char *name, const char *text)
{
    char path[UNIT_PATH_BYTES];

    unit_file_write(unit_path(fixture->folder, name, path), text, strlen(text));
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    log_set_level(LOG_ERROR);
    fixture->status = 200;
    fixture->heartbeat_s = 1;
    fixture->stub = http_stub_start(answer, fixture);
    unit_folder_make(fixture->folder);
    put_file(fixture, "first.txt", "1");
    assert_int_equal(share_open(fixture->folder, &fixture->share, NULL), ERROR_NONE);
    *state = fixture;
    return 0;
}

static void start(struct fixture *fixture)
{
    auto_free char *url = memory_format("%s/login", http_stub_url(fixture->stub));
    struct heartbeat_options options = {.login_url = url,
                                        .username = "Peer1",
                                        .password = "p",
                                        .advertise = "1.2.3.4:8001",
                                        .share = fixture->share};

    assert_int_equal(heartbeat_start(&options, &fixture->heartbeat, NULL), ERROR_NONE);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    int64_t begin = clock_boot_ms();

    heartbeat_stop(fixture->heartbeat);
    assert_in_range(clock_boot_ms() - begin, 0, 5000);
    http_stub_stop(fixture->stub);
    share_close(fixture->share);
    unit_folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

/* The index of a request, "" when it had none. */
static const char *index_of(struct fixture *fixture, size_t number)
{
    const char *index = strstr(http_stub_request(fixture->stub, number)->body, "files_index=");

    return index ? index : "";
}

static struct heartbeat_status wait_for_status(struct fixture *fixture, bool connected)
{
    struct heartbeat_status status;

    for (int i = 0; i < 500; i++) {
        heartbeat_read_status(fixture->heartbeat, &status);
        if (status.connected == connected && (connected || status.failure.code))
            break;
        poll(NULL, 0, 10);
    }
    assert_int_equal(status.connected, connected);
    return status;
}

static void sends_the_index_only_when_needed(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    assert_true(http_stub_wait(fixture->stub, 3) >= 3);
    assert_non_null(strstr(index_of(fixture, 0), "first.txt"));
    assert_string_equal(index_of(fixture, 1), "");
    assert_string_equal(index_of(fixture, 2), "");
    assert_true(wait_for_status(fixture, true).success_ms > 0);
}

static void tells_names_at_once_and_sizes_never(void **state)
{
    struct fixture *fixture = *state;

    fixture->heartbeat_s = 60; /* the next one is far away */
    start(fixture);
    wait_for_status(fixture, true);
    fixture->heartbeat_s = 1;
    put_file(fixture, "second.txt", "2");
    heartbeat_share_changed(fixture->heartbeat);
    size_t count = 1;
    assert_true(http_stub_wait(fixture->stub, count + 1) > count);
    assert_non_null(strstr(index_of(fixture, count), "second.txt"));
    put_file(fixture, "second.txt", "longer");
    heartbeat_share_changed(fixture->heartbeat);
    assert_true(http_stub_wait(fixture->stub, count + 3) >= count + 3);
    assert_string_equal(index_of(fixture, count + 1), "");
    assert_string_equal(index_of(fixture, count + 2), "");
}

static void empties_the_index_when_the_folder_goes(void **state)
{
    struct fixture *fixture = *state;
    char away[UNIT_PATH_BYTES + 8];

    start(fixture);
    wait_for_status(fixture, true);
    snprintf(away, sizeof away, "%s.away", fixture->folder);
    assert_int_equal(rename(fixture->folder, away), 0);
    heartbeat_share_changed(fixture->heartbeat);
    size_t number = 1;
    while (number < 6 && http_stub_wait(fixture->stub, number + 1) > number &&
           !*index_of(fixture, number))
        number++;
    assert_string_equal(index_of(fixture, number), "files_index=%5B%5D");
    assert_int_equal(rename(away, fixture->folder), 0);
}

static void comes_back_with_the_index(void **state)
{
    struct fixture *fixture = *state;

    fixture->status = 503;
    start(fixture);
    struct heartbeat_status status = wait_for_status(fixture, false);
    assert_int_equal(status.success_ms, -1);
    assert_int_equal(status.failure.code, ERROR_BUSY);
    assert_string_equal(status.failure.text, "status 503");
    int64_t begin = clock_boot_ms();
    fixture->status = 200;
    status = wait_for_status(fixture, true);
    assert_in_range(clock_boot_ms() - begin, 0, 5000);
    assert_int_equal(status.failure.code, ERROR_NONE);
    size_t number = 1; /* the first of all had it too */
    while (number < 20 && http_stub_wait(fixture->stub, number + 1) > number &&
           !*index_of(fixture, number))
        number++;
    assert_non_null(strstr(index_of(fixture, number), "first.txt"));
}

static void sends_the_index_when_the_token_changes(void **state)
{
    struct fixture *fixture = *state;
    size_t with_index = 0;

    start(fixture);
    wait_for_status(fixture, true);
    fixture->token = 7;
    assert_true(http_stub_wait(fixture->stub, 4) >= 4);
    for (size_t i = 0; i < 4; i++)
        with_index += *index_of(fixture, i) != '\0';
    assert_int_equal(with_index, 2);
}

/* The number of the next request with an index, from that one on. */
static size_t next_index(struct fixture *fixture, size_t number)
{
    while (number < 20 && http_stub_wait(fixture->stub, number + 1) > number &&
           !*index_of(fixture, number))
        number++;
    return number;
}

/* It shows with the first reply. A directory that has taken its place may not know them. */
static void tells_folders_to_who_knows_them(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];

    assert_int_equal(mkdir(unit_path(fixture->folder, "folder", path), 0755), 0);
    put_file(fixture, "folder/second.txt", "2");
    fixture->folders = true;
    start(fixture);
    assert_true(http_stub_wait(fixture->stub, 2) >= 2);
    assert_string_equal(index_of(fixture, 0), ""); /* one list is enough */
    size_t number = next_index(fixture, 0);
    assert_int_equal(number, 1);
    assert_non_null(strstr(index_of(fixture, number), "first.txt"));
    assert_non_null(strstr(index_of(fixture, number), "folder%2Fsecond.txt"));
    fixture->folders = false;
    fixture->refuses = true;
    fixture->token = 1;
    number = next_index(fixture, number + 1);
    if (strstr(index_of(fixture, number), "second.txt")) /* it was refused */
        number = next_index(fixture, number + 1);
    assert_non_null(strstr(index_of(fixture, number), "first.txt"));
    assert_null(strstr(index_of(fixture, number), "second.txt"));
}

static void tells_no_folders_to_others(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];

    assert_int_equal(mkdir(unit_path(fixture->folder, "folder", path), 0755), 0);
    put_file(fixture, "folder/second.txt", "2");
    start(fixture);
    assert_true(http_stub_wait(fixture->stub, 4) >= 4);
    assert_string_equal(index_of(fixture, 0), "");
    assert_non_null(strstr(index_of(fixture, 1), "first.txt"));
    assert_null(strstr(index_of(fixture, 1), "second.txt"));
    assert_string_equal(index_of(fixture, 2), "");
    put_file(fixture, "folder/third.txt", "3");
    heartbeat_share_changed(fixture->heartbeat);
    assert_true(http_stub_wait(fixture->stub, 6) >= 6);
    for (size_t i = 2; i < 6; i++)
        assert_string_equal(index_of(fixture, i), "");
}

/* ---- a directory that knows sums and tokens ---- */

static bool has(struct fixture *fixture, size_t number, const char *text)
{
    const struct http_stub_request *request = http_stub_request(fixture->stub, number);

    return strstr(request->head, text) || strstr(request->body, text);
}

static void start_with_sums(struct fixture *fixture)
{
    fixture->sums = fixture->takes_tokens = true;
    start(fixture);
}

static void beats_by_token_with_the_sum(void **state)
{
    struct fixture *fixture = *state;

    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 4) >= 4);
    const char *etag = strstr(http_stub_request(fixture->stub, 0)->body, "index_etag=");
    assert_true(etag && has(fixture, 0, "password=p"));
    auto_free char *sum = memory_format("%.75s", etag);
    assert_non_null(strstr(index_of(fixture, 0), "first.txt"));
    for (size_t i = 1; i < 4; i++) {
        check_row(i, has(fixture, i, "Authorization: Bearer 0"));
        check_row(i, has(fixture, i, sum) && !has(fixture, i, "password="));
        check_row(i, !*index_of(fixture, i));
    }
    heartbeat_stop(fixture->heartbeat);
    fixture->heartbeat = NULL;
    size_t last = http_stub_wait(fixture->stub, 1) - 1;
    assert_true(has(fixture, last, "POST /logout HTTP/1.1\r\n"));
    assert_true(has(fixture, last, "Authorization: Bearer 0"));
}

/* A long list is not sent to who has it from an earlier run. */
static void asks_before_a_long_list(void **state)
{
    struct fixture *fixture = *state;
    char name[32];

    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "%d", i);
        put_file(fixture, name, "");
    }
    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 3) >= 3);
    assert_string_equal(index_of(fixture, 0), "");
    assert_non_null(strstr(index_of(fixture, 1), "first.txt"));
    heartbeat_stop(fixture->heartbeat);
    size_t count = http_stub_wait(fixture->stub, 1);
    start(fixture);
    assert_true(http_stub_wait(fixture->stub, count + 3) >= count + 3);
    for (size_t i = count; i < count + 3; i++)
        check_row(i, !*index_of(fixture, i));
}

static void sends_the_list_that_is_needed(void **state)
{
    struct fixture *fixture = *state;

    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 2) >= 2);
    fixture->loses = true;
    size_t number = next_index(fixture, 1);
    assert_non_null(strstr(index_of(fixture, number), "first.txt"));
    assert_true(has(fixture, number, "Authorization: Bearer"));
    /* Another one is no matter of sums. */
    put_file(fixture, "second.txt", "2");
    heartbeat_share_changed(fixture->heartbeat);
    number = next_index(fixture, number + 1);
    assert_non_null(strstr(index_of(fixture, number), "second.txt"));
    size_t count = http_stub_wait(fixture->stub, number + 3);
    for (size_t i = number + 1; i < count; i++)
        check_row(i, !*index_of(fixture, i));
}

/* Told first what has changed; all of it follows where that is not taken. */
static void sends_what_has_changed(void **state)
{
    struct fixture *fixture = *state;

    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 2) >= 2);
    put_file(fixture, "second.txt", "2");
    heartbeat_share_changed(fixture->heartbeat);
    size_t number = next_index(fixture, 2); /* the stub takes no changes */
    assert_non_null(strstr(index_of(fixture, number), "second.txt"));
    assert_non_null(strstr(index_of(fixture, number), "first.txt"));
    assert_true(has(fixture, number - 1,
                    "files_added=%5B%7B%22filename%22%3A%22second.txt%22%2C"
                    "%22size%22%3A1%7D%5D&files_removed=%5B%5D"));
    assert_true(has(fixture, number - 1, "&index_base="));
    assert_true(has(fixture, number - 1, "Authorization: Bearer"));
    assert_false(has(fixture, number, "files_added"));
}

static void logs_in_when_the_token_is_refused(void **state)
{
    struct fixture *fixture = *state;

    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 3) >= 3);
    fixture->takes_tokens = false;
    size_t number = 2;
    while (number < 10 && http_stub_wait(fixture->stub, number + 1) > number &&
           !has(fixture, number, "password=p"))
        number++;
    assert_true(has(fixture, number, "password=p") && !has(fixture, number, "Authorization"));
    assert_true(has(fixture, number - 1, "Authorization: Bearer 0"));
    assert_false(*index_of(fixture, number)); /* it still has the list */
    wait_for_status(fixture, true);
}

static void lives_with_a_directory_of_other_sums(void **state)
{
    struct fixture *fixture = *state;

    fixture->differs = true;
    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 4) >= 4);
    assert_non_null(strstr(index_of(fixture, 0), "first.txt"));
    for (size_t i = 1; i < 4; i++)
        check_row(i, !has(fixture, i, "index_etag") && !*index_of(fixture, i));
}

static void looks_again_after_an_outage(void **state)
{
    struct fixture *fixture = *state;

    start_with_sums(fixture);
    assert_true(http_stub_wait(fixture->stub, 3) >= 3);
    fixture->status = 503;
    wait_for_status(fixture, false);
    put_file(fixture, "second.txt", "2");
    heartbeat_share_changed(fixture->heartbeat);
    size_t number = http_stub_wait(fixture->stub, 1);
    fixture->status = 200;
    wait_for_status(fixture, true);
    number = next_index(fixture, number);
    assert_non_null(strstr(index_of(fixture, number), "second.txt"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(sends_the_index_only_when_needed),
        TEST(tells_names_at_once_and_sizes_never),
        TEST(empties_the_index_when_the_folder_goes),
        TEST(comes_back_with_the_index),
        TEST(sends_the_index_when_the_token_changes),
        TEST(tells_folders_to_who_knows_them),
        TEST(tells_no_folders_to_others),
        TEST(beats_by_token_with_the_sum),
        TEST(asks_before_a_long_list),
        TEST(sends_the_list_that_is_needed),
        TEST(sends_what_has_changed),
        TEST(logs_in_when_the_token_is_refused),
        TEST(lives_with_a_directory_of_other_sums),
        TEST(looks_again_after_an_outage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
