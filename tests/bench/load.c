/*
 * Asks a directory what a million peers would ask it, and measures how it answers.
 *
 *   load WHAT ADDRESS:PORT PEERS [OPTION VALUE]...
 *
 *   login      each of the peers once, with a list of its files. Tokens go to --sessions
 *   heartbeat  logins by token that only say what list the directory should have
 *   search     exact searches for names of files that some peer has
 *   words      searches for --words, the first page
 *   change     peers that get one file and lose the one that they got before, by differences
 *
 *   --connections N  kept alive, one request at a time on each; 32
 *   --threads N      1
 *   --seconds N      0: until every peer had its turn once
 *   --rate N         so many requests begin in a second, whether or not the ones before are
 * answered, as far as connections are free; 0: as fast as they are answered
 *   --first N        the first peer, from 0; PEERS is then how many from there on
 *   --users FILE     lines NAME:PASSWORD, one a peer, all of one length (login)
 *   --sessions FILE  written by login, read by heartbeat and change: a line TOKEN SUM for each peer
 *   --words TEXT     percent-encoded
 *
 * prints one line of JSON: requests, seconds, requests a second, milliseconds at the middle, at 99
 * of 100 and at the slowest, how many were answered with other than 200, and the statuses of those.
 *
 * Everything of a peer follows from its number, so that every run knows what every other has sent:
 * ten files, four that only it has, six that two others have, too. The first has "fotografia" in
 * its name, that of one peer in a thousand "zarzuela" too, that of peer 77 "unicornio". Latencies
 * with --rate are counted from when the request was due.
 */
#include "common/content_id.h"
#include "common/index_sum.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES_A_PEER  10
#define OWN_FILES     4
#define PEERS_A_FILE  3
#define REQUEST_BYTES 16384
#define REPLY_BYTES \
    4096 /* of a reply that are looked at: its head, and the beginning of its body */
#define TOKEN_DIGITS 32
/* A line of --sessions: the token, a space, the sum of the list, a newline. */
#define SESSION_BYTES (TOKEN_DIGITS + 1 + INDEX_SUM_DIGITS + 1)
#define EVENTS        256
#define SILENCE_S     60
#define IDLE_S        10 /* less than the directory allows */
#define NAME_BYTES    160

/* Latencies by logarithm, 16 steps to a doubling: within 5 %. Microseconds. */
#define STEPS   16
#define BUCKETS (40 * STEPS)

enum kind { LOGIN, HEARTBEAT, SEARCH, WORDS, CHANGE, KIND_COUNT };
static const char *const kind_names[KIND_COUNT] = {"login", "heartbeat", "search", "words",
                                                   "change"};

static struct {
    enum kind kind;
    struct sockaddr_in address;
    uint64_t peers, first;
    unsigned connections, threads;
    double seconds, rate;
    const char *users, *sessions, *words;
} options = {.connections = 32, .threads = 1};

static const char *users_text;
static size_t users_line;
static char *sessions; /* of all peers that there are */
static struct index_sum
    *change_sums; /* CHANGE: what the directory has, by peer from options.first */
static uint32_t *change_versions;
static _Atomic uint64_t turns; /* taken so far, by all threads */
static double start_time;

struct connection {
    int fd;
    bool busy;
    uint64_t peer;
    double begun, answered;    /* its last request; 0: none yet */
    struct index_sum next_sum; /* CHANGE: once it is answered */
    char request[REQUEST_BYTES];
    size_t request_bytes, sent;
    char reply[REPLY_BYTES + 1];
    size_t reply_bytes; /* kept */
    size_t body_left;
    bool in_body;
    int status;
};

