#include "unit.h"

#include "directory/http.h"
#include "directory/send_batch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

enum {
    CLIENTS = 4,
    SLOW_US = 4 * SEND_BATCH_MAX_DELAY_US,
    PATIENCE_MS = 10000,
};

/* A server with one loop. Who asks for /hold holds the loop up until it is released; with that all
 * other clients' requests are there when it goes on. */
struct server {
    struct http *http;
    int clients[CLIENTS];
    int held, released, all_asked;    /* eventfd */
    unsigned asked;                   /* how often, by all but the first; the loop's */
    atomic_bool had_one[CLIENTS - 1]; /* by then, some of them had a reply */
};

static void wait_for(int descriptor, short event)
{
    struct pollfd item = {.fd = descriptor, .events = event};

    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
}

static bool has_reply(int client)
{
    char byte;

    return recvfrom(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) > 0;
}

static void note_asked(struct server *server)
{
    unsigned number = server->asked++ % (CLIENTS - 1);
    bool any = false;

    for (size_t i = 1; i < CLIENTS; i++)
        any |= has_reply(server->clients[i]);
    atomic_store(&server->had_one[number], any);
    if (number == CLIENTS - 2)
        eventfd_write(server->all_asked, 1);
}

static bool handle(void *context, void *thread, struct http_exchange *exchange,
                   struct http_reply *reply)
{
    struct server *server = context;
    const char *target = http_request(exchange)->target;
    eventfd_t ignored;

    (void)thread;
    buffer_init(&reply->body, 64);
    buffer_append(&reply->body, "{}", 2);
    reply->status = 200;
    if (strcmp(target, "/hold") == 0) {
        eventfd_write(server->held, 1);
        eventfd_read(server->released, &ignored);
        return true;
    }
    if (strcmp(target, "/first") != 0)
        note_asked(server);
    if (strcmp(target, "/slow") == 0)
        nanosleep(&(struct timespec){.tv_nsec = SLOW_US * 1000}, NULL);
    return true;
}

static enum error_code begin_thread(void *context, void **thread, struct error *error)
{
    (void)context;
    (void)error;
    *thread = NULL;
    return ERROR_NONE;
}

static void end_thread(void *context, void *thread)
{
    (void)context;
    (void)thread;
}

static void start(struct server *server)
{
    struct http_settings settings = {.threads = 1,
                                     .handle = handle,
                                     .context = server,
                                     .thread_begin = begin_thread,
                                     .thread_end = end_thread};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct error error;

    *server = (struct server){
        .held = eventfd(0, 0), .released = eventfd(0, 0), .all_asked = eventfd(0, 0)};
    assert_int_equal(address_parse("127.0.0.1:0", true, &settings.listen, &error), ERROR_NONE);
    assert_int_equal(http_start(&settings, &server->http, &error), ERROR_NONE);
    address.sin_port = htons(http_address(server->http)->port);
    for (size_t i = 0; i < CLIENTS; i++) {
        server->clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(server->clients[i], (struct sockaddr *)&address, sizeof address),
                         0);
    }
}

static void stop(struct server *server)
{
    http_stop(server->http);
    for (size_t i = 0; i < CLIENTS; i++)
        close(server->clients[i]);
    close(server->held);
    close(server->released);
    close(server->all_asked);
}

static void ask(int client, const char *target)
{
    char request[64];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);

    assert_int_equal(send(client, request, (size_t)length, MSG_NOSIGNAL), length);
}

static void check_reply(int client)
{
    char reply[512];

    wait_for(client, POLLIN);
    ssize_t length = recv(client, reply, sizeof reply - 1, 0);
    assert_true(length > 0);
    reply[length] = '\0';
    assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
    assert_string_equal(reply + length - 2, "{}");
}

/* With libmicrohttpd linked in, and where the system can do it. */
static bool sends_together(void)
{
#ifdef P2P_MICROHTTPD_CALLS
    struct send_batch *batch = send_batch_new();
    bool can = batch != NULL;

    send_batch_free(batch);
    return can;
#else
    return false;
#endif
}

/* All but the first client ask for that in the same round. */
static void ask_in_one_round(struct server *server, const char *target)
{
    eventfd_t ignored;

    for (size_t i = 0; i < CLIENTS; i++) {
        ask(server->clients[i], "/first");
        check_reply(server->clients[i]);
    }
    ask(server->clients[0], "/hold");
    wait_for(server->held, POLLIN);
    eventfd_read(server->held, &ignored);
    for (size_t i = 1; i < CLIENTS; i++)
        ask(server->clients[i], target);
    eventfd_write(server->released, 1);
    wait_for(server->all_asked, POLLIN);
    eventfd_read(server->all_asked, &ignored);
    for (size_t i = 0; i < CLIENTS; i++)
        check_reply(server->clients[i]);
}

static void replies_of_a_round_are_sent_together(void **state)
{
    struct server server;

    (void)state;
    if (!sends_together())
        skip();
    start(&server);
    /* The loop may lose the processor for so long that it sends what there is. */
    bool together = false;
    for (int tries = 0; tries < 20 && !together; tries++) {
        ask_in_one_round(&server, "/");
        together = true;
        for (size_t i = 0; i < CLIENTS - 1; i++)
            together &= !atomic_load(&server.had_one[i]);
    }
    assert_true(together);
    stop(&server);
}

static void a_reply_does_not_wait_for_slow_ones(void **state)
{
    struct server server;

    (void)state;
    start(&server);
    ask_in_one_round(&server, "/slow");
    assert_true(atomic_load(&server.had_one[CLIENTS - 2]));
    stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_of_a_round_are_sent_together),
        cmocka_unit_test(a_reply_does_not_wait_for_slow_ones),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
