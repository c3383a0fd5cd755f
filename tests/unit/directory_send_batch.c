#include "unit.h"

#include "directory/send_batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

enum {
    PAIRS_MAX = SEND_BATCH_SOCKETS_MAX + 1,
    PATIENCE_MS = 10000,
};

/* TCP connections: what the first of two sends, the second one gets. */
struct pairs {
    struct send_batch *batch;
    size_t count;
    int from[PAIRS_MAX], to[PAIRS_MAX];
};

static void connect_pair(int listener, struct pairs *pairs)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int from = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(from, (struct sockaddr *)&address, length), 0);
    pairs->from[pairs->count] = from;
    pairs->to[pairs->count] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(pairs->to[pairs->count] >= 0);
    pairs->count++;
}

/* The batch is begun. */
static void make_pairs(struct pairs *pairs, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    pairs->count = 0;
    pairs->batch = send_batch_new();
    if (!pairs->batch)
        skip();
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    while (pairs->count < count)
        connect_pair(listener, pairs);
    close(listener);
    send_batch_begin(pairs->batch);
}

static void end_pairs(struct pairs *pairs)
{
    send_batch_end();
    send_batch_free(pairs->batch);
    for (size_t i = 0; i < pairs->count; i++) {
        close(pairs->from[i]);
        close(pairs->to[i]);
    }
}

static size_t take_bytes(int socket, const void *bytes, size_t length)
{
    const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};

    return send_batch_take(socket, &part, 1);
}

static size_t take(const struct pairs *pairs, size_t i, const char *text)
{
    return take_bytes(pairs->from[i], text, strlen(text));
}

/* recv is what hurries in this program. */
static bool has_nothing(const struct pairs *pairs, size_t i)
{
    char byte;

    return recvfrom(pairs->to[i], &byte, 1, MSG_PEEK, NULL, NULL) < 0 && errno == EAGAIN;
}

/* Whether that comes, neither less nor more. */
static bool gets(const struct pairs *pairs, size_t i, const char *text)
{
    char got[64];
    size_t length = 0;

    assert_true(strlen(text) < sizeof got);
    while (length < strlen(text)) {
        struct pollfd item = {.fd = pairs->to[i], .events = POLLIN};
        assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
        ssize_t more = recv(pairs->to[i], got + length, sizeof got - length, 0);
        if (more <= 0)
            return false;
        length += (size_t)more;
    }
    return length == strlen(text) && memcmp(got, text, length) == 0;
}

static void all_go_out_at_the_end(void **state)
{
    static const char *const bodies[] = {"one", "three", "eleven"};
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, ARRAY_LENGTH(bodies));
    for (size_t i = 0; i < pairs.count; i++) {
        char head[] = "head ", body[16];
        size_t length = strlen(bodies[i]);
        memcpy(body, bodies[i], length);
        const struct iovec parts[] = {{.iov_base = head, .iov_len = 5},
                                      {.iov_base = body, .iov_len = length}};
        check_row(i, send_batch_take(pairs.from[i], parts, 2) == 5 + length);
    }
    for (size_t i = 0; i < pairs.count; i++)
        check_row(i, has_nothing(&pairs, i));
    send_batch_end();
    assert_true(gets(&pairs, 0, "head one"));
    assert_true(gets(&pairs, 1, "head three"));
    assert_true(gets(&pairs, 2, "head eleven"));
    end_pairs(&pairs);
}

static void nothing_waits_outside(void **state)
{
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, 1);
    send_batch_end();
    assert_int_equal(take(&pairs, 0, "after the end"), 0);
    send_batch_begin(NULL);
    assert_int_equal(take(&pairs, 0, "without one"), 0);
    send_batch_hurry();
    send_batch_settle(pairs.from[0]);
    end_pairs(&pairs);
}

static void one_receiver_gets_all_in_order(void **state)
{
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, 2);
    assert_int_equal(take(&pairs, 0, "first,"), 6);
    assert_int_equal(take(&pairs, 1, "other"), 5);
    /* The first one is on its way by then; whether it has arrived is a matter of luck. */
    if (take(&pairs, 0, "second") == 0)
        assert_int_equal(send(pairs.from[0], "second", 6, 0), 6);
    send_batch_end();
    assert_true(gets(&pairs, 0, "first,second"));
    assert_true(gets(&pairs, 1, "other"));
    end_pairs(&pairs);
}