struct worker {
    pthread_t thread;
    unsigned connection_count;
    struct connection *connections;
    int epoll;
    uint64_t random;
    uint64_t answered, failed;
    uint64_t statuses[600];
    uint64_t histogram[BUCKETS];
    double slowest, last;
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- what peers have ---- */

/* SplitMix64 (Steele, Lea, Flood 2014): the same number for the same seed. */
static uint64_t mix(uint64_t seed)
{
    seed += 0x9e3779b97f4a7c15;
    seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;
    seed = (seed ^ seed >> 27) * 0x94d049bb133111eb;
    return seed ^ seed >> 31;
}

static const char *word(uint64_t seed)
{
    static const char *const words[] = {
        "informe",  "verano",   "manual", "version",  "concierto", "receta",  "viaje",    "familia",
        "proyecto", "tema",     "musica", "apuntes",  "clase",     "libro",   "novela",   "copia",
        "final",    "mapa",     "cuento", "lista",    "trabajo",   "factura", "contrato", "curso",
        "idioma",   "pelicula", "serie",  "capitulo", "disco",     "cancion", "boda",     "playa"};

    return words[seed % (sizeof words / sizeof *words)];
}

static const char *ending(uint64_t seed)
{
    static const char *const endings[] = {"mp3", "pdf", "jpg", "mkv", "txt", "zip", "epub", "odt"};

    return endings[seed % (sizeof endings / sizeof *endings)];
}

/* Which content file `number` of a peer is: equal for all that have it. */
static uint64_t seed_of(uint64_t peer, unsigned number)
{
    if (number < OWN_FILES)
        return mix(peer * FILES_A_PEER + number);
    /* Block b of peers shares its files; spread so that no two neighbours have all alike. */
    uint64_t shelf = (peer / PEERS_A_FILE) * (FILES_A_PEER - OWN_FILES) + (number - OWN_FILES);
    return mix(~shelf);
}

static void format_name(uint64_t peer, unsigned number, char name[NAME_BYTES])
{
    uint64_t seed = seed_of(peer, number);
    const char *first = word(seed >> 8);
    const char *second = word(seed >> 16);

    if (number == 0)
        snprintf(name, NAME_BYTES, "fotografia%s%s %s %08" PRIx64 ".%s",
                 peer % 1000 == 0 ? " zarzuela" : "", peer == 77 ? " unicornio" : "", first, peer,
                 ending(seed));
    else
        snprintf(name, NAME_BYTES, "%s %s %s %012" PRIx64 ".%s", first, second, word(seed >> 24),
                 seed >> 16, ending(seed));
}

static void make_content(uint64_t seed, struct content_id *id)
{
    for (size_t i = 0; i < sizeof id->bytes; i += 8) {
        uint64_t part = mix(seed + i);
        memcpy(id->bytes + i, &part, 8);
    }
}

static int64_t size_of(uint64_t seed)
{
    return (int64_t)(mix(seed) % 100000000);
}

static void format_url(uint64_t peer, char url[32])
{
    snprintf(url, 32, "10.%u.%u.%u:8001", (unsigned)(peer >> 16 & 255), (unsigned)(peer >> 8 & 255),
             (unsigned)(peer & 255));
}

static void add_usual(struct index_sum *sum, uint64_t peer)
{
    char url[32];

    format_url(peer, url);
    index_sum_add_usual(sum, &(struct index_sum_urls){.text = url, .length = strlen(url) + 1});
}

static void sum_of(uint64_t peer, struct index_sum *sum)
{
    *sum = (struct index_sum){{0}};
    for (unsigned i = 0; i < FILES_A_PEER; i++) {
        uint64_t seed = seed_of(peer, i);
        char name[NAME_BYTES];
        struct content_id id;
        format_name(peer, i, name);
        make_content(seed, &id);
        index_sum_add(
            sum, &(struct index_sum_file){.name = name, .size_bytes = size_of(seed), .id = &id});
    }
    add_usual(sum, peer);
}

/* ---- requests ---- */

struct text {
    char *at;
    size_t room;
};

static void append(struct text *out, const char *text)
{
    size_t length = strlen(text);

    if (length >= out->room)
        errx(1, "a request is too long");
    memcpy(out->at, text, length + 1);
    out->at += length;
    out->room -= length;
}

/* Percent-encoded. */
static void append_encoded(struct text *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.';
        char triple[] = {'%', digits[byte >> 4], digits[byte & 15], '\0'};
        char one[] = {*text, '\0'};
        append(out, plain ? one : triple);
    }
}

