#include "directory/word_search.h"

#include "common/clock.h"
#include "common/file_name.h"
#include "common/fold.h"
#include "common/memory.h"
#include "common/words.h"
#include "directory/hits.h"
#include "directory/query.h"
#include "directory/replies.h"
#include "directory/trigrams.h"

#include <string.h>

enum {
    RARE_MAX = 50000, /* names: FTS5 merges as many in 5 ms before it gives the first one */
    FREQUENT = 50,    /* of so many names one has a word: a page is full soon without an index */
    WORTH = 16,       /* times as many names have a trigram: then a short word is the quicker way */
    PASSED_AT_ONCE = 256, /* peers who are away, between two looks at the clock */
    QUERY_MAX_BYTES = 4096,
};

/* 1,000 steps are some 300 pages of FTS5's. */
const struct word_search_limits word_search_limits = {
    .budget_us = 20000, .effort = 1000, .prefix_effort = 5000};

struct word_search {
    const struct search_request *request;
    int64_t now_ms, started_us;
    const struct word_search_limits *limits;
    struct words words;
    size_t left; /* of the limit */
    int64_t min_size, max_size;
    bool sized, partial, folders;
    struct json_writer json;
    struct hit_place place; /* the last hit given, or as far as a name was looked at */
    bool begun;             /* the first name was, by the page before */
    int64_t position;       /* all names up to this one are done */
    int64_t last_id;        /* of all names */
    size_t looked_at;
    bool more, stopped; /* the place says how far it came; the page ends, or is out of time */
    /* Of the name that is being joined: */
    struct hits hits;
    size_t passed, next_look; /* peers, before the first one who is there, and when it gets late */
    int64_t nobody;           /* up to this peer: none who is there */
    const struct index_file *file;
    const struct name_sample *sample;
    struct trigrams_choice choice;
    struct error *error;
    enum error_code code;
};

static bool is_late(const struct word_search *search)
{
    return clock_us() - search->started_us > search->limits->budget_us;
}

/* ---- one name ---- */

static void join_peer(void *context, const struct registry_peer *peer)
{
    struct word_search *search = context;
    const struct index_file *file = search->file;

    if (peer->active)
        hits_add(&search->hits, peer->name, file->urls ? file->urls : peer->urls, &file->content);
}

/* Thousands may have had a name who are all away. */
static bool is_lost(struct word_search *search)
{
    if (search->hits.count > 0 || search->passed < search->next_look)
        return false;
    search->next_look = search->passed + PASSED_AT_ONCE;
    return is_late(search);
}

static void join_file(struct word_search *search, const struct index_file *file)
{
    int64_t size = file->content.size_bytes;

    if (file->content.partial && !search->partial)
        return;
    /* Of an unknown size nobody can say that it fits. */
    if (search->sized &&
        (size == FILE_SIZE_UNKNOWN || size < search->min_size || size > search->max_size))
        return;
    search->file = file;
    registry_visit(search->request->registry, file->peer_id, search->now_ms, join_peer, search);
}

static bool add_row(void *context, const struct index_file *file)
{
    struct word_search *search = context;
    size_t weight = hits_weight(file->urls);
    bool is_first = search->hits.count == 0;

    if (is_lost(search)) {
        search->nobody = file->peer_id - 1;
        search->more = search->stopped = true;
        return false;
    }
    if (!hits_go_on(&search->hits, weight))
        return false;
    join_file(search, file);
    if (is_first && search->hits.count > 0 && search->passed >= PASSED_AT_ONCE)
        search->nobody = file->peer_id - 1;
    search->passed += is_first ? weight : 0;
    return !search->hits.truncated;
}

/* The name's hits, as far as there is room in the page. */
static void give_hits(struct word_search *search, int64_t id, const char *name,
                      const struct hit_key *after)
{
    const struct hits *hits = &search->hits;

    for (size_t i = hits_find_after(hits, after); i < hits->count; i++) {
        if (search->left == 0 || search->json.out->length >= SEARCH_REPLY_BYTES) {
            search->more = search->stopped = true;
            return;
        }
        hits_write(hits, i, name, &search->json);
        search->left--;
        search->place = (struct hit_place){.name_id = id,
                                           .is_inside = true,
                                           .key = hits->contents[i].key,
                                           .peer_id = search->nobody};
    }
}

static enum error_code join_name(struct word_search *search, int64_t id, const char *name)
{
    struct hit_place place = {.name_id = id};

