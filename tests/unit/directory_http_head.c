#include "unit.h"

#include "directory/http_chunks.h"
#include "directory/http_head.h"

#include <limits.h>

/* ---- heads ---- */

static unsigned parse(const char *text, char *copy, struct http_head *head)
{
    size_t length = strlen(text);
    size_t scanned = 0;

    memcpy(copy, text, length + 1);
    assert_int_equal(http_head_length(copy, length, &scanned), length);
    return http_head_parse(copy, length, head);
}

static void a_head_is_whole_at_its_empty_line(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\n\r\nGET";
    size_t whole = sizeof text - 1 - 3;

    (void)state;
    for (size_t step = 1; step < 8; step++) {
        size_t scanned = 0;
        size_t length = 0;
        size_t found = 0;
        while (found == 0 && length < sizeof text - 1) {
            length = length + step < sizeof text - 1 ? length + step : sizeof text - 1;
            found = http_head_length(text, length, &scanned);
            check_row(step, found == (length >= whole ? whole : 0));
        }
    }
}

static void what_a_head_says(void **state)
{
    char copy[512];
    struct http_head head;

    (void)state;
    assert_int_equal(
        parse("POST /a?b=\xc3\xb1%20 HTTP/1.1\r\nhOST:\th \r\nContent-Type: x/y\r\n"
              "Authorization: Bearer  t\t\r\nContent-Length: 12\r\nExpect: 100-Continue\r\n"
              "Empty:\r\n\r\n",
              copy, &head),
        0);
    assert_string_equal(head.method, "POST");
    assert_string_equal(head.target, "/a?b=\xc3\xb1%20");
    assert_int_equal(head.target_length, strlen(head.target));
    assert_string_equal(head.content_type, "x/y");
    assert_string_equal(head.authorization, "Bearer  t");
    assert_int_equal(head.body, HTTP_BODY_LENGTH);
    assert_int_equal(head.body_bytes, 12);
    assert_true(head.keeps_alive && head.expects && !head.old && !head.ambiguous);
}

