#include "directory/listing.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"
#include "directory/piece.h"
#include "directory/replies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PEERS_AT_ONCE = 256, /* taken under one lock of the registry */
    ROWS_AT_ONCE = 128,  /* of the index in one read */
    READS_AT_ONCE = 64,  /* some 5 ms, when all rows are hidden: then other requests have a turn */
};

/* ---- cursors ---- */

const char *listing_format_cursor(const struct index_place *place, char out[LISTING_CURSOR_BYTES])
{
    snprintf(out, LISTING_CURSOR_BYTES, "%" PRId64 ".%" PRId64, place->peer_id, place->name_id);
    return out;
}

enum error_code listing_parse_cursor(const char *cursor, struct index_place *place,
                                     struct error *error)
{
    const char *dot = strchr(cursor, '.');
    char number[24] = "";
    long long peer_id;
    long long name_id;

    *place = (struct index_place){0};
    if (dot && (size_t)(dot - cursor) < sizeof number)
        memcpy(number, cursor, (size_t)(dot - cursor));
    if (!dot || !text_to_integer(number, 0, INT64_MAX, &peer_id) ||
        !text_to_integer(dot + 1, 0, INT64_MAX, &name_id))
        return error_set(error, ERROR_INVALID, TEXT_BAD_CURSOR);
    *place = (struct index_place){.peer_id = peer_id, .name_id = name_id};
    return ERROR_NONE;
}

/* ---- peers ---- */

/* A list of peers on its way. */
struct peers {
    struct registry *registry;
    struct piece piece;
    struct json_writer json;
    uint64_t last; /* sequence of the last one given */
    size_t left;   /* of the limit; SIZE_MAX: all */
    size_t given;  /* of this round */
    bool ended;
};

static void add_peer(void *context, const struct registry_peer *peer)
{
    struct peers *peers = context;

    reply_peers_add(&peers->json, peer->name);
    peers->last = peer->sequence;
    peers->given++;
}

static void note_peer(void *context, const struct registry_peer *peer)
{
    (void)peer;
    *(bool *)context = true;
}

/* Adds the next ones to out. */
static void read_peers(struct peers *peers)
{
    size_t wanted = peers->left < PEERS_AT_ONCE ? peers->left : (size_t)PEERS_AT_ONCE;
    int64_t now_ms = clock_boot_ms();
    bool more = false;
    char cursor[32];

    peers->given = 0;
    registry_list(peers->registry, peers->last, wanted, now_ms, add_peer, peers);
    peers->left -= peers->given;
    if (peers->given == wanted && peers->left > 0)
        return;
    if (peers->left == 0)
        registry_list(peers->registry, peers->last, 1, now_ms, note_peer, &more);
    snprintf(cursor, sizeof cursor, "%" PRIu64, peers->last);
    reply_peers_end(&peers->json, more ? cursor : NULL);
    peers->ended = true;
}

static long stream_peers(void *stream, char *out, size_t size)
{
    struct peers *peers = stream;

    if (piece_is_sent(&peers->piece) && !peers->ended) {
        piece_clear(&peers->piece);
        read_peers(peers);
    }
    return piece_take(&peers->piece, out, size);
}

static void free_peers(void *stream)
{
    struct peers *peers = stream;

    buffer_done(&peers->piece.out);
    free(peers);
}

enum error_code listing_peers(struct registry *registry, const struct listing_page *page,
                              struct http_reply *reply, struct error *error)
{
    long long after = 0;

    /* Differs: limit and cursor are ours. */
    if (page->cursor && !text_to_integer(page->cursor, 0, INT64_MAX, &after))
        return error_set(error, ERROR_INVALID, TEXT_BAD_CURSOR);
    struct peers *peers = memory_new(1, sizeof *peers);
    peers->registry = registry;
    peers->last = (uint64_t)after;
    peers->left = page->limit ? page->limit : SIZE_MAX;
    buffer_init(&peers->piece.out, REPLY_MAX_BYTES);
    json_writer_init(&peers->json, &peers->piece.out);
    reply_peers_begin(&peers->json);
    while (!peers->ended && peers->piece.out.length < PIECE_BYTES)
        read_peers(peers);
    if (peers->ended) {
        /* A short one is a reply like any other, with its length. */
        *reply = (struct http_reply){.status = 200, .body = peers->piece.out};
        free(peers);
        return ERROR_NONE;
    }
    *reply = (struct http_reply){
        .status = 200, .stream = stream_peers, .stream_context = peers, .stream_free = free_peers};
    return ERROR_NONE;
}

