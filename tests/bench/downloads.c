/*
 * Downloads one file from a peer many times at once, and compares every byte with the original.
 *
 *   downloads ADDRESS PORT NAME ORIGINAL COUNT PROCESSES
 *
 * prints: seconds from the start to the last one's end, to the first one's end, processor seconds
 * of all processes of this program together. Status 1 and a reason when any download was not exact.
 *
 * Each download has a connection of its own from an address of its own (127.0.1.1 and following).
 * It speaks just enough of HTTP/2 and gRPC, over plain sockets and with all windows open, to cost
 * next to nothing beside what it measures. All connections are there before the clock starts.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_HEADER_BYTES 9
#define GRPC_PREFIX_BYTES  5
#define RECEIVE_BYTES      (256 * 1024)
#define WINDOW_BYTES       0x7fffffff
#define FRAME_MAX_BYTES    (1 << 20)
#define NAME_MAX_BYTES     100 /* all lengths in the request fit into one byte */
#define SILENCE_MS         60000

enum frame_type {
    DATA = 0,
    HEADERS = 1,
    RESET = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW = 8
};
enum frame_flag { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

/* Where the parser is in the stream of messages that the DATA frames carry. */
enum place { IN_PREFIX, AT_TAG, IN_LENGTH, IN_NUMBER, IN_DATA };

struct download {
    int fd;
    bool done;
    uint8_t header[FRAME_HEADER_BYTES];
    size_t header_bytes; /* so many are there */
    size_t frame_left;   /* of the payload, once the header is whole */
    uint8_t ping[8];
    size_t ping_bytes;
    enum place place;
    uint8_t prefix[GRPC_PREFIX_BYTES];
    size_t prefix_bytes;
    size_t message_left;
    size_t field_left; /* of IN_LENGTH: what has been read of the number */
    unsigned shift;
    size_t got; /* bytes of the file, all as in the original */
};

static const uint8_t *original;
static size_t original_bytes;
static const char *peer_text; /* ADDRESS:PORT */
static double *end_times;     /* shared by all processes, one a download */

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void put_frame(uint8_t *out, size_t length, enum frame_type type, int flags, uint32_t stream)
{
    uint32_t id = htonl(stream);

    out[0] = length >> 16;
    out[1] = length >> 8;
    out[2] = length;
    out[3] = type;
    out[4] = flags;
    memcpy(out + 5, &id, sizeof id);
}

static void put_setting(uint8_t *out, uint16_t key, uint32_t value)
{
    key = htons(key);
    value = htonl(value);
    memcpy(out, &key, sizeof key);
    memcpy(out + sizeof key, &value, sizeof value);
}

static void send_all(struct download *download, const void *data, size_t length)
{
    if (send(download->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        err(1, "a request or an answer could not be sent");
}

static void send_greeting(struct download *download)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint8_t frames[FRAME_HEADER_BYTES + 2 * 6 + FRAME_HEADER_BYTES + 4];
    uint8_t *at = frames + FRAME_HEADER_BYTES;
    uint32_t more = htonl(WINDOW_BYTES - 65535);

    put_frame(frames, 12, SETTINGS, 0, 0);
    put_setting(at, 4, WINDOW_BYTES); /* SETTINGS_INITIAL_WINDOW_SIZE */
    put_setting(at + 6, 5, FRAME_MAX_BYTES);
    at += 12;
    put_frame(at, 4, WINDOW, 0, 0);
    memcpy(at + FRAME_HEADER_BYTES, &more, sizeof more);
    send_all(download, preface, sizeof preface - 1);
    send_all(download, frames, sizeof frames);
}

/* One header of RFC 7541, not indexed. A name of "" is the one with that number in the static
 * table; numbers over 14 take a second byte. */
static size_t put_header(uint8_t *out, uint8_t number, const char *name, const char *value)
{
    size_t at = 0;

    if (number > 14) {
        out[at++] = 0x0f;
        number -= 15;
    }
    out[at++] = number;
    if (*name) {
        out[at++] = strlen(name);
        memcpy(out + at, name, strlen(name));
        at += strlen(name);
    }
    out[at++] = strlen(value);
    memcpy(out + at, value, strlen(value));
    return at + strlen(value);
}

static void send_request(struct download *download, const char *name)
{
    uint8_t request[1024];
    uint8_t *headers = request + FRAME_HEADER_BYTES;
    size_t length = 0, name_bytes = strlen(name);
    uint8_t *body;

    headers[length++] = 0x83; /* :method POST */
    headers[length++] = 0x86; /* :scheme http */
    length += put_header(headers + length, 4, "", "/peer.PeerService/DownloadFile");
    length += put_header(headers + length, 1, "", peer_text);
    length += put_header(headers + length, 31, "", "application/grpc");
    length += put_header(headers + length, 0, "te", "trailers");
    put_frame(request, length, HEADERS, END_HEADERS, 1);
    body = headers + length + FRAME_HEADER_BYTES;
    put_frame(headers + length, GRPC_PREFIX_BYTES + 2 + name_bytes, DATA, END_STREAM, 1);
    memcpy(body, (uint8_t[]){0, 0, 0, 0, name_bytes + 2, 0x0a, name_bytes}, 7);
    memcpy(body + 7, name, name_bytes);
    send_all(download, request, body + 7 + name_bytes - request);
}

/* What follows a tag: a number, or bytes with their length. Chunk has the data in its first field.
 */
static void take_tag(struct download *download, uint8_t tag)
{
    download->field_left = 0;
    download->shift = 0;
    if (tag == 0x0a)
        download->place = IN_LENGTH;
    else if ((tag & 7) == 0)
        download->place = IN_NUMBER;
    else
        errx(1, "a message has a field that Chunk has not: 0x%02x", tag);
}

static void take_byte(struct download *download, uint8_t byte)
{
    if (download->place == IN_PREFIX) {
        uint32_t length;

        download->prefix[download->prefix_bytes++] = byte;
        if (download->prefix_bytes < GRPC_PREFIX_BYTES)
            return;
        memcpy(&length, download->prefix + 1, sizeof length);
        download->prefix_bytes = 0;
        download->message_left = ntohl(length);
        download->place = download->message_left ? AT_TAG : IN_PREFIX;
        return;
    }
    download->message_left--;
    if (download->place == AT_TAG) {
        take_tag(download, byte);
        return;
    }
    download->field_left |= (size_t)(byte & 0x7f) << download->shift;
    download->shift += 7;
    if (!(byte & 0x80))
        download->place = download->place == IN_LENGTH && download->field_left ? IN_DATA : AT_TAG;
}

/* The payload of DATA frames, in whatever parts it comes. */
static void take_data(struct download *download, const uint8_t *data, size_t length)
{
    while (length) {
        size_t part = 1;

        if (download->place == IN_DATA) {
            part = length < download->field_left ? length : download->field_left;
            if (part > original_bytes - download->got ||
                memcmp(data, original + download->got, part) != 0)
                errx(1, "not the original's bytes after %zu", download->got);
            download->got += part;
            download->message_left -= part;
            download->field_left -= part;
            if (!download->field_left)
                download->place = AT_TAG;
        } else {
            take_byte(download, *data);
        }
        if (download->place == AT_TAG && !download->message_left)
            download->place = IN_PREFIX;
        data += part;
        length -= part;
    }
}

static void end_frame(struct download *download)
{
    uint8_t answer[FRAME_HEADER_BYTES + 8];
    uint8_t type = download->header[3], flags = download->header[4];

    if (type == SETTINGS && !(flags & ACK)) {
        put_frame(answer, 0, SETTINGS, ACK, 0);
        send_all(download, answer, FRAME_HEADER_BYTES);
    } else if (type == PING && !(flags & ACK)) {
        put_frame(answer, 8, PING, ACK, 0);
        memcpy(answer + FRAME_HEADER_BYTES, download->ping, 8);
        send_all(download, answer, sizeof answer);
    } else if (type == RESET || type == GOAWAY) {
        errx(1, "broken off after %zu of %zu bytes", download->got, original_bytes);
    } else if (type == HEADERS && flags & END_STREAM) {
        if (download->got != original_bytes)
            errx(1, "the stream ended after %zu of %zu bytes", download->got, original_bytes);
        download->done = true;
    }
    download->header_bytes = download->ping_bytes = 0;
}

static void take_payload(struct download *download, const uint8_t *data, size_t length)
{
    uint8_t type = download->header[3];

    if (type == DATA)
        take_data(download, data, length);
    if (type == PING && download->ping_bytes + length <= sizeof download->ping) {
        memcpy(download->ping + download->ping_bytes, data, length);
        download->ping_bytes += length;
    }
    download->frame_left -= length;
}

static void take_received(struct download *download, const uint8_t *data, size_t length)
{
    while (length) {
        size_t part = length;

        if (download->header_bytes < FRAME_HEADER_BYTES) {
            const uint8_t *header = download->header;

            if (part > FRAME_HEADER_BYTES - download->header_bytes)
                part = FRAME_HEADER_BYTES - download->header_bytes;
            memcpy(download->header + download->header_bytes, data, part);
            download->header_bytes += part;
            download->frame_left = header[0] << 16 | header[1] << 8 | header[2];
        } else {
            part = part < download->frame_left ? part : download->frame_left;
            take_payload(download, data, part);
        }
        if (download->header_bytes == FRAME_HEADER_BYTES && !download->frame_left)
            end_frame(download);
        data += part;
        length -= part;
    }
}

static void open_connection(struct download *download, const char *address, int port, int number)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + number)};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        errx(2, "%s is no address", address);
    download->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (download->fd < 0 || bind(download->fd, (struct sockaddr *)&own, sizeof own) < 0 ||
        connect(download->fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        err(1, "%s", peer_text);
    send_greeting(download);
}

static void receive(struct download *download, uint8_t *buffer)
{
    ssize_t length = recv(download->fd, buffer, RECEIVE_BYTES, MSG_DONTWAIT);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        err(1, "the connection ended after %zu of %zu bytes", download->got, original_bytes);
    take_received(download, buffer, length);
}

static void follow(struct download *downloads, int count, int first)
{
    static uint8_t buffer[RECEIVE_BYTES];
    struct epoll_event events[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int left = count;

    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, downloads[i].fd, &event) < 0)
            err(1, "epoll");
    }
    while (left > 0) {
        int ready = epoll_wait(epoll, events, 64, SILENCE_MS);

        if (ready <= 0)
            errx(1, "%d downloads heard nothing for %d s", left, SILENCE_MS / 1000);
        for (int i = 0; i < ready; i++) {
            struct download *download = &downloads[events[i].data.u32];

            receive(download, buffer);
            if (download->done) {
                end_times[first + events[i].data.u32] = now();
                epoll_ctl(epoll, EPOLL_CTL_DEL, download->fd, NULL);
                left--;
            }
        }
    }
}

