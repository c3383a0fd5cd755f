/*
 * How connections come in: the greeting, the limits, and the thread that accepts, with a core made
 * up of an array.
 */
#include "peer/rpc/acceptor.h"
#include "peer/rpc/greeting.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#define WAIT_MS 20000

#define GREETING     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\6\4\0\0\0\0\0\0\3\0\0\0\1"
#define GREETING_ALL (sizeof GREETING - 1)

/* ---- the greeting ---- */

static void knows_a_greeting(void **state)
{
    static const char text[] = GREETING;
    const uint8_t *bytes = (const uint8_t *)text;

    (void)state;
    for (size_t length = 0; length < GREETING_ALL; length++) {
        size_t head = length < GREETING_HEAD_BYTES ? length : GREETING_HEAD_BYTES;

        check_row(length, greeting_check(bytes, head, length) == GREETING_PART);
    }
    assert_int_equal(greeting_check(bytes, GREETING_HEAD_BYTES, GREETING_ALL), GREETING_WHOLE);
    assert_int_equal(greeting_check(bytes, GREETING_HEAD_BYTES, 5000), GREETING_WHOLE);
}

static void knows_what_is_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        {"G", 1},
        {"GET / HTTP/1.1\r\nHost: peer\r\n\r\n..", 32},
        {"PRI * HTTP/1", 12},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", 24},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\6\0\0\0\0\0", 33},   /* a ping */
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\x40\1\4\0\0\0\0\0", 33}, /* 16,385 bytes of them */
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\1\0\0\4\0\0\0\0\0", 33},
    };

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++)
        check_row(row, greeting_check((const uint8_t *)rows[row].bytes, rows[row].length,
                                      rows[row].length) == GREETING_WRONG);
}

/* ---- the limits ---- */

static void derives_limits_from_descriptors(void **state)
{
    static const struct {
        uint64_t descriptors;
        bool local;
        size_t total, host;
    } rows[] = {
        {0, false, 8, 4},        {64, false, 8, 4},          {200, false, 76, 19},
        {1024, false, 488, 122}, {20000, false, 4096, 1024}, {UINT64_MAX, false, 4096, 1024},
        {0, true, 8, 8},         {200, true, 19, 19},        {UINT64_MAX, true, 256, 256},
    };

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        struct connection_limits limits =
            connection_limits_of(rows[row].descriptors, rows[row].local);

        check_row(row, limits.total == rows[row].total);
        check_row(row, limits.host == rows[row].host);
    }
}

static struct sockaddr_storage address_of(const char *host, uint16_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *four = (void *)&storage;
    struct sockaddr_in6 *six = (void *)&storage;

    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
    } else if (strcmp(host, "unix") == 0) {
        storage.ss_family = AF_UNIX;
    } else {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        assert_int_equal(inet_pton(AF_INET6, host, &six->sin6_addr), 1);
    }
    return storage;
}

/* A descriptor that is open; its number stands for a connection. */
static int any_descriptor(void)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(descriptor >= 0);
    return descriptor;
}

/* At that time; it may be silent for as long again. */
static enum admission admit(struct connections *connections, int descriptor, const char *host,
                            int64_t now_ms, int *displaced)
{
    struct sockaddr_storage address = address_of(host, 80);
    struct displaced item;
    enum admission admission =
        connections_admit(connections, descriptor, &address, now_ms, 2 * now_ms, &item);

    *displaced = item.descriptor;
    return admission;
}

static void names_connections(void **state)
{
    static const struct {
        const char *host, *name;
    } rows[] = {
        {"172.28.0.3", "172.28.0.3:80"},    {"::1", "[::1]:80"}, {"fe80::1:2", "[fe80::1:2]:80"},
        {"::ffff:10.1.2.3", "10.1.2.3:80"}, {"unix", "unix:"},
    };
    struct connections *connections = connections_new((struct connection_limits){8, 8});
    char name[PEER_NAME_BYTES];

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        int descriptor = any_descriptor();
        int displaced;

        assert_int_equal(admit(connections, descriptor, rows[row].host, 1, &displaced),
                         ADMISSION_GRANTED);
        assert_true(connections_call_begins(connections, descriptor, name));
        assert_string_equal(name, rows[row].name);
        connections_drop(connections, descriptor);
        assert_false(connections_call_begins(connections, descriptor, name));
        assert_string_equal(name, "");
        close(descriptor);
    }
    connections_free(connections);
}

