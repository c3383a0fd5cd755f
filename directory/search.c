#include "directory/search.h"

#include "common/clock.h"
#include "common/file_name.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/text_hash.h"
#include "directory/piece.h"
#include "directory/query.h"
#include "directory/replies.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* A reply with a few sources; the C library keeps blocks of up to 1,032 bytes at hand. */
    USUAL_BYTES = 1000,
    /* Of peers that may be away, for a piece of a long reply: some 2 ms. */
    ROWS_AT_ONCE = 2000,
};

struct search {
    struct registry *registry;
    struct index_reader *reader;
    int64_t now_ms;
    struct json_writer json;
    struct query_field filename; /* of one name */
    bool partial;                /* those that hold only a part are wanted, too */
    bool folders;                /* a name may be a path */
    const char *client_host;
    bool is_bounded;                /* the reply has an end, and is no stream */
    int64_t sources_max, rows_left; /* where it is bounded; rows: of peers that are away, too */

    /* Of the name that is being looked for: */
    const char *name;
    const struct index_file *file; /* the row that is being joined */
    struct index_place last;
    int64_t end; /* the id of the last peer that is looked at */
    int64_t rows, found;
    bool begun, truncated;
    size_t piece_rows; /* since the last piece of the reply */
    bool is_full;      /* the reply goes on after this piece */
};

/* ---- one name ---- */

static void begin_name(struct search *search)
{
    if (!search->begun)
        reply_search_name(&search->json, search->name);
    search->begun = true;
}

static void join_peer(void *context, const struct registry_peer *peer)
{
    struct search *search = context;

    if (!peer->active)
        return;
    begin_name(search);
    search->found++;
    reply_search_add(&search->json, peer->name,
                     search->file->urls ? search->file->urls : peer->urls, &search->file->content);
}

static bool is_enough(const struct search *search)
{
    return search->is_bounded && (search->found == search->sources_max || search->rows_left == 0 ||
                                  search->json.out->length >= SEARCH_REPLY_BYTES);
}

/* Where nobody has been found yet it goes on: it would not be known what to begin with. */
static bool is_piece_full(const struct search *search)
{
    return !search->is_bounded && search->found > 0 &&
           (search->json.out->length >= PIECE_BYTES || search->piece_rows >= ROWS_AT_ONCE);
}

static bool add_row(void *context, const struct index_file *file)
{
    struct search *search = context;

    if (file->peer_id > search->end)
        return false;
    search->truncated = is_enough(search);
    search->is_full = !search->truncated && is_piece_full(search);
    if (search->truncated || search->is_full)
        return false;
    search->rows_left--;
    search->piece_rows++;
    search->last = (struct index_place){.peer_id = file->peer_id, .name_id = file->name_id};
    /* Who does not know of parts would take it for a whole file. */
    if (file->content.partial && !search->partial)
        return true;
    search->rows++;
    search->file = file;
    registry_visit(search->registry, file->peer_id, search->now_ms, join_peer, search);
    return !search->json.out->failed;
}

static enum error_code end_name(struct search *search, enum error_code code, struct error *error)
{
    if (search->truncated)
        begin_name(search);
    if (search->begun && !search->is_full)
        reply_search_end(&search->json, search->truncated);
    if (!code && search->json.out->failed)
        code = error_set(error, ERROR_IO, "a search's reply is too long");
    return code;
}

static enum error_code look_after(struct search *search, int64_t peer_id, struct error *error)
{
    const struct index_place place = {.peer_id = peer_id, .name_id = search->last.name_id};

    return index_files_of(search->reader, &place, search->name, add_row, search, error);
}

/* Somewhere from 0 to the last id, for one client always the same. */
static int64_t place_of(const char *client_host, int64_t last)
{
    uint64_t hash = text_hash_spread(text_hash(TEXT_HASH_START, client_host));

    return (int64_t)((double)last * ((double)hash / 0x1p64));
}

/* Which of more sources than are told: those from a place on and round to it, instead of the first
 * ones, which are what the reply holds after that length. */
static enum error_code tell_others(struct search *search, size_t length, struct error *error)
{
    int64_t last = 0;
    enum error_code code = index_last_of(search->reader, search->last.name_id, &last, error);
    int64_t place = place_of(search->client_host, last);