static void takes_what_surely_goes_out_whole(void **state)
{
    static char bytes[SEND_BATCH_SEND_BYTES + 1];
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, 2);
    assert_int_equal(take_bytes(pairs.from[0], bytes, 0), 0);
    assert_int_equal(take_bytes(pairs.from[0], bytes, sizeof bytes), 0);
    assert_int_equal(take_bytes(pairs.from[0], bytes, sizeof bytes - 1), sizeof bytes - 1);
    while (send(pairs.from[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(take(&pairs, 1, "this receiver does not read"), 0);
    end_pairs(&pairs);
}

/* It can be full of small segments before all is in. */
static void takes_nothing_with_a_small_buffer(void **state)
{
    const int small = SEND_BATCH_BUFFER_MIN_BYTES / 2 - 1; /* the system doubles it */
    const int enough = SEND_BATCH_BUFFER_MIN_BYTES / 2;
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, 1);
    setsockopt(pairs.from[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(take(&pairs, 0, "reply"), 0);
    setsockopt(pairs.from[0], SOL_SOCKET, SO_SNDBUF, &enough, sizeof enough);
    assert_int_equal(take(&pairs, 0, "reply"), 5);
    end_pairs(&pairs);
}

static void as_many_wait_as_there_are_places(void **state)
{
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, SEND_BATCH_SOCKETS_MAX + 1);
    for (size_t i = 0; i < SEND_BATCH_SOCKETS_MAX; i++)
        check_row(i, take(&pairs, i, "reply") == 5);
    assert_true(has_nothing(&pairs, 0));
    assert_int_equal(take(&pairs, SEND_BATCH_SOCKETS_MAX, "reply"), 5);
    for (size_t i = 0; i < SEND_BATCH_SOCKETS_MAX; i++)
        check_row(i, gets(&pairs, i, "reply"));
    assert_true(has_nothing(&pairs, SEND_BATCH_SOCKETS_MAX));
    send_batch_end();
    assert_true(gets(&pairs, SEND_BATCH_SOCKETS_MAX, "reply"));
    end_pairs(&pairs);
}

static void as_many_bytes_wait_as_there_is_room(void **state)
{
    enum { COUNT = SEND_BATCH_BYTES / SEND_BATCH_SEND_BYTES };
    static char bytes[SEND_BATCH_SEND_BYTES], got[SEND_BATCH_SEND_BYTES];
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, COUNT + 1);
    for (size_t i = 0; i <= COUNT; i++) {
        memset(bytes, 'a' + (int)i, sizeof bytes);
        check_row(i, has_nothing(&pairs, 0));
        check_row(i, take_bytes(pairs.from[i], bytes, sizeof bytes) == sizeof bytes);
    }
    assert_false(has_nothing(&pairs, 0));
    assert_true(has_nothing(&pairs, COUNT));
    send_batch_end();
    for (size_t i = 0; i <= COUNT; i++) {
        memset(bytes, 'a' + (int)i, sizeof bytes);
        check_row(i, recv(pairs.to[i], got, sizeof got, MSG_WAITALL) == sizeof got);
        check_row(i, memcmp(got, bytes, sizeof got) == 0);
    }
    end_pairs(&pairs);
}

/* It is shut, so that who reads from it sees its end; all others get theirs. */
static void a_broken_connection_is_shut(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct pairs pairs;
    char byte;

    (void)state;
    make_pairs(&pairs, 3);
    for (size_t i = 0; i < pairs.count; i++)
        check_row(i, take(&pairs, i, "reply") == 5);
    setsockopt(pairs.to[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    assert_int_equal(syscall(SYS_close, pairs.to[1]), 0);
    send_batch_end();
    assert_true(gets(&pairs, 0, "reply"));
    assert_true(gets(&pairs, 2, "reply"));
    assert_true(recv(pairs.from[1], &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
    pairs.to[1] = -1;
    end_pairs(&pairs);
}

/* Nobody closes one without settling it. */
static void a_lost_descriptor_stops_no_other(void **state)
{
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, 4);
    for (size_t i = 0; i < pairs.count; i++)
        check_row(i, take(&pairs, i, "reply") == 5);
    assert_int_equal(syscall(SYS_close, pairs.from[1]), 0);
    send_batch_end();
    assert_true(gets(&pairs, 0, "reply"));
    assert_true(gets(&pairs, 2, "reply"));
    assert_true(gets(&pairs, 3, "reply"));
    pairs.from[1] = -1;
    end_pairs(&pairs);
}

/* And no other is. */
static void settled_before_it_is_shut(void **state)
{
    struct pairs pairs;
    char byte;

    (void)state;
    make_pairs(&pairs, 4);
    for (size_t i = 0; i < 3; i++)
        check_row(i, take(&pairs, i, "reply") == 5);
    send_batch_settle(pairs.from[3]);
    assert_true(has_nothing(&pairs, 0));
    send_batch_settle(pairs.from[0]);
    assert_true(has_nothing(&pairs, 1));
    assert_true(has_nothing(&pairs, 2));
    assert_int_equal(shutdown(pairs.from[0], SHUT_WR), 0);
    assert_true(gets(&pairs, 0, "reply"));
    assert_int_equal(recv(pairs.to[0], &byte, 1, 0), 0);
    send_batch_end();
    assert_true(gets(&pairs, 1, "reply"));
    assert_true(gets(&pairs, 2, "reply"));
    end_pairs(&pairs);
}

static void none_waits_for_long(void **state)
{
    const struct timespec delay = {.tv_nsec = SEND_BATCH_MAX_DELAY_US * 1000};
    struct pairs pairs;

    (void)state;
    make_pairs(&pairs, 2);
    send_batch_hurry();
    for (size_t i = 0; i < pairs.count; i++) {
        check_row(i, take(&pairs, i, "reply") == 5);
        send_batch_hurry(); /* from here on */
        check_row(i, has_nothing(&pairs, i));
        nanosleep(&delay, NULL);
        check_row(i, has_nothing(&pairs, i));
        send_batch_hurry();
        check_row(i, gets(&pairs, i, "reply"));
    }
    end_pairs(&pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_go_out_at_the_end),
        cmocka_unit_test(nothing_waits_outside),
        cmocka_unit_test(one_receiver_gets_all_in_order),
        cmocka_unit_test(takes_what_surely_goes_out_whole),
        cmocka_unit_test(takes_nothing_with_a_small_buffer),
        cmocka_unit_test(as_many_wait_as_there_are_places),
        cmocka_unit_test(as_many_bytes_wait_as_there_is_room),
        cmocka_unit_test(a_broken_connection_is_shut),
        cmocka_unit_test(a_lost_descriptor_stops_no_other),
        cmocka_unit_test(settled_before_it_is_shut),
        cmocka_unit_test(none_waits_for_long),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