/* Greets at once; -1 when it is not admitted. */
static int open_greeted(struct connections *connections, const char *host)
{
    int descriptor = any_descriptor();
    int displaced;

    if (admit(connections, descriptor, host, 1, &displaced) != ADMISSION_GRANTED) {
        close(descriptor);
        return -1;
    }
    assert_int_equal(displaced, -1);
    connections_greeted(connections, descriptor, 1);
    return descriptor;
}

static void limits_hosts(void **state)
{
    static const struct {
        const char *host;
        bool granted;
    } rows[] = {
        {"10.0.0.1", true},         {"::ffff:10.0.0.1", true},
        {"10.0.0.1", false},        {"::ffff:10.0.0.1", false},
        {"10.0.0.2", true},         {"2001:db8::1", true},
        {"2001:db8::ffff:2", true}, {"2001:db8::3", false},
        {"2001:db8:0:1::1", true},  {"::1", true},
    };
    struct connections *connections = connections_new((struct connection_limits){100, 2});
    int descriptors[ARRAY_LENGTH(rows)];

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        descriptors[row] = open_greeted(connections, rows[row].host);
        check_row(row, (descriptors[row] >= 0) == rows[row].granted);
    }
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++)
        if (descriptors[row] >= 0)
            close(descriptors[row]);
    connections_free(connections);
}

/* What somebody else has closed gives its place back, also when its number is another file's. */
static void notices_what_was_closed(void **state)
{
    struct connections *connections = connections_new((struct connection_limits){6, 3});
    int first = open_greeted(connections, "10.0.0.1");
    int second = open_greeted(connections, "10.0.0.1");
    int third = open_greeted(connections, "10.0.0.1");
    int other = any_descriptor();

    (void)state;
    assert_int_equal(open_greeted(connections, "10.0.0.1"), -1);
    assert_int_equal(connections_count(connections), 3);
    close(first);
    assert_int_equal(dup2(other, second), second);
    assert_int_equal(connections_count(connections), 1);
    first = open_greeted(connections, "10.0.0.1");
    assert_true(first >= 0);

    close(third); /* and the next one gets its number */
    assert_int_equal(open_greeted(connections, "10.0.0.2"), third);
    assert_int_equal(connections_count(connections), 2);
    close(first);
    close(second);
    close(third);
    close(other);
    connections_free(connections);
}

static void the_longest_silent_makes_room(void **state)
{
    struct connections *connections = connections_new((struct connection_limits){4, 2});
    int items[7];
    int displaced;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(items); i++)
        items[i] = any_descriptor();
    assert_int_equal(admit(connections, items[0], "10.0.0.1", 50, &displaced), ADMISSION_GRANTED);
    assert_int_equal(admit(connections, items[1], "10.0.0.2", 20, &displaced), ADMISSION_GRANTED);
    assert_int_equal(admit(connections, items[2], "10.0.0.2", 10, &displaced), ADMISSION_GRANTED);
    assert_int_equal(displaced, -1);
    /* of the same host, as long as it is the host's limit */
    assert_int_equal(admit(connections, items[3], "10.0.0.2", 60, &displaced), ADMISSION_GRANTED);
    assert_int_equal(displaced, items[2]);
    assert_int_equal(admit(connections, items[4], "10.0.0.3", 70, &displaced), ADMISSION_GRANTED);
    assert_int_equal(displaced, -1);
    /* of all hosts at the limit of all */
    assert_int_equal(admit(connections, items[5], "10.0.0.4", 80, &displaced), ADMISSION_GRANTED);
    assert_int_equal(displaced, items[1]);
    assert_int_equal(connections_silent(connections), 4);
    /* and no one that has only just greeted */
    connections_greeted(connections, items[0], 80);
    connections_greeted(connections, items[3], 80);
    connections_greeted(connections, items[4], 80);
    connections_greeted(connections, items[5], 80);
    assert_int_equal(admit(connections, items[6], "10.0.0.5", 90, &displaced), ADMISSION_FULL);
    assert_int_equal(displaced, -1);
    for (size_t i = 0; i < ARRAY_LENGTH(items); i++)
        close(items[i]);
    connections_free(connections);
}