/* url NULL: the peer's usual one. */
static void append_entry(struct text *out, const char *name, int64_t size,
                         const struct content_id *id, const char *url)
{
    char digits[CONTENT_ID_DIGITS + 1];
    char urls[64] = "";
    char entry[NAME_BYTES + 256];

    if (url)
        snprintf(urls, sizeof urls, "\"url\":[\"%s\"],", url);
    snprintf(entry, sizeof entry, "{\"filename\":\"%s\",%s\"size\":%" PRId64 ",\"content\":\"%s\"}",
             name, urls, size, content_id_format(id, digits));
    append_encoded(out, entry);
}

static void append_list(struct text *out, uint64_t peer)
{
    char url[32];

    format_url(peer, url);
    append(out, "&files_index=");
    append_encoded(out, "[");
    for (unsigned i = 0; i < FILES_A_PEER; i++) {
        uint64_t seed = seed_of(peer, i);
        char name[NAME_BYTES];
        struct content_id id;
        format_name(peer, i, name);
        make_content(seed, &id);
        if (i > 0)
            append_encoded(out, ",");
        append_entry(out, name, size_of(seed), &id, url);
    }
    append_encoded(out, "]");
}

static char *session_of(uint64_t peer)
{
    return sessions + peer * SESSION_BYTES;
}

static void append_sum(struct text *out, const char *field, const struct index_sum *sum)
{
    char digits[INDEX_SUM_DIGITS + 1];

    append(out, field);
    append(out, index_sum_format(sum, digits));
}

static void append_login(struct text *out, uint64_t peer)
{
    const char *line = users_text + peer * users_line;
    size_t length = strcspn(line, ":\n");
    char credentials[256];
    char digits[INDEX_SUM_DIGITS + 1];
    struct index_sum sum;

    snprintf(credentials, sizeof credentials, "username=%.*s&password=%.*s", (int)length, line,
             (int)(users_line - length - 2), line + length + 1);
    append(out, credentials);
    append_list(out, peer);
    sum_of(peer, &sum);
    append_sum(out, "&index_etag=", &sum);
    index_sum_format(&sum, digits);
    memcpy(session_of(peer) + TOKEN_DIGITS + 1, digits, INDEX_SUM_DIGITS);
}

static void append_username(struct text *out, uint64_t peer)
{
    char name[32];

    snprintf(name, sizeof name, "username=p%08" PRIu64, peer);
    append(out, name);
}

static void append_heartbeat(struct text *out, uint64_t peer)
{
    char field[128];

    append_username(out, peer);
    snprintf(field, sizeof field, "&index_etag=%.*s", INDEX_SUM_DIGITS,
             session_of(peer) + TOKEN_DIGITS + 1);
    append(out, field);
}

static void name_added(uint64_t peer, uint32_t version, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "nuevo %s %08" PRIx64 " %u.txt", word(peer), peer, version);
}

/* The file of the version before goes, that of the next comes. */
static void append_change(struct text *out, struct connection *connection)
{
    uint64_t place = connection->peer - options.first;
    uint32_t version = change_versions[place];
    struct index_sum *sum = &connection->next_sum;
    struct content_id id;
    char old[NAME_BYTES];
    char fresh[NAME_BYTES];

    *sum = change_sums[place];
    append_username(out, connection->peer);
    append_sum(out, "&index_base=", sum);
    if (version > 0) {
        name_added(connection->peer, version, old);
        make_content(version, &id);
        index_sum_subtract(sum,
                           &(struct index_sum_file){.name = old, .size_bytes = version, .id = &id});
        append(out, "&files_removed=");
        append_encoded(out, "[\"");
        append_encoded(out, old);
        append_encoded(out, "\"]");
    }
    name_added(connection->peer, version + 1, fresh);
    make_content(version + 1, &id);
    index_sum_add(sum,
                  &(struct index_sum_file){.name = fresh, .size_bytes = version + 1, .id = &id});
    append(out, "&files_added=");
    append_encoded(out, "[");
    append_entry(out, fresh, version + 1, &id, NULL);
    append_encoded(out, "]");
    append_sum(out, "&index_etag=", sum);
}

