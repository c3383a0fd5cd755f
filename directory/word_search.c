#include "directory/word_search.h"

#include "common/clock.h"
#include "common/file_name.h"
#include "common/fold.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/words.h"
#include "directory/hits.h"
#include "directory/query.h"
#include "directory/replies.h"
#include "directory/trigrams.h"

#include <string.h>

enum {
    SCANNED_FIRST = 5000, /* names, before it is asked whether a short word is rare */
    SAMPLES = 16,         /* parts of all names that are looked at then */
    SAMPLE_NAMES = 256,   /* of each */
    RARE_MAX = 50000,     /* names: FTS5 merges as many in 5 ms before it gives the first one */
    QUERY_MAX_BYTES = 4096,
    /* A block's query that was quicker than the first is followed by one of the larger block, one
     * that was slower than the second by one of the smaller: that has 16 times as many names. */
    QUICK_US = 500,
    SLOW_US = 5000,
};

struct word_search {
    const struct search_request *request;
    int64_t now_ms, started_us;
    struct words words;
    size_t left; /* of the limit */
    int64_t min_size, max_size;
    bool sized, partial, folders;
    struct json_writer json;
    struct hit_place place; /* the last hit given, or what was looked at */
    bool inside;            /* the first name is one that was given in part */
    int64_t position;       /* all names up to this one are done */
    int64_t last_id;        /* of all names */
    size_t looked_at;
    bool more, stopped; /* the page is full; it, or the budget */
    struct hits hits;   /* of the name that is being joined */
    const struct index_file *file;
    size_t seen, rare_seen[WORDS_MAX + 1]; /* of a sample */
    struct error *error;
    enum error_code code;
};

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool is_late(const struct word_search *search)
{
    return now_us() - search->started_us > WORD_SEARCH_BUDGET_MS * 1000;
}

/* ---- one name ---- */

static void join_peer(void *context, const struct registry_peer *peer)
{
    struct word_search *search = context;
    const struct index_file *file = search->file;

    if (peer->active)
        hits_add(&search->hits, peer->name, file->urls ? file->urls : peer->urls, &file->content);
}

static bool add_row(void *context, const struct index_file *file)
{
    struct word_search *search = context;
    int64_t size = file->content.size_bytes;

    if (file->content.partial && !search->partial)
        return true;
    /* Of an unknown size nobody can say that it fits. */
    if (search->sized &&
        (size == FILE_SIZE_UNKNOWN || size < search->min_size || size > search->max_size))
        return true;
    search->file = file;
    registry_visit(search->request->registry, file->peer_id, search->now_ms, join_peer, search);
    return !search->hits.truncated;
}

/* The name's hits, as far as there is room in the page. */
static void give_hits(struct word_search *search, int64_t id, const char *name)
{
    const struct hits *hits = &search->hits;
    bool inside = search->inside && id == search->place.name_id;

    for (size_t i = hits_find_after(hits, inside ? &search->place.key : NULL); i < hits->count;
         i++) {
        if (search->left == 0 || search->json.out->length >= SEARCH_REPLY_BYTES) {
            search->more = search->stopped = true;
            return;
        }
        hits_write(hits, i, name, &search->json);
        search->left--;
        search->place =
            (struct hit_place){.name_id = id, .is_inside = true, .key = hits->contents[i].key};
    }
}

static bool is_wanted(const struct word_search *search, const char *name)
{
    char folded[FOLD_GROWTH * FILE_PATH_MAX_BYTES + 1];

    if (!search->folders && strchr(name, '/'))
        return false;
    size_t length = fold_text(name, strnlen(name, FILE_PATH_MAX_BYTES), folded);
    return words_match(&search->words, folded, length);
}

static bool look_at(void *context, int64_t id, const char *name)
{
    struct word_search *search = context;

    if (search->looked_at > 0 && is_late(search)) {
        search->stopped = true;
        return false;
    }
    search->looked_at++;
    if (is_wanted(search, name)) {
        hits_clear(&search->hits);
        search->code =
            index_files_of(search->request->reader, id, name, add_row, search, search->error);
        hits_sort(&search->hits);
        if (!search->code)
            give_hits(search, id, name);
    }
    if (search->code || search->stopped)
        return false;
    search->position = id;
    return true;
}

/* A visit that failed is what failed. */
static enum error_code outcome(const struct word_search *search, enum error_code code)
{
    return search->code ? search->code : code;
}

/* ---- by trigrams ---- */

static enum error_code look_at_found(struct word_search *search, const char *text, int64_t last)
{
    const struct index_names_query query = {.query = text, .after = search->position, .last = last};