/* A greeted one at that time, that may displace another. */
static int open_at(struct connections *connections, const char *host, int64_t now_ms,
                   int *displaced)
{
    int descriptor = any_descriptor();

    if (admit(connections, descriptor, host, now_ms, displaced) != ADMISSION_GRANTED) {
        close(descriptor);
        return -1;
    }
    connections_greeted(connections, descriptor, now_ms);
    return descriptor;
}

static void the_longest_idle_makes_room(void **state)
{
    static const char *const hosts[] = {"10.0.0.1", "10.0.0.1", "10.0.0.1",
                                        "10.0.0.2", "10.0.0.2", "10.0.0.3"};
    const int64_t later = CONNECTION_IDLE_MS + 30;
    struct connections *connections = connections_new((struct connection_limits){6, 3});
    char name[PEER_NAME_BYTES];
    int items[6], more[3];
    int displaced;

    (void)state;
    for (int i = 0; i < 6; i++) {
        items[i] = open_at(connections, hosts[i], 10 + i, &displaced);
        assert_true(items[i] >= 0 && displaced == -1);
    }
    /* none while all have been used lately, by their own host or by others */
    assert_int_equal(open_at(connections, "10.0.0.1", 10 + CONNECTION_IDLE_MS - 1, &displaced), -1);
    assert_int_equal(open_at(connections, "10.0.0.4", 10 + CONNECTION_IDLE_MS - 1, &displaced), -1);
    /* of the host that has most, which has not a call */
    assert_true(connections_call_begins(connections, items[0], name));
    more[0] = open_at(connections, "10.0.0.4", later, &displaced);
    assert_true(more[0] >= 0 && displaced == items[1]);
    /* of the host itself, when it has any */
    more[1] = open_at(connections, "10.0.0.2", later, &displaced);
    assert_true(more[1] >= 0 && displaced == items[3]);
    assert_true(connections_call_begins(connections, items[2], name));
    assert_int_equal(open_at(connections, "10.0.0.1", later, &displaced), -1);
    /* a call that has ended begins the time anew */
    connections_call_ends(connections, items[0], later);
    assert_int_equal(open_at(connections, "10.0.0.1", later + CONNECTION_IDLE_MS - 1, &displaced),
                     -1);
    more[2] = open_at(connections, "10.0.0.1", later + CONNECTION_IDLE_MS, &displaced);
    assert_true(more[2] >= 0 && displaced == items[0]);
    assert_int_equal(connections_count(connections), 6);
    for (int i = 0; i < 6; i++)
        close(items[i]);
    for (int i = 0; i < 3; i++)
        close(more[i]);
    connections_free(connections);
}

