#include "http_stub.h"

#include "unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#define HEAD_BYTES (1024 * 1024)
#define BODY_BYTES (8 * 1024)

struct http_stub {
    http_stub_answer_fn *answer;
    void *context;
    char url[64];
    int listener;
    int stop; /* eventfd */
    pthread_t thread;
    pthread_mutex_t lock;
    struct http_stub_request requests[HTTP_STUB_REQUESTS]; /* guarded by lock */
    size_t count;
};

/* False when the test is over first. */
static bool wait_readable(struct http_stub *stub, int descriptor)
{
    struct pollfd items[] = {{.fd = stub->stop, .events = POLLIN},
                             {.fd = descriptor, .events = POLLIN}};

    poll(items, 2, -1);
    return !items[0].revents;
}

/* Reads until the text has what ends it, or all of the length; false when there is no more. */
static bool read_until(struct http_stub *stub, int connection, char *text, size_t *used,
                       size_t wanted, const char *end)
{
    while (end ? !strstr(text, end) : *used < wanted) {
        ssize_t got;
        if (!wait_readable(stub, connection))
            return false;
        got = recv(connection, text + *used, HEAD_BYTES - 1 - *used, 0);
        if (got <= 0)
            return false;
        *used += (size_t)got;
        text[*used] = '\0';
    }
    return true;
}

static bool read_request(struct http_stub *stub, int connection, struct http_stub_request *request)
{
    char *text = calloc(1, HEAD_BYTES);
    size_t used = 0;
    bool good = read_until(stub, connection, text, &used, 0, "\r\n\r\n");

    if (good) {
        char *body = strstr(text, "\r\n\r\n") + 4;
        const char *length = strstr(text, "Content-Length: ");
        size_t body_bytes = length && length < body ? (size_t)atol(length + 16) : 0;
        good = read_until(stub, connection, text, &used, (size_t)(body - text) + body_bytes, NULL);
        request->body = strdup(body);
        body[-4] = '\0';
        request->head = strdup(text);
    }
    free(text);
    return good;
}

static void remember(struct http_stub *stub, const struct http_stub_request *request)
{
    pthread_mutex_lock(&stub->lock);
    assert_true(stub->count < HTTP_STUB_REQUESTS);
    stub->requests[stub->count++] = *request;
    pthread_mutex_unlock(&stub->lock);
}

static void serve(struct http_stub *stub, int connection, int number)
{
    struct http_stub_request request = {.connection = number};
    char *body = calloc(1, BODY_BYTES);
    char head[256];

    while (read_request(stub, connection, &request)) {
        int status = 200;
        body[0] = '\0';
        stub->answer(stub->context, &request, &status, body, BODY_BYTES);
        remember(stub, &request);
        request = (struct http_stub_request){.connection = number};
        if (status == 0)
            continue;
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d X\r\nLocation: %s/elsewhere\r\nContent-Length: %zu\r\n\r\n", status,
                 stub->url, strlen(body));
        (void)!send(connection, head, strlen(head), MSG_NOSIGNAL);
        (void)!send(connection, body, strlen(body), MSG_NOSIGNAL);
    }
    free(request.head);
    free(request.body);
    free(body);
}

static void *run(void *context)
{
    struct http_stub *stub = context;

    for (int number = 1; wait_readable(stub, stub->listener); number++) {
        int connection = accept(stub->listener, NULL, NULL);
        serve(stub, connection, number);
        close(connection);
    }
    return NULL;
}

struct http_stub *http_stub_start(http_stub_answer_fn *answer, void *context)
{
    struct http_stub *stub = calloc(1, sizeof *stub);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    assert_non_null(stub);
    stub->answer = answer;
    stub->context = context;
    pthread_mutex_init(&stub->lock, NULL);
    stub->stop = eventfd(0, 0);
    stub->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(stub->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(stub->listener, 8), 0);
    assert_int_equal(getsockname(stub->listener, (struct sockaddr *)&address, &length), 0);
    snprintf(stub->url, sizeof stub->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&stub->thread, NULL, run, stub), 0);
    return stub;
}

void http_stub_stop(struct http_stub *stub)
{
    eventfd_write(stub->stop, 1);
    pthread_join(stub->thread, NULL);
    close(stub->listener);
    close(stub->stop);
    for (size_t i = 0; i < stub->count; i++) {
        free(stub->requests[i].head);
        free(stub->requests[i].body);
    }
    free(stub);
}

const char *http_stub_url(const struct http_stub *stub)
{
    return stub->url;
}

static size_t count_now(struct http_stub *stub)
{
    pthread_mutex_lock(&stub->lock);
    size_t count = stub->count;
    pthread_mutex_unlock(&stub->lock);
    return count;
}

size_t http_stub_wait(struct http_stub *stub, size_t wanted)
{
    for (int i = 0; i < 1500 && count_now(stub) < wanted; i++)
        poll(NULL, 0, 10);
    return count_now(stub);
}

const struct http_stub_request *http_stub_request(struct http_stub *stub, size_t number)
{
    pthread_mutex_lock(&stub->lock);
    assert_true(number < stub->count);
    const struct http_stub_request *request = &stub->requests[number];
    pthread_mutex_unlock(&stub->lock);
    return request;
}