static void make_post(struct connection *connection, const char *body)
{
    char header[128] = "";

    if (options.kind != LOGIN)
        snprintf(header, sizeof header, "Authorization: Bearer %.*s\r\n", TOKEN_DIGITS,
                 session_of(connection->peer));
    int length = snprintf(connection->request, sizeof connection->request,
                          "POST /login HTTP/1.1\r\nHost: directory\r\n%s"
                          "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
                          "%zu\r\n\r\n%s",
                          header, strlen(body), body);
    if (length < 0 || (size_t)length >= sizeof connection->request)
        errx(1, "a request is too long");
    connection->request_bytes = (size_t)length;
}

static void make_get(struct connection *connection, const char *target)
{
    int length = snprintf(connection->request, sizeof connection->request,
                          "GET %s HTTP/1.1\r\nHost: directory\r\n\r\n", target);

    connection->request_bytes = (size_t)length;
}

static void make_search(struct worker *worker, struct connection *connection)
{
    char target[1024] = "/buscar_archivos?filename=";
    size_t length = strlen(target);
    struct text out = {.at = target + length, .room = sizeof target - length};
    char name[NAME_BYTES];

    worker->random = mix(worker->random);
    format_name(connection->peer, (unsigned)(worker->random % FILES_A_PEER), name);
    append_encoded(&out, name);
    make_get(connection, target);
}

static void make_request(struct worker *worker, struct connection *connection)
{
    char body[REQUEST_BYTES - 512];
    struct text out = {.at = body, .room = sizeof body};
    char target[1024];

    switch (options.kind) {
    case LOGIN:
        append_login(&out, connection->peer);
        make_post(connection, body);
        break;
    case HEARTBEAT:
        append_heartbeat(&out, connection->peer);
        make_post(connection, body);
        break;
    case CHANGE:
        append_change(&out, connection);
        make_post(connection, body);
        break;
    case SEARCH:
        make_search(worker, connection);
        break;
    case WORDS:
        snprintf(target, sizeof target, "/buscar?q=%s", options.words);
        make_get(connection, target);
        break;
    case KIND_COUNT:
        break;
    }
}

static void open_connection(struct worker *worker, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&options.address, sizeof options.address) < 0)
        err(1, "cannot connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        err(1, "epoll_ctl");
}

/* ---- replies ---- */

static size_t bucket_of(double seconds)
{
    double micros = seconds * 1e6;
    size_t bucket = 0;

    for (; micros >= 2 && bucket < BUCKETS - STEPS; micros /= 2)
        bucket += STEPS;
    return micros < 1 ? bucket : bucket + (size_t)((micros - 1) * STEPS);
}

static double micros_of(size_t bucket)
{
    double micros = 1 + (double)(bucket % STEPS + 1) / STEPS;

    for (; bucket >= STEPS; bucket -= STEPS)
        micros *= 2;
    return micros;
}

static void keep_token(const struct connection *connection)
{
    const char *token = strstr(connection->reply, "\"token\":\"");
    char *session = session_of(connection->peer);

    if (!token || strlen(token) < strlen("\"token\":\"") + TOKEN_DIGITS)
        errx(1, "no token in %s", connection->reply);
    memcpy(session, token + strlen("\"token\":\""), TOKEN_DIGITS);
    session[TOKEN_DIGITS] = ' ';
    session[SESSION_BYTES - 1] = '\n';
}

static bool is_fine(const struct connection *connection)
{
    return connection->status == 200 && !strstr(connection->reply, "\"index_needed\":true");
}

static void note_reply(struct worker *worker, struct connection *connection)
{
    uint64_t place = connection->peer - options.first;
    double seconds;

    worker->last = now();
    seconds = worker->last - connection->begun;
    worker->histogram[bucket_of(seconds)]++;
    worker->answered++;
    if (seconds > worker->slowest)
        worker->slowest = seconds;
    connection->busy = false;
    connection->answered = worker->last;
    if (!is_fine(connection)) {
        worker->failed++;
        worker->statuses[connection->status]++;
        return;
    }
    if (options.kind == LOGIN)
        keep_token(connection);
    if (options.kind == CHANGE) {
        change_sums[place] = connection->next_sum;
        change_versions[place]++;
    }
}