    return outcome(
        search, index_names_with(search->request->reader, &query, look_at, search, search->error));
}

/* All that is found in the block that follows the position. */
static enum error_code look_at_block(struct word_search *search, int block)
{
    int64_t first = search->position + 1;
    int64_t last = (((first >> block) + 1) << block) - 1;
    auto_buffer query;

    buffer_init(&query, QUERY_MAX_BYTES);
    trigrams_write_query(&query, first, block, search->words.wanted, search->words.long_count);
    enum error_code code = look_at_found(search, query.data, last);
    if (!code && !search->stopped)
        search->position = last;
    return code;
}

static enum error_code look_by_blocks(struct word_search *search)
{
    int block = TRIGRAMS_SMALL_BLOCK;
    enum error_code code = ERROR_NONE;

    while (!code && !search->stopped && search->position < search->last_id) {
        int64_t begun_us = now_us();
        code = look_at_block(search, block);
        int64_t took_us = now_us() - begun_us;
        if (took_us < QUICK_US)
            block = TRIGRAMS_LARGE_BLOCK;
        else if (took_us > SLOW_US)
            block = TRIGRAMS_SMALL_BLOCK;
        search->stopped = search->stopped || is_late(search);
    }
    return code;
}

/* ---- by going through the names ---- */

static bool look_at_first(void *context, int64_t id, const char *name)
{
    struct word_search *search = context;

    return look_at(search, id, name) && search->looked_at < SCANNED_FIRST;
}

static bool count_words(void *context, int64_t id, const char *name)
{
    struct word_search *search = context;
    char folded[FOLD_GROWTH * FILE_PATH_MAX_BYTES + 1];

    (void)id;
    fold_text(name, strnlen(name, FILE_PATH_MAX_BYTES), folded);
    for (size_t i = 0; i < search->words.wanted_count; i++)
        search->rare_seen[i] += strstr(folded, search->words.wanted[i]) != NULL;
    return ++search->seen % SAMPLE_NAMES != 0;
}

/* The word that the fewest names have; NULL when even that one is none that is rare. */
static enum error_code find_rare(struct word_search *search, const char **rare)
{
    enum error_code code = ERROR_NONE;
    size_t best = 0;

    *rare = NULL;
    for (int i = 0; i < SAMPLES && !code; i++) {
        search->seen = (size_t)i * SAMPLE_NAMES; /* also where a part had fewer */
        code = index_names(search->request->reader, search->last_id / SAMPLES * i, count_words,
                           search, search->error);
    }
    for (size_t i = 1; i < search->words.wanted_count; i++)
        if (search->rare_seen[i] < search->rare_seen[best])
            best = i;
    if ((int64_t)search->rare_seen[best] * (search->last_id / (SAMPLES * SAMPLE_NAMES) + 1) <=
        RARE_MAX)
        *rare = search->words.wanted[best];
    return code;
}

static enum error_code look_by_prefix(struct word_search *search, const char *word)
{
    auto_buffer query;

    buffer_init(&query, QUERY_MAX_BYTES);
    trigrams_write_prefix(&query, word);
    return look_at_found(search, query.data, INT64_MAX);
}

static enum error_code look_through(struct word_search *search)
{
    struct index_reader *reader = search->request->reader;
    bool has_word = search->words.wanted_count > 0;
    const char *rare = NULL;
    enum error_code code =
        outcome(search, index_names(reader, search->position, has_word ? look_at_first : look_at,
                                    search, search->error));

    if (code || search->stopped || !has_word || search->looked_at < SCANNED_FIRST)
        return code;
    code = find_rare(search, &rare);
    if (code)
        return code;
    if (rare)
        return look_by_prefix(search, rare);
    return outcome(search, index_names(reader, search->position, look_at, search, search->error));
}

/* ---- the whole ---- */

static enum error_code find_all(struct word_search *search)
{
    struct index_reader *reader = search->request->reader;
    enum error_code code = index_reader_begin(reader, search->error);

    if (!code)
        code = index_last_name(reader, &search->last_id, search->error);
    if (!code)
        code = search->words.long_count > 0 ? look_by_blocks(search) : look_through(search);
    index_reader_end(reader);
    if (!code && search->json.out->failed)
        code = error_set(search->error, ERROR_IO, "a search's reply is too long");
    return code;
}

/* NULL: there is nothing after this page. */
static const char *find_cursor(const struct word_search *search, char text[HIT_CURSOR_BYTES])
{
    struct hit_place place = {.name_id = search->position};

    if (!search->stopped || (!search->more && search->position >= search->last_id))
        return NULL;
    return hit_format_cursor(search->more ? &search->place : &place, text);
}