/* One process: opens its connections, says so, waits until all have, downloads. */
static void work(char **argv, int first, int count, int said, int go)
{
    struct download *downloads = calloc(count, sizeof *downloads);
    char byte = 0;

    if (!downloads)
        err(1, "memory");
    for (int i = 0; i < count; i++)
        open_connection(&downloads[i], argv[1], atoi(argv[2]), first + i);
    if (write(said, &byte, 1) != 1 || read(go, &byte, 1) != 0)
        err(1, "start");
    for (int i = 0; i < count; i++)
        send_request(&downloads[i], argv[3]);
    follow(downloads, count, first);
    exit(0);
}

static void open_original(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0)
        err(1, "%s", path);
    original_bytes = status.st_size;
    original = mmap(NULL, original_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (original == MAP_FAILED)
        err(1, "%s", path);
}

/* Returns when the downloads began: when all processes have their connections. */
static double start_all(char **argv, int count, int processes)
{
    int said[2], go[2];
    double start;

    if (pipe(said) < 0 || pipe(go) < 0)
        err(1, "pipe");
    for (int i = 0; i < processes; i++) {
        int first = count * i / processes;
        pid_t child = fork();

        if (child < 0)
            err(1, "fork");
        if (child == 0) {
            close(go[1]);
            close(said[0]);
            work(argv, first, count * (i + 1) / processes - first, said[1], go[0]);
        }
    }
    close(said[1]);
    for (int i = 0; i < processes; i++)
        if (read(said[0], &(char){0}, 1) != 1)
            errx(1, "not all connections could be made");
    start = now();
    close(go[1]);
    return start;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    char text[64];
    double start, first = 1e300, last = 0;
    int count, processes, status;
    bool good = true;

    if (argc != 7 || strlen(argv[3]) > NAME_MAX_BYTES)
        errx(2, "usage: downloads ADDRESS PORT NAME ORIGINAL COUNT PROCESSES");
    snprintf(text, sizeof text, "%s:%s", argv[1], argv[2]);
    peer_text = text;
    count = atoi(argv[5]);
    processes = atoi(argv[6]);
    open_original(argv[4]);
    end_times = mmap(NULL, count * sizeof *end_times, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (end_times == MAP_FAILED)
        err(1, "memory");
    start = start_all(argv, count, processes);
    while (wait(&status) > 0)
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    for (int i = 0; i < count; i++) {
        first = end_times[i] < first ? end_times[i] : first;
        last = end_times[i] > last ? end_times[i] : last;
    }
    getrusage(RUSAGE_CHILDREN, &usage);
    printf("%f %f %f\n", last - start, first - start,
           usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return good ? 0 : 1;
}