    if (code)
        return code;
    buffer_cut(search->json.out, length);
    search->found = 0;
    search->begun = search->truncated = false;
    code = look_after(search, place, error);
    search->end = place;
    if (!code && !search->truncated)
        code = look_after(search, 0, error);
    search->truncated = true;
    return code;
}

static enum error_code spread(struct search *search, const struct json_writer *before,
                              size_t length, struct error *error)
{
    struct buffer *out = search->json.out;
    const struct search first = *search;
    size_t first_length = out->length - length;
    auto_free char *text = memory_copy(out->data + length, first_length);

    search->json = *before;
    enum error_code code = tell_others(search, length, error);
    /* There are too many between them that are away. */
    if (!code && search->found < first.found) {
        int64_t rows_left = search->rows_left; /* these have been looked at all the same */
        *search = first;
        search->rows_left = rows_left;
        buffer_cut(out, length);
        buffer_append(out, text, first_length);
    }
    return code;
}

/* Writes the name with its sources, where there are any; one of many, or the first piece. */
static enum error_code find_name(struct search *search, const struct file_name *name,
                                 struct error *error)
{
    const struct json_writer before = search->json;
    size_t length = before.out->length;

    search->name = name->text;
    search->rows = search->found = 0;
    search->begun = search->truncated = false;
    search->end = INT64_MAX;
    enum error_code code = index_search(search->reader, name, add_row, search, error);
    if (!code && search->truncated && search->found == search->sources_max)
        code = spread(search, &before, length, error);
    return end_name(search, code, error);
}

/* Differs: a name that nobody can have is 400 with the reason, not 404. */
static enum error_code parse_name(const struct search *search, const char *text, size_t length,
                                  struct file_name *name, struct error *error)
{
    return search->folders ? file_name_parse_path(text, length, name, error)
                           : file_name_parse(text, length, name, error);
}

static enum error_code begin(const struct search_request *request, struct search *search,
                             struct error *error)
{
    struct query_field fields[] = {
        {.name = "filename"}, {.name = "partial"}, {.name = "folders"}, {.name = "limit"}};
    enum error_code code =
        query_parse(request->query, request->query_length, fields, ARRAY_LENGTH(fields), error);

    *search = (struct search){.registry = request->registry,
                              .reader = request->reader,
                              .now_ms = clock_boot_ms(),
                              .client_host = request->client_host,
                              .filename = fields[0],
                              .is_bounded = fields[3].value != NULL,
                              .sources_max = SEARCH_SOURCES_MAX,
                              .rows_left = SEARCH_ROWS_MAX};
    if (code)
        return code;
    if (!query_number(&fields[3], 1, SEARCH_SOURCES_MAX, &search->sources_max))
        return error_set(error, ERROR_INVALID, TEXT_BAD_SOURCES_LIMIT);
    if (!query_flag(&fields[1], &search->partial))
        return error_set(error, ERROR_INVALID, TEXT_BAD_PARTIAL);
    if (!query_flag(&fields[2], &search->folders))
        return error_set(error, ERROR_INVALID, TEXT_BAD_FOLDERS);
    return ERROR_NONE;
}

/* A reply that is sent in pieces. */
struct rest {
    struct search search;
    struct piece piece;
};

static enum error_code read_more(struct rest *rest, struct error *error)
{
    struct search *search = &rest->search;

    piece_clear(&rest->piece);
    search->piece_rows = 0;
    search->is_full = false;
    search->now_ms = clock_boot_ms();
    const struct index_place after = search->last;
    enum error_code code = index_files_of(search->reader, &after, "", add_row, search, error);
    code = end_name(search, code, error);
    /* No byte at all would be the end; a blank may stand between any two things in JSON. */
    if (!code && search->is_full && rest->piece.out.length == 0)
        buffer_append_char(&rest->piece.out, ' ');
    return code;
}

static long stream_rest(void *stream, char *out, size_t size)
{
    struct rest *rest = stream;
    struct error error;

    if (piece_is_sent(&rest->piece) && rest->search.is_full && read_more(rest, &error)) {
        log_line(LOG_ERROR, "directory", "cannot read the index: %s", error.text);
        return -1;
    }
    return piece_take(&rest->piece, out, size);
}

static void free_rest(void *stream)
{
    struct rest *rest = stream;

    buffer_done(&rest->piece.out);
    free(rest);
}