/* The head is whole: how long the body is. */
static void read_head(struct connection *connection, const char *end)
{
    const char *length = strcasestr(connection->reply, "\r\nContent-Length:");
    size_t there = connection->reply_bytes - (size_t)(end + 4 - connection->reply);
    size_t body;

    if (!length || length > end || strncmp(connection->reply, "HTTP/1.1 ", 9) != 0)
        errx(1, "what answers is strange: %.200s", connection->reply);
    connection->status = atoi(connection->reply + 9);
    if (connection->status < 100 || connection->status >= 600)
        errx(1, "status %d", connection->status);
    body = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
    if (there > body)
        errx(1, "more came than was asked for");
    connection->in_body = true;
    connection->body_left = body - there;
}

static void send_rest(struct worker *worker, struct connection *connection);

/* A directory closes who idles for 15 seconds. Where a request crosses that on its way nobody has
 * read it, and it is sent anew, as by every client that keeps connections. */
static bool was_idle(const struct connection *connection)
{
    return !connection->busy || (connection->reply_bytes == 0 && connection->answered > 0 &&
                                 connection->begun - connection->answered > IDLE_S);
}

static void begin_anew(struct worker *worker, struct connection *connection)
{
    close(connection->fd);
    open_connection(worker, connection);
    connection->sent = 0;
    if (connection->busy)
        send_rest(worker, connection);
}