static void who_keeps_the_connection(void **state)
{
    static const struct {
        const char *text;
        bool keeps_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
        {"GET / HTTP/1.1\nHost: h\n\n", true},
        {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: TE\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed, enclose\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char copy[512];
        struct http_head head;
        check_row(i, parse(rows[i].text, copy, &head) == 0);
        check_row(i, head.keeps_alive == rows[i].keeps_alive);
    }
}

static void heads_that_are_none(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {
        {"\r\n", 400},
        {"GET\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
        {"GET / http/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        {"G:T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nname\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1,1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n", 400},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char copy[512];
        struct http_head head;
        check_row(i, parse(rows[i].text, copy, &head) == rows[i].status);
    }
}

static void nul_bytes_are_no_end(void **state)
{
    static const char line[] = "GET / HTTP/1.1\0x\r\nHost: h\r\n\r\n";
    static const char value[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n";
    char copy[128];
    struct http_head head;

    (void)state;
    memcpy(copy, line, sizeof line);
    assert_int_equal(http_head_parse(copy, sizeof line - 1, &head), 400);
    memcpy(copy, value, sizeof value);
    assert_int_equal(http_head_parse(copy, sizeof value - 1, &head), 400);
}

static void where_the_body_ends(void **state)
{
    static const struct {
        const char *headers;
        enum http_body_kind body;
        unsigned long long bytes;
        bool ambiguous;
    } rows[] = {
        {"", HTTP_BODY_NONE, 0, false},
        {"Content-Length: 0\r\n", HTTP_BODY_LENGTH, 0, false},
        {"Content-Length: 18446744073709551615\r\n", HTTP_BODY_LENGTH, ULLONG_MAX, false},
        {"Content-Length: 99999999999999999999999\r\n", HTTP_BODY_LENGTH, ULLONG_MAX, false},
        {"Transfer-Encoding: Chunked\r\n", HTTP_BODY_CHUNKED, 0, false},
        {"Transfer-Encoding: gzip, chunked\r\n", HTTP_BODY_CHUNKED, 0, true},
        {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", HTTP_BODY_CHUNKED, 5, true},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HTTP_BODY_CHUNKED, 5, true},
        {"Content-Length: 5\r\nContent-Length: 5\r\n", HTTP_BODY_LENGTH, 5, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[256];
        char copy[256];
        struct http_head head;
        snprintf(text, sizeof text, "PUT / HTTP/1.1\r\nHost: h\r\n%s\r\n", rows[i].headers);
        check_row(i, parse(text, copy, &head) == 0);
        check_row(i, head.body == rows[i].body && head.body_bytes == rows[i].bytes);
        check_row(i, head.ambiguous == rows[i].ambiguous);
    }
    char copy[128];
    struct http_head head;
    assert_int_equal(parse("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", copy, &head), 0);
    assert_true(head.ambiguous);
}

/* ---- chunks ---- */

/* The data of the chunks, read so many bytes at a time; the state at the end, and what is left. */
static enum http_chunks_state read_all(const char *text, size_t step, char *out, size_t *rest)
{
    struct http_chunks chunks = {0};
    size_t length = strlen(text);
    size_t at = 0;

    while (at < length && chunks.state < CHUNKS_DONE) {
        const char *data;
        size_t data_length;
        size_t part = step < length - at ? step : length - at;
        at += http_chunks_read(&chunks, text + at, part, &data, &data_length);
        memcpy(out, data, data_length);
        out += data_length;
    }
    *out = '\0';
    *rest = length - at;
    return chunks.state;
}

static void chunks_are_joined(void **state)
{
    static const struct {
        const char *text;
        const char *data;
        size_t rest;
    } rows[] = {
        {"0\r\n\r\n", "", 0},
        {"5\r\nhello\r\n0\r\n\r\nGET", "hello", 3},
        {"00000000005;a=\"b\"\r\nhello\r\n1 \r\n!\r\n0;last\r\nTrailer: x\r\nB: \r\n\r\n", "hello!",
         0},
        {"1a\r\nabcdefghijklmnopqrstuvwxyz\r\nA\r\n0123456789\r\n000\r\n\r\n",
         "abcdefghijklmnopqrstuvwxyz0123456789", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (size_t step = 1; step < 40; step++) {
            char out[128];
            size_t rest;
            check_row(i, read_all(rows[i].text, step, out, &rest) == CHUNKS_DONE);
            check_row(i, strcmp(out, rows[i].data) == 0 && rest == rows[i].rest);
        }
    }
}

static void broken_chunks(void **state)
{
    static const char *const rows[] = {
        "zz\r\n",
        "\r\n",
        ";\r\n",
        "-1\r\n",
        "0x5\r\n",
        "5\nhello",
        "5\r\rhello",
        "5\r\nhello0\r\n",
        "5\r\nhello\n0\r\n",
        "5;a\nb\r\nhello",
        "0\r\nTrailer\n\r\n",
        "0\r\n\n",
        "1000000000000000\r\n",
        "0000000000000005\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char out[128];
        size_t rest;
        check_row(i, read_all(rows[i], 1, out, &rest) == CHUNKS_BROKEN);
        check_row(i, read_all(rows[i], 100, out, &rest) == CHUNKS_BROKEN);
    }
}

static void lines_between_chunks_have_an_end(void **state)
{
    struct http_chunks chunks = {0};
    const char *data;
    size_t length;
    size_t bytes = 0;

    (void)state;
    http_chunks_read(&chunks, "0\r\n", 3, &data, &length);
    while (chunks.state != CHUNKS_BROKEN && bytes < (1 << 20))
        bytes += http_chunks_read(&chunks, "a: b\r\n", 6, &data, &length);
    assert_int_equal(chunks.state, CHUNKS_BROKEN);
    assert_true(bytes < (size_t)HTTP_CHUNKS_LINES_MAX_BYTES * 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_whole_at_its_empty_line),
        cmocka_unit_test(what_a_head_says),
        cmocka_unit_test(who_keeps_the_connection),
        cmocka_unit_test(heads_that_are_none),
        cmocka_unit_test(nul_bytes_are_no_end),
        cmocka_unit_test(where_the_body_ends),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(broken_chunks),
        cmocka_unit_test(lines_between_chunks_have_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