static enum error_code take_number(const struct query_field *field, long long min, long long max,
                                   const char *text, int64_t *number, struct error *error)
{
    long long value;

    if (!field->value)
        return ERROR_NONE;
    if (strlen(field->value) != field->length || !text_to_integer(field->value, min, max, &value))
        return error_set(error, ERROR_INVALID, "%s", text);
    *number = value;
    return ERROR_NONE;
}

enum field { Q, LIMIT, CURSOR, MIN_SIZE, MAX_SIZE, EXT, PARTIAL, FOLDERS, FIELD_COUNT };

static enum error_code take_words(struct word_search *search, const struct query_field *fields,
                                  struct error *error)
{
    enum error_code code = words_parse(fields[Q].value, fields[Q].length, &search->words, error);

    if (!code && fields[EXT].value)
        code = words_parse_ending(fields[EXT].value, fields[EXT].length, &search->words, error);
    return code;
}

static enum error_code take_sizes(struct word_search *search, const struct query_field *fields,
                                  struct error *error)
{
    search->sized = fields[MIN_SIZE].value || fields[MAX_SIZE].value;
    search->max_size = INT64_MAX;
    enum error_code code =
        take_number(&fields[MIN_SIZE], 0, INT64_MAX, TEXT_BAD_MIN_SIZE, &search->min_size, error);
    return code ? code
                : take_number(&fields[MAX_SIZE], search->min_size, INT64_MAX, TEXT_BAD_MAX_SIZE,
                              &search->max_size, error);
}

static enum error_code take_place(struct word_search *search, const struct query_field *fields,
                                  struct error *error)
{
    int64_t limit = WORD_SEARCH_LIMIT;
    enum error_code code =
        take_number(&fields[LIMIT], 1, WORD_SEARCH_LIMIT_MAX, TEXT_BAD_WORDS_LIMIT, &limit, error);

    search->left = (size_t)limit;
    if (code || !fields[CURSOR].value)
        return code;
    if (strlen(fields[CURSOR].value) != fields[CURSOR].length)
        return error_set(error, ERROR_INVALID, TEXT_BAD_CURSOR);
    code = hit_parse_cursor(fields[CURSOR].value, &search->place, error);
    search->inside = search->place.is_inside;
    search->position = search->place.name_id - search->inside;
    return code;
}

static enum error_code begin(struct word_search *search, const struct query_field *fields,
                             struct error *error)
{
    enum error_code code = take_words(search, fields, error);

    if (!code)
        code = take_sizes(search, fields, error);
    if (!code)
        code = take_place(search, fields, error);
    if (code)
        return code;
    if (!query_flag(&fields[PARTIAL], &search->partial))
        return error_set(error, ERROR_INVALID, TEXT_BAD_PARTIAL);
    if (!query_flag(&fields[FOLDERS], &search->folders))
        return error_set(error, ERROR_INVALID, TEXT_BAD_FOLDERS);
    return ERROR_NONE;
}

static enum error_code answer(struct word_search *search, struct http_reply *reply)
{
    char cursor[HIT_CURSOR_BYTES];

    reply_begin(reply, 200);
    json_writer_init(&search->json, &reply->body);
    reply_files_begin(&search->json);
    enum error_code code = find_all(search);
    reply_files_end(&search->json, find_cursor(search, cursor));
    if (code)
        buffer_done(&reply->body);
    return code;
}

enum error_code word_search(const struct search_request *request, struct http_reply *reply,
                            struct error *error)
{
    struct query_field fields[FIELD_COUNT] = {
        [Q] = {.name = "q"},
        [LIMIT] = {.name = "limit"},
        [CURSOR] = {.name = "cursor"},
        [MIN_SIZE] = {.name = "min_size"},
        [MAX_SIZE] = {.name = "max_size"},
        [EXT] = {.name = "ext"},
        [PARTIAL] = {.name = "partial"},
        [FOLDERS] = {.name = "folders"},
    };
    struct word_search search = {
        .request = request,
        .now_ms = clock_boot_ms(),
        .started_us = now_us(),
        .error = error,
    };
    enum error_code code =
        query_parse(request->query, request->query_length, fields, FIELD_COUNT, error);

    if (code)
        return code;
    if (!fields[Q].value) {
        reply_missing(reply, "query", &fields[Q].name, 1);
        return ERROR_NONE;
    }
    code = begin(&search, fields, error);
    if (!code)
        code = answer(&search, reply);
    hits_done(&search.hits);
    return code;
}