/* Returns whether the connection may have more. */
static bool read_some(struct worker *worker, struct connection *connection)
{
    static _Thread_local char rest[1 << 16];
    size_t room = REPLY_BYTES - connection->reply_bytes;
    char *to = room > 0 ? connection->reply + connection->reply_bytes : rest;
    ssize_t got = recv(connection->fd, to, room > 0 ? room : sizeof rest, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if ((got == 0 || (got < 0 && errno == ECONNRESET)) && was_idle(connection)) {
        begin_anew(worker, connection);
        return false;
    }
    if (got < 0)
        err(1, "a connection broke");
    if (got == 0)
        errx(1, "a connection was closed without an answer");
    if (room > 0)
        connection->reply_bytes += (size_t)got;
    connection->reply[connection->reply_bytes] = '\0';
    if (connection->in_body) {
        connection->body_left -= (size_t)got;
    } else {
        const char *end = strstr(connection->reply, "\r\n\r\n");
        if (!end && room == (size_t)got)
            errx(1, "a head without an end");
        if (end)
            read_head(connection, end);
    }
    if (connection->in_body && connection->body_left == 0) {
        note_reply(worker, connection);
        return false;
    }
    return true;
}

/* ---- the loop ---- */

static void send_rest(struct worker *worker, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

    while (connection->sent < connection->request_bytes) {
        ssize_t sent = send(connection->fd, connection->request + connection->sent,
                            connection->request_bytes - connection->sent, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || was_idle(connection)))
            break; /* that it was closed is read then */
        if (sent < 0)
            err(1, "a request could not be sent");
        connection->sent += (size_t)sent;
    }
    if (connection->sent < connection->request_bytes)
        event.events |= EPOLLOUT;
    else if (connection->request_bytes < 4096)
        return; /* it is all out at once, and was never waited for */
    epoll_ctl(worker->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

/* Whether it is time for the next; due: when it was to begin. */
static bool take_turn(uint64_t *number, double *due)
{
    double time = now();

    if (options.seconds > 0 && time - start_time >= options.seconds)
        return false;
    if (options.rate > 0 && (time - start_time) * options.rate < (double)turns)
        return false;
    *number = turns++;
    *due = options.rate > 0 ? start_time + (double)*number / options.rate : time;
    return options.seconds > 0 || *number < options.peers;
}

static bool is_over(void)
{
    return options.seconds > 0 ? now() - start_time >= options.seconds : turns >= options.peers;
}

static void begin(struct worker *worker, struct connection *connection)
{
    uint64_t number;

    if (!take_turn(&number, &connection->begun))
        return;
    /* Anywhere, as requests come in life; all by turns where each is to come at its time. */
    if (options.kind == SEARCH || (options.kind == HEARTBEAT && options.rate == 0)) {
        worker->random = mix(worker->random);
        number = worker->random;
    }
    connection->peer = options.first + number % options.peers;
    connection->busy = true;
    connection->in_body = false;
    connection->status = 0;
    connection->reply_bytes = connection->sent = 0;
    make_request(worker, connection);
    send_rest(worker, connection);
}

static bool begin_all(struct worker *worker)
{
    bool busy = false;

    for (unsigned i = 0; i < worker->connection_count; i++) {
        struct connection *connection = &worker->connections[i];
        if (!connection->busy)
            begin(worker, connection);
        busy |= connection->busy;
    }
    return busy;
}

static void *run(void *context)
{
    struct worker *worker = context;
    struct epoll_event events[EVENTS];
    double heard = now();

    while (begin_all(worker) || !is_over()) {
        int count = epoll_wait(worker->epoll, events, EVENTS, options.rate > 0 ? 1 : 1000);
        if (count > 0)
            heard = now();
        else if (now() - heard > SILENCE_S)
            errx(1, "no answer for %d seconds", SILENCE_S);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_rest(worker, connection);
            if (!(events[i].events & ~(unsigned)EPOLLOUT))
                continue;
            while (read_some(worker, connection))
                continue;
            if (!connection->busy && options.rate == 0)
                begin(worker, connection);
        }
    }
    return NULL;
}

/* ---- the whole ---- */

static void *map_file(const char *path, size_t length, bool writable)
{
    int file = open(path, writable ? O_RDWR | O_CREAT : O_RDONLY, 0600);
    struct stat status;

    if (file < 0 || fstat(file, &status) < 0)
        err(1, "%s", path);
    if (writable && (size_t)status.st_size < length && ftruncate(file, (off_t)length) < 0)
        err(1, "%s", path);
    if (!writable && (size_t)status.st_size < length)
        errx(1, "%s is too short", path);
    void *map =
        mmap(NULL, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
    if (map == MAP_FAILED)
        err(1, "%s", path);
    close(file);
    return map;
}

static size_t first_line_bytes(const char *path)
{
    char line[512];
    FILE *file = fopen(path, "re");

    if (!file || !fgets(line, sizeof line, file))
        err(1, "%s", path);
    fclose(file);
    return strlen(line);
}

static void open_files(void)
{
    uint64_t end = options.first + options.peers;

    if (options.kind == LOGIN) {
        if (!options.users)
            errx(1, "--users is missing");
        users_line = first_line_bytes(options.users);
        users_text = map_file(options.users, end * users_line, false);
    }
    if (options.kind == LOGIN || options.kind == HEARTBEAT || options.kind == CHANGE) {
        if (!options.sessions)
            errx(1, "--sessions is missing");
        sessions = map_file(options.sessions, end * SESSION_BYTES, options.kind == LOGIN);
    }
    if (options.kind == CHANGE) {
        change_sums = calloc(options.peers, sizeof *change_sums);
        change_versions = calloc(options.peers, sizeof *change_versions);
        if (!change_sums || !change_versions)
            err(1, "no memory");
        for (uint64_t i = 0; i < options.peers; i++)
            sum_of(options.first + i, &change_sums[i]);
    }
    if (options.kind == WORDS && !options.words)
        errx(1, "--words is missing");
}

static double percentile(const uint64_t histogram[BUCKETS], uint64_t total, double part)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if ((double)seen >= (double)total * part)
            return micros_of(i) / 1000;
    }
    return 0;
}