    if (search->begun && search->place.name_id == id)
        place = search->place;
    search->passed = 0;
    search->next_look = PASSED_AT_ONCE;
    search->nobody = place.peer_id;
    hits_clear(&search->hits);
    enum error_code code =
        index_files_of(search->request->reader, &(struct index_place){place.peer_id, id}, name,
                       add_row, search, search->error);
    hits_sort(&search->hits);
    if (code)
        return code;
    if (search->stopped) {
        search->place = place;
        search->place.peer_id = search->nobody;
    } else {
        give_hits(search, id, name, place.is_inside ? &place.key : NULL);
    }
    return ERROR_NONE;
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
    if (is_wanted(search, name))
        search->code = join_name(search, id, name);
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

static enum error_code look_at_found(struct word_search *search, struct index_names_query *query)
{
    query->after = search->position;
    return outcome(
        search, index_names_with(search->request->reader, query, look_at, search, search->error));
}

/* All that is found in the part of the names that follows the position. */
static enum error_code look_at_part(struct word_search *search, enum trigrams_part part,
                                    bool *gave_up)
{
    int64_t first = search->position + 1;
    int64_t last = trigrams_part_end(first, part);
    auto_buffer text;

    buffer_init(&text, QUERY_MAX_BYTES);
    trigrams_write_query(&text, first, part, &search->choice);
    struct index_names_query query = {
        .query = text.data,
        .last = last,
        .effort = part == TRIGRAMS_SMALL_BLOCK ? 0 : search->limits->effort};
    enum error_code code = look_at_found(search, &query);
    *gave_up = query.gave_up;
    if (!code && !search->stopped && !query.gave_up)
        search->position = last;
    return code;
}

/* What is too much work at once is done in smaller parts. The smallest are done whole, so that a
 * page always comes further. */
static enum error_code look_by_trigrams(struct word_search *search)
{
    int64_t begin = search->position;
    enum trigrams_part part = TRIGRAMS_ALL;
    enum error_code code = ERROR_NONE;

    while (!code && !search->stopped && search->position < search->last_id) {
        bool gave_up = false;
        code = look_at_part(search, part, &gave_up);
        if (gave_up)
            part = part == TRIGRAMS_ALL ? TRIGRAMS_LARGE_BLOCK : TRIGRAMS_SMALL_BLOCK;
        else if (search->position == trigrams_part_end(search->position, TRIGRAMS_LARGE_BLOCK))
            part = TRIGRAMS_LARGE_BLOCK;
        search->stopped = search->stopped || (search->position > begin && is_late(search));
    }
    return code;
}

/* ---- by short words ---- */

/* The word that the fewest names have, more or less; NULL: there is none. */
static const char *find_rarest(const struct word_search *search, int64_t *names)
{
    const char *rarest = NULL;

    for (size_t i = search->words.long_count; i < search->words.wanted_count; i++) {
        const char *word = search->words.wanted[i];
        int64_t count = name_sample_estimate(search->sample, word, strlen(word), search->last_id);
        if (!rarest || count < *names) {
            rarest = word;
            *names = count;
        }
    }
    return rarest;
}

static enum error_code look_by_prefix(struct word_search *search, const char *word, bool *gave_up)
{
    auto_buffer text;

    buffer_init(&text, QUERY_MAX_BYTES);
    trigrams_write_prefix(&text, word);
    struct index_names_query query = {
        .query = text.data, .last = INT64_MAX, .effort = search->limits->prefix_effort};
    enum error_code code = look_at_found(search, &query);
    *gave_up = query.gave_up;
    return code;
}

static enum error_code look_through(struct word_search *search)
{
    return outcome(search, index_names(search->request->reader, search->position, look_at, search,
                                       search->error));
}

/* ---- the whole ---- */

/* Whatever is rare. */
static enum error_code look_for_words(struct word_search *search)
{
    const struct words *words = &search->words;
    int64_t short_names = 0;
    bool gave_up = true;
    enum error_code code = ERROR_NONE;

    trigrams_choose(words->wanted, words->long_count, search->sample, search->last_id,
                    &search->choice);
    const char *rarest = find_rarest(search, &short_names);
    if (rarest && short_names <= RARE_MAX &&
        (words->long_count > 0 ? short_names < search->choice.tokens[0].names / WORTH
                               : short_names < search->last_id / FREQUENT))
        code = look_by_prefix(search, rarest, &gave_up);
    if (code || !gave_up)
        return code;
    return words->long_count > 0 ? look_by_trigrams(search) : look_through(search);
}

static enum error_code find_all(struct word_search *search)
{
    struct index_reader *reader = search->request->reader;
    enum error_code code = index_reader_begin(reader, search->error);

    if (!code)
        code = index_last_name(reader, &search->last_id, search->error);
    if (!code)
        code = index_sample(reader, search->last_id, &search->sample, search->error);
    if (!code)
        code = look_for_words(search);
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
    if (!query_number(&fields[MIN_SIZE], 0, INT64_MAX, &search->min_size))
        return error_set(error, ERROR_INVALID, TEXT_BAD_MIN_SIZE);
    if (!query_number(&fields[MAX_SIZE], search->min_size, INT64_MAX, &search->max_size))
        return error_set(error, ERROR_INVALID, TEXT_BAD_MAX_SIZE);
    return ERROR_NONE;
}

static enum error_code take_place(struct word_search *search, const struct query_field *fields,
                                  struct error *error)
{
    int64_t limit = WORD_SEARCH_LIMIT;

    if (!query_number(&fields[LIMIT], 1, WORD_SEARCH_LIMIT_MAX, &limit))
        return error_set(error, ERROR_INVALID, TEXT_BAD_WORDS_LIMIT);
    search->left = (size_t)limit;
    if (!fields[CURSOR].value)
        return ERROR_NONE;
    if (strlen(fields[CURSOR].value) != fields[CURSOR].length)
        return error_set(error, ERROR_INVALID, TEXT_BAD_CURSOR);
    enum error_code code = hit_parse_cursor(fields[CURSOR].value, &search->place, error);
    search->begun = search->place.is_inside || search->place.peer_id > 0;
    search->position = search->place.name_id - search->begun;
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

enum error_code word_search(const struct search_request *request,
                            const struct word_search_limits *limits, struct http_reply *reply,
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
        .started_us = clock_us(),
        .limits = limits,
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