/* ---- files ---- */

/* A list of files on its way; the sending loop's. */
struct files {
    struct registry *registry;
    struct index_reader *reader;
    struct piece piece;
    struct json_writer json;
    struct index_place last;       /* given */
    size_t left;                   /* of the limit; SIZE_MAX: all */
    size_t rows;                   /* of this round */
    const struct index_file *file; /* the row that is being joined */
    bool partial, folders;         /* those are wanted, too */
    bool has_content;              /* only those of this one are */
    struct content_id content;
    bool limited, more, ended;
    bool is_full; /* this round has read enough, not all that it asked for */
};

static void join_file(void *context, const struct registry_peer *peer)
{
    struct files *files = context;

    const struct index_file *file = files->file;

    reply_files_add(&files->json, peer->name, file->name, file->urls ? file->urls : peer->urls,
                    &file->content);
}

static bool is_hidden(const struct files *files, const struct index_file *file)
{
    const struct file_content *content = &file->content;

    return (content->partial && !files->partial) ||
           (files->has_content &&
            (!content->id || !content_id_equal(content->id, &files->content))) ||
           (!files->folders && strchr(file->name, '/'));
}

static bool add_file(void *context, const struct index_file *file)
{
    struct files *files = context;
    bool hidden = is_hidden(files, file);

    files->is_full = files->piece.out.length >= PIECE_BYTES;
    if (files->is_full)
        return false;
    files->rows++;
    if (files->left == 0 && !hidden) {
        files->more = true;
        return false;
    }
    if (!hidden) {
        files->left--;
        files->file = file;
        registry_visit(files->registry, file->peer_id, 0, join_file, files);
    }
    files->last = (struct index_place){.peer_id = file->peer_id, .name_id = file->name_id};
    return true;
}

/* Reads the next rows into out. */
static enum error_code read_more(struct files *files, struct error *error)
{
    char cursor[LISTING_CURSOR_BYTES];
    struct index_place after = files->last;
    size_t wanted = files->left < ROWS_AT_ONCE ? files->left + 1 : (size_t)ROWS_AT_ONCE;

    piece_clear(&files->piece);
    files->rows = 0;
    files->is_full = false;
    enum error_code code = index_list(files->reader, &after, wanted, add_file, files, error);
    if (!code && !files->is_full && (files->rows < wanted || files->more)) {
        reply_files_end(&files->json, files->limited && files->more
                                          ? listing_format_cursor(&files->last, cursor)
                                          : NULL);
        files->ended = true;
    }
    if (!code && files->piece.out.failed)
        code = error_set(error, ERROR_TOO_LARGE, "a piece of the list is too long");
    return code;
}

static long stream_files(void *stream, char *out, size_t size)
{
    struct files *files = stream;
    struct error error;

    /* More than once when all of what was read is hidden: nothing would be the end. But not for
     * ever: a blank says as little, and may stand between any two things in JSON. */
    for (int reads = 0; piece_is_sent(&files->piece) && !files->ended; reads++) {
        if (reads == READS_AT_ONCE) {
            buffer_append_char(&files->piece.out, ' ');
            break;
        }
        if (read_more(files, &error) == ERROR_NONE)
            continue;
        log_line(LOG_ERROR, "directory", "cannot read the index: %s", error.text);
        return -1;
    }
    return piece_take(&files->piece, out, size);
}

static void free_files(void *stream)
{
    struct files *files = stream;

    buffer_done(&files->piece.out);
    free(files);
}

enum error_code listing_files(struct registry *registry, struct index_reader *reader,
                              const struct listing_page *page, struct http_reply *reply,
                              struct error *error)
{
    struct index_place start = {0};

    if (page->cursor && listing_parse_cursor(page->cursor, &start, error))
        return ERROR_INVALID;
    struct files *files = memory_new(1, sizeof *files);
    files->registry = registry;
    files->reader = reader;
    files->last = start;
    files->partial = page->partial;
    files->folders = page->folders;
    files->has_content = page->has_content;
    files->content = page->content;
    files->limited = page->limit > 0;
    files->left = page->limit ? page->limit : SIZE_MAX;
    buffer_init(&files->piece.out, REPLY_MAX_BYTES);
    json_writer_init(&files->json, &files->piece.out);
    reply_files_begin(&files->json);
    *reply = (struct http_reply){
        .status = 200, .stream = stream_files, .stream_context = files, .stream_free = free_files};
    return ERROR_NONE;
}