static void print(const struct worker *workers)
{
    static uint64_t histogram[BUCKETS];
    static uint64_t statuses[600];
    uint64_t answered = 0;
    uint64_t failed = 0;
    double slowest = 0;
    double last = start_time;
    const char *comma = "";

    for (unsigned w = 0; w < options.threads; w++) {
        const struct worker *worker = &workers[w];
        answered += worker->answered;
        failed += worker->failed;
        slowest = worker->slowest > slowest ? worker->slowest : slowest;
        last = worker->last > last ? worker->last : last;
        for (size_t i = 0; i < BUCKETS; i++)
            histogram[i] += worker->histogram[i];
        for (size_t i = 0; i < 600; i++)
            statuses[i] += worker->statuses[i];
    }
    printf("{\"requests\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.1f,\"p50_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"failed\":%" PRIu64 ",\"statuses\":{",
           answered, last - start_time, (double)answered / (last - start_time),
           percentile(histogram, answered, 0.5), percentile(histogram, answered, 0.99),
           slowest * 1000, failed);
    for (size_t i = 0; i < 600; i++)
        if (statuses[i] > 0) {
            printf("%s\"%zu\":%" PRIu64, comma, i, statuses[i]);
            comma = ",";
        }
    puts("}}");
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*end || !*text)
        errx(1, "'%s' is no number", text);
    return value;
}

static void take_option(const char *name, const char *value)
{
    if (strcmp(name, "--connections") == 0)
        options.connections = (unsigned)number(value);
    else if (strcmp(name, "--threads") == 0)
        options.threads = (unsigned)number(value);
    else if (strcmp(name, "--seconds") == 0)
        options.seconds = (double)number(value);
    else if (strcmp(name, "--rate") == 0)
        options.rate = (double)number(value);
    else if (strcmp(name, "--first") == 0)
        options.first = number(value);
    else if (strcmp(name, "--users") == 0)
        options.users = value;
    else if (strcmp(name, "--sessions") == 0)
        options.sessions = value;
    else if (strcmp(name, "--words") == 0)
        options.words = value;
    else
        errx(1, "unknown option %s", name);
}

static void take_arguments(int argc, char **argv)
{
    char host[64];
    unsigned port;

    if (argc < 4 || argc % 2 != 0)
        errx(1, "usage: load WHAT ADDRESS:PORT PEERS [OPTION VALUE]...");
    while (options.kind < KIND_COUNT && strcmp(argv[1], kind_names[options.kind]) != 0)
        options.kind++;
    if (options.kind == KIND_COUNT)
        errx(1, "unknown: %s", argv[1]);
    if (sscanf(argv[2], "%63[^:]:%u", host, &port) != 2 ||
        inet_pton(AF_INET, host, &options.address.sin_addr) != 1)
        errx(1, "'%s' is no address", argv[2]);
    options.address.sin_family = AF_INET;
    options.address.sin_port = htons((uint16_t)port);
    options.peers = number(argv[3]);
    for (int i = 4; i < argc; i += 2)
        take_option(argv[i], argv[i + 1]);
    if (options.peers == 0 || options.threads == 0 || options.connections < options.threads)
        errx(1, "at least one peer, one thread, and a connection for each thread");
    /* Two changes of one peer at a time would have one base. */
    if (options.kind == CHANGE && options.peers < 4 * (uint64_t)options.connections)
        errx(1, "change needs four peers a connection");
}

int main(int argc, char **argv)
{
    take_arguments(argc, argv);
    open_files();
    struct worker *workers = calloc(options.threads, sizeof *workers);
    if (!workers)
        err(1, "no memory");
    for (unsigned i = 0; i < options.threads; i++) {
        struct worker *worker = &workers[i];
        worker->connection_count = options.connections / options.threads;
        worker->connections = calloc(worker->connection_count, sizeof *worker->connections);
        worker->epoll = epoll_create1(EPOLL_CLOEXEC);
        worker->random = mix(i + 1);
        if (!worker->connections || worker->epoll < 0)
            err(1, "cannot start");
        for (unsigned c = 0; c < worker->connection_count; c++)
            open_connection(worker, &worker->connections[c]);
    }
    start_time = now();
    for (unsigned i = 0; i < options.threads; i++)
        if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0)
            errx(1, "cannot start a thread");
    for (unsigned i = 0; i < options.threads; i++)
        pthread_join(workers[i].thread, NULL);
    print(workers);
    return 0;
}