/* Its first piece is the reply's body until then. */
static void go_on_in_pieces(const struct search *search, struct http_reply *reply)
{
    struct rest *rest = memory_new(1, sizeof *rest);

    rest->search = *search;
    rest->piece.out = reply->body;
    rest->search.json.out = &rest->piece.out;
    rest->search.name = NULL; /* it has been written */
    *reply = (struct http_reply){
        .status = 200, .stream = stream_rest, .stream_context = rest, .stream_free = free_rest};
}

static enum error_code answer_name(struct search *search, const struct file_name *name,
                                   struct http_reply *reply, struct error *error)
{
    reply_begin(reply, 200);
    buffer_room(&reply->body, USUAL_BYTES);
    json_writer_init(&search->json, &reply->body);
    enum error_code code = find_name(search, name, error);
    if (!code && search->is_full)
        go_on_in_pieces(search, reply);
    if (!code && search->found > 0)
        return ERROR_NONE;
    buffer_done(&reply->body);
    if (!code)
        reply_search_nothing(reply, name->text, search->rows > 0);
    return code;
}

enum error_code search_one(const struct search_request *request, struct http_reply *reply,
                           struct error *error)
{
    struct search search;
    struct file_name name;
    enum error_code code = begin(request, &search, error);

    if (code)
        return code;
    if (!search.filename.value) {
        reply_missing(reply, "query", &search.filename.name, 1);
        return ERROR_NONE;
    }
    if (search.filename.length == 0) {
        reply_search_nothing(reply, "", false);
        return ERROR_NONE;
    }
    code = parse_name(&search, search.filename.value, search.filename.length, &name, error);
    return code ? code : answer_name(&search, &name, reply, error);
}

/* ---- many names ---- */

struct names {
    struct json *body; /* what they point into */
    const char *items[SEARCH_NAMES_MAX];
    size_t count;
    bool missing;
};

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* In their order, in which the index has them side by side. */
static enum error_code take_names(const struct search_request *request, struct names *names,
                                  struct error *error)
{
    if (!request->body || json_parse(request->body, request->body_length, &names->body, NULL) ||
        !json_is_object(names->body))
        return error_set(error, ERROR_INVALID, TEXT_BAD_BODY);
    const struct json *list = json_find(names->body, "filenames");
    names->missing = !list;
    if (!list)
        return ERROR_NONE;
    if (!json_is_array(list))
        return error_set(error, ERROR_INVALID, TEXT_BAD_FILENAMES);
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        const char *text = json_string(item);
        if (!text || names->count == SEARCH_NAMES_MAX)
            return error_set(error, ERROR_INVALID, TEXT_BAD_FILENAMES);
        names->items[names->count++] = text;
    }
    qsort(names->items, names->count, sizeof *names->items, compare_names);
    return ERROR_NONE;
}

static enum error_code find_names(struct search *search, const struct names *names,
                                  struct error *error)
{
    enum error_code code = index_reader_begin(search->reader, error);

    for (size_t i = 0; i < names->count && !code; i++) {
        struct file_name name;
        const char *text = names->items[i];
        /* Nobody has the empty name, as where one is asked for. */
        if (!*text || (i > 0 && strcmp(text, names->items[i - 1]) == 0))
            continue;
        code = parse_name(search, text, strlen(text), &name, error);
        if (!code)
            code = find_name(search, &name, error);
    }
    index_reader_end(search->reader);
    return code;
}

static enum error_code answer_names(struct search *search, const struct names *names,
                                    struct http_reply *reply, struct error *error)
{
    if (names->missing) {
        reply_missing(reply, "body", &(const char *){"filenames"}, 1);
        return ERROR_NONE;
    }
    search->is_bounded = true;
    reply_searches_begin(reply, &search->json);
    enum error_code code = find_names(search, names, error);
    reply_searches_end(&search->json);
    if (code)
        buffer_done(&reply->body);
    return code;
}

enum error_code search_many(const struct search_request *request, struct http_reply *reply,
                            struct error *error)
{
    struct names names = {.count = 0};
    struct search search;
    enum error_code code = begin(request, &search, error);

    if (!code && request->body_length > SEARCH_BODY_MAX_BYTES) {
        reply_failure(reply, ERROR_TOO_LARGE, NULL);
        return ERROR_NONE;
    }
    if (!code)
        code = take_names(request, &names, error);
    if (!code)
        code = answer_names(&search, &names, reply, error);
    json_free(names.body);
    return code;
}
