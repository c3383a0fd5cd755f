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

enum {
    CLIENTS = 3,
    PATIENCE_MS = 10000,
};

/* A server with one loop. Who asks for /hold holds the loop up until it is released; with that both
 * other clients' requests are there when it goes on. */
struct server {
    struct http *http;
    int clients[CLIENTS];
    int held, released;     /* eventfd */
    atomic_uint asked;      /* how often, by others than /hold */
    atomic_bool had_one[2]; /* one of the others had a reply already */
};

static void wait_for(int descriptor, short event)
{
    struct pollfd item = {.fd = descriptor, .events = event};

    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
}

static bool has_reply(int client)
{
    char byte;

    return recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static bool handle(void *context, void *thread, struct http_exchange *exchange,
                   struct http_reply *reply)
{
    struct server *server = context;
    eventfd_t ignored;

    (void)thread;
    buffer_init(&reply->body, 64);
    buffer_append(&reply->body, "{}", 2);
    reply->status = 200;
    if (strcmp(http_request(exchange)->target, "/hold") == 0) {
        eventfd_write(server->held, 1);
        eventfd_read(server->released, &ignored);
    } else {
        atomic_store(&server->had_one[atomic_fetch_add(&server->asked, 1) % 2],
                     has_reply(server->clients[1]) || has_reply(server->clients[2]));
    }
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

    *server = (struct server){.held = eventfd(0, 0), .released = eventfd(0, 0)};
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

/* With libmicrohttpd linked in (P2P_CONNECTION_MEMORY), and where the system can do it. */
static bool sends_together(void)
{
#ifdef P2P_CONNECTION_MEMORY
    struct send_batch *batch = send_batch_new();
    bool can = batch != NULL;

    send_batch_free(batch);
    return can;
#else
    return false;
#endif
}

static void replies_of_a_round_are_sent_together(void **state)
{
    struct server server;
    eventfd_t ignored;

    (void)state;
    if (!sends_together())
        skip();
    start(&server);
    for (size_t i = 0; i < CLIENTS; i++) {
        ask(server.clients[i], "/");
        check_reply(server.clients[i]);
    }
    ask(server.clients[0], "/hold");
    wait_for(server.held, POLLIN);
    eventfd_read(server.held, &ignored);
    atomic_store(&server.asked, 0);
    ask(server.clients[1], "/");
    ask(server.clients[2], "/");
    eventfd_write(server.released, 1);
    for (size_t i = 0; i < CLIENTS; i++)
        check_reply(server.clients[i]);
    assert_int_equal(atomic_load(&server.asked), 2);
    assert_false(atomic_load(&server.had_one[0]));
    assert_false(atomic_load(&server.had_one[1]));
    stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_of_a_round_are_sent_together),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