/* The one that was displaced, and no other that has got its number. */
static void ends_what_is_the_cores(void **state)
{
    struct displaced displaced = {.descriptor = -1};
    struct stat status;
    int ends[2], others[2];
    char byte;

    (void)state;
    connection_end(&displaced);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
    assert_int_equal(fstat(ends[0], &status), 0);
    displaced.descriptor = others[0];
    displaced.device = status.st_dev;
    displaced.inode = status.st_ino;
    connection_end(&displaced);
    assert_int_equal(recv(others[1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    displaced.descriptor = ends[0];
    connection_end(&displaced);
    assert_int_equal(recv(ends[0], &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), 0);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(others[i]);
    }
}

static void tells_who_is_late(void **state)
{
    struct connections *connections = connections_new((struct connection_limits){4, 4});
    int early = any_descriptor(), greeted = any_descriptor(), late = any_descriptor();
    int displaced;

    (void)state;
    assert_int_equal(admit(connections, late, "10.0.0.1", 50, &displaced), ADMISSION_GRANTED);
    assert_int_equal(admit(connections, greeted, "10.0.0.1", 5, &displaced), ADMISSION_GRANTED);
    assert_int_equal(admit(connections, early, "10.0.0.1", 10, &displaced), ADMISSION_GRANTED);
    connections_greeted(connections, greeted, 60);
    assert_int_equal(connections_take_late(connections, 19), -1);
    assert_int_equal(connections_take_late(connections, 20), early);
    assert_int_equal(connections_take_late(connections, 20), -1);
    assert_true(connections_is_silent(connections, late));
    assert_false(connections_is_silent(connections, greeted));
    assert_int_equal(connections_count(connections), 2);
    close(early);
    close(greeted);
    close(late);
    connections_free(connections);
}

/* ---- the thread ---- */

#define TAKEN_MAX 64

struct world {
    struct acceptor *acceptor;
    atomic_int taken[TAKEN_MAX];
    atomic_int count;
};

static void take(void *context, int descriptor)
{
    struct world *world = context;
    int index = atomic_load(&world->count);

    assert_true(index < TAKEN_MAX);
    atomic_store(&world->taken[index], descriptor);
    atomic_store(&world->count, index + 1);
}

static struct world *accept_at(const char *address, struct connection_limits limits)
{
    struct world *world = calloc(1, sizeof *world);
    struct acceptor_options options = {
        .address = address, .limits = limits, .hand_over = take, .context = world};

    assert_int_equal(acceptor_open(&options, &world->acceptor, NULL), ERROR_NONE);
    assert_int_equal(acceptor_start(world->acceptor, NULL), ERROR_NONE);
    return world;
}

static void world_free(struct world *world)
{
    acceptor_free(world->acceptor);
    for (int i = 0; i < atomic_load(&world->count); i++)
        close(atomic_load(&world->taken[i]));
    free(world);
}

static void connect_with(const struct world *world, int client, int family)
{
    struct sockaddr_storage name =
        address_of(family == AF_INET ? "127.0.0.1" : "::1", acceptor_port(world->acceptor));

    assert_int_equal(
        connect(client, (const struct sockaddr *)&name,
                family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
        0);
}

static int connect_to(const struct world *world)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    connect_with(world, client, AF_INET);
    return client;
}

static void say(int client, const char *bytes, size_t length)
{
    assert_int_equal(send(client, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

static int connect_and_greet(const struct world *world)
{
    int client = connect_to(world);

    say(client, GREETING, GREETING_ALL);
    return client;
}

static void wait_for_taken(struct world *world, int count)
{
    for (int i = 0; i < WAIT_MS && atomic_load(&world->count) < count; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&world->count), count);
}

static bool is_closed_within(int client, int timeout_ms)
{
    struct pollfd item = {.fd = client, .events = POLLIN};
    char byte;

    return poll(&item, 1, timeout_ms) == 1 && recv(client, &byte, 1, MSG_DONTWAIT) <= 0;
}

static void hands_over_who_has_greeted(void **state)
{
    struct world *world = accept_at("127.0.0.1:0", (struct connection_limits){8, 8});
    int client = connect_to(world);
    char got[GREETING_ALL];
    char name[PEER_NAME_BYTES], expected[PEER_NAME_BYTES];
    struct sockaddr_storage own = {0};
    socklen_t length = sizeof own;
    int on = 0;

    (void)state;
    for (size_t i = 0; i < GREETING_ALL; i++) {
        assert_int_equal(atomic_load(&world->count), 0);
        say(client, GREETING + i, 1);
        usleep(1000);
    }
    wait_for_taken(world, 1);
    /* nothing of it was taken away, and the socket is as it has to be */
    assert_int_equal(recv(world->taken[0], got, sizeof got, 0), (ssize_t)GREETING_ALL);
    assert_memory_equal(got, GREETING, GREETING_ALL);
    assert_int_equal(getsockname(client, (struct sockaddr *)&own, &length), 0);
    assert_true(
        connections_call_begins(acceptor_connections(world->acceptor), world->taken[0], name));
    assert_string_equal(name, peer_name_format(&own, expected));
    length = sizeof on;
    assert_int_equal(getsockopt(world->taken[0], IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
    assert_int_equal(on, 1);
    assert_int_equal(getsockopt(world->taken[0], SOL_SOCKET, SO_KEEPALIVE, &on, &length), 0);
    assert_int_equal(on, 1);
    assert_int_equal(recv(world->taken[0], got, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    close(client);
    world_free(world);
}

static void closes_who_does_not(void **state)
{
    struct world *world = accept_at("127.0.0.1:0", (struct connection_limits){8, 8});
    int stranger = connect_to(world);
    int half = connect_to(world);
    int silent = connect_to(world);

    (void)state;
    say(stranger, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_true(is_closed_within(stranger, WAIT_MS));
    say(half, GREETING, 20);
    shutdown(half, SHUT_WR);
    assert_true(is_closed_within(half, WAIT_MS));
    assert_false(is_closed_within(silent, 100)); /* it has time */
    assert_int_equal(atomic_load(&world->count), 0);
    acceptor_stop(world->acceptor);
    assert_true(is_closed_within(silent, WAIT_MS));
    close(stranger);
    close(half);
    close(silent);
    world_free(world);
}

/* Without a word to anybody, and unseen by the thread sanitizer, as all that libraries do: it would
 * take a descriptor that is looked at while it is closed for a mistake. */
static void core_closes(int descriptor)
{
    assert_int_equal(syscall(SYS_close, descriptor), 0);
}

static void closes_what_is_too_much(void **state)
{
    struct world *world = accept_at("127.0.0.1:0", (struct connection_limits){3, 3});
    int silent[2], greeted[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(silent); i++)
        silent[i] = connect_to(world);
    for (size_t i = 0; i < 3; i++) { /* the silent ones make room */
        greeted[i] = connect_and_greet(world);
        wait_for_taken(world, (int)i + 1);
    }
    assert_true(is_closed_within(silent[0], WAIT_MS));
    assert_true(is_closed_within(silent[1], WAIT_MS));
    greeted[3] = connect_to(world);
    assert_true(is_closed_within(greeted[3], WAIT_MS));
    close(greeted[3]);

    core_closes(world->taken[0]);
    greeted[3] = connect_and_greet(world);
    /* Too much until it is seen that the other one is closed. */
    while (atomic_load(&world->count) < 4)
        if (is_closed_within(greeted[3], 10)) {
            close(greeted[3]);
            greeted[3] = connect_and_greet(world);
        }
    wait_for_taken(world, 4);
    atomic_store(&world->taken[0], any_descriptor());
    for (size_t i = 0; i < ARRAY_LENGTH(greeted); i++)
        close(greeted[i]);
    close(silent[0]);
    close(silent[1]);
    world_free(world);
}

static int64_t processor_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* Whoever takes them: while there are none, connections wait, and nothing spins. */
static void waits_for_descriptors(void **state)
{
    struct world *world = accept_at("127.0.0.1:0", (struct connection_limits){8, 8});
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit before;
    int64_t used_ms;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 1, .rlim_max = before.rlim_max}), 0);
    connect_with(world, client, AF_INET);
    say(client, GREETING, GREETING_ALL);
    used_ms = processor_ms();
    usleep(600000);
    used_ms = processor_ms() - used_ms;
    assert_int_equal(atomic_load(&world->count), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(used_ms < 300);
    wait_for_taken(world, 1);
    close(client);
    world_free(world);
}

/*
 * For the thread sanitizer, which must know nothing of the number that the core closes
 * (rpc/unseen.h): nothing here may order this thread after the acceptor's, for that would hide the
 * report.
 */
static void numbers_are_anybodys_after_the_core(void **state)
{
    struct world *world = accept_at("127.0.0.1:0", (struct connection_limits){8, 8});
    int client = connect_and_greet(world);
    struct stat status;
    int taken, file;

    (void)state;
    for (int i = 0; i < WAIT_MS; i++) {
        if (atomic_load_explicit(&world->count, memory_order_relaxed) == 1)
            break;
        usleep(1000);
    }
    taken = atomic_load_explicit(&world->taken[0], memory_order_relaxed);
    assert_true(taken > 0);
    assert_int_equal(syscall(SYS_close, taken), 0); /* as the core does, unseen */
    file = openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(file, taken);
    assert_int_equal(fstat(file, &status), 0);
    close(file);
    atomic_store(&world->count, 0); /* closed already */
    close(client);
    world_free(world);
}

/* Both families come in at a wildcard, on a machine that has both. */
static void listens_for_both_families(void **state)
{
    static const char *const addresses[] = {"0.0.0.0:0", "[::]:0"};

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(addresses); row++) {
        struct world *world = accept_at(addresses[row], (struct connection_limits){8, 8});
        int four = connect_and_greet(world);
        int six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char name[PEER_NAME_BYTES];

        wait_for_taken(world, 1);
        (void)connections_call_begins(acceptor_connections(world->acceptor), world->taken[0], name);
        check_row(row, strncmp(name, "127.0.0.1:", 10) == 0);
        if (access("/proc/net/if_inet6", F_OK) == 0) {
            connect_with(world, six, AF_INET6);
            say(six, GREETING, GREETING_ALL);
            wait_for_taken(world, 2);
            (void)connections_call_begins(acceptor_connections(world->acceptor), world->taken[1],
                                          name);
            check_row(row, strncmp(name, "[::1]:", 6) == 0);
        }
        close(four);
        close(six);
        world_free(world);
    }
}

static void does_not_share_its_port(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "0.0.0.0", "[::]", "localhost"};
    struct world *world = accept_at("127.0.0.1:0", (struct connection_limits){8, 8});

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(hosts); row++) {
        char address[64];
        struct acceptor_options options = {.address = address, .hand_over = take};
        struct acceptor *second = NULL;
        struct error error;

        snprintf(address, sizeof address, "%s:%u", hosts[row], acceptor_port(world->acceptor));
        check_row(row, acceptor_open(&options, &second, &error) == ERROR_BUSY);
        check_row(row, strstr(error.text, ": the address is in use"));
    }
    world_free(world);
}

static void unix_socket_is_the_owners(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char folder[UNIT_PATH_BYTES];
    char address[2 * UNIT_PATH_BYTES];
    struct stat status;
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct world *world;

    (void)state;
    unit_folder_make(folder);
    snprintf(name.sun_path, sizeof name.sun_path, "%.80s/socket", folder);
    snprintf(address, sizeof address, "unix:%s", name.sun_path);
    world = accept_at(address, (struct connection_limits){8, 8});
    assert_int_equal(acceptor_port(world->acceptor), 0);
    assert_int_equal(stat(name.sun_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(connect(client, (const struct sockaddr *)&name, sizeof name), 0);
    say(client, GREETING, 10);
    usleep(1000);
    say(client, GREETING + 10, GREETING_ALL - 10);
    wait_for_taken(world, 1);
    world_free(world);
    assert_int_equal(access(name.sun_path, F_OK), -1);
    close(client);
    unit_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_a_greeting),
        cmocka_unit_test(knows_what_is_none),
        cmocka_unit_test(derives_limits_from_descriptors),
        cmocka_unit_test(names_connections),
        cmocka_unit_test(limits_hosts),
        cmocka_unit_test(notices_what_was_closed),
        cmocka_unit_test(the_longest_silent_makes_room),
        cmocka_unit_test(the_longest_idle_makes_room),
        cmocka_unit_test(ends_what_is_the_cores),
        cmocka_unit_test(tells_who_is_late),
        cmocka_unit_test(hands_over_who_has_greeted),
        cmocka_unit_test(closes_who_does_not),
        cmocka_unit_test(closes_what_is_too_much),
        cmocka_unit_test(waits_for_descriptors),
        cmocka_unit_test(numbers_are_anybodys_after_the_core),
        cmocka_unit_test(listens_for_both_families),
        cmocka_unit_test(does_not_share_its_port),
        cmocka_unit_test(unix_socket_is_the_owners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
