/* Words: which files of others have certain words in their names. */
#include "peer/service/control_private.h"

#include "common/fold.h"
#include "common/memory.h"
#include "common/words.h"
#include "peer/network/directories.h"

#include <stdlib.h>
#include <string.h>

#define HITS_MAX   10000 /* of one question: some 20 MiB; nobody reads on for longer */
#define PART_BYTES ((size_t)256 * 1024)
/* A page may be empty and not the last, but not for ever. */
#define PAGES_MAX 10000

static const char list_note[] =
    "El directorio no admite búsquedas por palabras: se ha mirado su lista de archivos";

struct word_search {
    struct operation operation;
    struct words *words; /* checked, and for the directory's list */
    char *text, *ending, *cursor;
    int64_t min_bytes, max_bytes; /* -1: any */
    size_t limit;

    /* Of the thread until it is finished. */
    struct directory_hits hits; /* and in its cursor where it goes on */
    bool more;
    bool from_list;
    size_t told;
};

static int64_t bound(bool has, int64_t bytes)
{
    return has && bytes >= 0 ? bytes : -1;
}

static enum error_code words_begin(struct operation *operation, const ProtobufCMessage *message,
                                   struct error *error)
{
    const P2p__Control__WordsRequest *request = (const P2p__Control__WordsRequest *)message;
    struct word_search *search = (struct word_search *)operation;

    search->words = memory_new(1, sizeof *search->words);
    search->text = memory_copy_string(request->words);
    search->ending = memory_copy_string(request->ending);
    search->cursor = request->cursor[0] ? memory_copy_string(request->cursor) : NULL;
    search->min_bytes = bound(request->has_min_size, request->min_size);
    search->max_bytes = bound(request->has_max_size, request->max_size);
    search->limit = request->limit < HITS_MAX ? request->limit : HITS_MAX;
    enum error_code code = words_parse(search->text, strlen(search->text), search->words, error);
    if (code == ERROR_NONE && search->ending[0])
        code = words_parse_ending(search->ending, strlen(search->ending), search->words, error);
    return code;
}

/* ---- asking the directory ---- */

/* We are told of ourselves like of others. False: only we have it. */
static bool leave_us_out(struct directory_hit *hit, const char *own_name)
{
    struct directory_sources *sources = &hit->sources;

    for (size_t i = 0; i < sources->count; i++) {
        if (strcmp(sources->items[i].peer, own_name) != 0)
            continue;
        free(sources->items[i].peer);
        free(sources->items[i].addresses);
        memmove(&sources->items[i], &sources->items[i + 1],
                (sources->count - i - 1) * sizeof *sources->items);
        sources->count--;
        hit->peers--;
        break;
    }
    return hit->peers > 0;
}

/* Takes what is wanted out of the page. */
static void take_page(struct word_search *search, struct directory_hits *page)
{
    const char *own_name = search->operation.service->options.finder->own_name;
    struct directory_hits *hits = &search->hits;

    hits->items = memory_resize(hits->items, hits->count + page->count + 1, sizeof *hits->items);
    for (size_t i = 0; i < page->count; i++) {
        if (!leave_us_out(&page->items[i], own_name) || hits->count == search->limit)
            continue;
        hits->items[hits->count++] = page->items[i];
        page->items[i].sources = (struct directory_sources){0};
    }
}

static enum error_code ask_directory(struct word_search *search, struct directories *directories,
                                     struct error *error)
{
    struct directory_words words = {.words = search->text,
                                    .ending = search->ending[0] ? search->ending : NULL,
                                    .min_bytes = search->min_bytes,
                                    .max_bytes = search->max_bytes,
                                    .cursor = search->cursor};
    enum error_code code = ERROR_NONE;

    for (size_t pages = 0; pages < PAGES_MAX && search->hits.count < search->limit; pages++) {
        struct directory_hits page;
        size_t left = search->limit - search->hits.count;
        words.limit = left < DIRECTORY_WORDS_PAGE ? left : DIRECTORY_WORDS_PAGE;
        code = directories_words(directories, &words, interrupt_event(search->operation.interrupt),
                                 &page, error);
        if (code != ERROR_NONE)
            return code;
        take_page(search, &page);
        free(search->hits.cursor);
        search->hits.cursor = take_pointer(&page.cursor);
        directory_hits_done(&page);
        words.cursor = search->hits.cursor;
        if (!words.cursor)
            break;
    }
    search->more = search->hits.cursor != NULL;
    return ERROR_NONE;
}

/* ---- the list of a directory that cannot search ---- */

static void add_peer(struct directory_hit *hit, const char *peer)
{
    struct directory_sources *sources = &hit->sources;

    hit->peers++;
    if (sources->count == DIRECTORY_HIT_SOURCES)
        return;
    sources->items = memory_resize(sources->items, sources->count + 1, sizeof *sources->items);
    sources->items[sources->count++] =
        (struct directory_source){.peer = memory_copy_string(peer), .size_bytes = -1};
}

/* Where the name is, or belongs: hits are in the order of names. */
static size_t find_hit(const struct directory_hits *hits, const char *name, bool *found)
{
    size_t low = 0;

    *found = false;
    for (size_t high = hits->count; low < high && !*found;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(hits->items[middle].name.text, name);
        *found = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
        if (*found)
            low = middle;
    }
    return low;
}

static bool take_file(void *context, const char *peer, const struct file_name *name)
{
    struct word_search *search = context;
    struct directory_hits *hits = &search->hits;
    char folded[FOLD_GROWTH * sizeof name->text + 1];
    bool found;

    if (strcmp(peer, search->operation.service->options.finder->own_name) == 0)
        return true;
    size_t length = fold_text(name->text, strlen(name->text), folded);
    if (!words_match(search->words, folded, length))
        return true;
    size_t place = find_hit(hits, name->text, &found);
    if (!found && hits->count == search->limit) {
        search->more = true;
        return true; /* those that are there may have more peers */
    }
    if (!found) {
        hits->items = memory_resize(hits->items, hits->count + 1, sizeof *hits->items);
        memmove(&hits->items[place + 1], &hits->items[place],
                (hits->count - place) * sizeof *hits->items);
        hits->items[place] = (struct directory_hit){.name = *name, .size_bytes = -1};
        hits->count++;
    }
    add_peer(&hits->items[place], peer);
    return true;
}

static enum error_code look_through(struct word_search *search, struct directories *directories,
                                    struct error *error)
{
    const struct directory_files_taker taker = {
        .folders = true, .take = take_file, .context = search};

    if (search->min_bytes >= 0 || search->max_bytes >= 0)
        return error_set(
            error, ERROR_UNSUPPORTED,
            "El directorio no admite búsquedas por palabras, y su lista no dice tamaños");
    if (search->cursor)
        return error_set(error, ERROR_UNSUPPORTED,
                         "El directorio de ahora no puede seguir esta búsqueda");
    search->from_list = true;
    return directories_files(directories, &taker, interrupt_event(search->operation.interrupt),
                             error);
}

static enum error_code words_run(struct operation *operation, struct error *error)
{
    struct word_search *search = (struct word_search *)operation;
    struct directories *directories = operation->service->options.directories;
    struct error reason = {0};

    if (!directories)
        return error_set(error, ERROR_UNREACHABLE,
                         "No hay directorio: sin él no se puede buscar por palabras");
    enum error_code code = ask_directory(search, directories, &reason);
    if (code == ERROR_UNSUPPORTED)
        return look_through(search, directories, error);
    if (code != ERROR_NONE)
        *error = reason;
    return code;
}

/* ---- telling ---- */

static P2p__Control__WordHit *hit_message(struct directory_hit *hit)
{
    P2p__Control__WordHit *message = memory_new(1, sizeof *message);

    p2p__control__word_hit__init(message);
    message->name = hit->name.text;
    message->has_size = hit->size_bytes >= 0;
    message->size_bytes = message->has_size ? hit->size_bytes : 0;
    message->content = control_content_text(hit->has_content, &hit->content);
    message->peers = hit->peers;
    message->truncated = hit->truncated;
    message->sources = memory_new(hit->sources.count + 1, sizeof *message->sources);
    for (size_t i = 0; i < hit->sources.count; i++) {
        struct directory_source told = hit->sources.items[i];
        told.size_bytes = -1; /* the hit has them */
        told.has_content = false;
        message->sources[message->n_sources++] = control_source_new(&told);
    }
    return message;
}

static void hit_message_free(P2p__Control__WordHit *message)
{
    for (size_t i = 0; i < message->n_sources; i++)
        control_source_free(message->sources[i]);
    free(message->sources);
    free(message->content);
    free(message);
}

static enum error_code words_reply(struct operation *operation, struct rpc_reply *reply, bool *last,
                                   struct error *error)
{
    struct word_search *search = (struct word_search *)operation;
    P2p__Control__WordsReply message = P2P__CONTROL__WORDS_REPLY__INIT;
    P2p__Control__Failure failure;
    size_t left = search->hits.count - search->told;
    auto_free char *note = memory_copy_string(search->from_list ? list_note : "");
    size_t bytes = 0;

    message.hits = memory_new(left + 1, sizeof(P2p__Control__WordHit *));
    message.failure = control_failure(&failure, &operation->outcome);
    while (!message.failure && bytes < PART_BYTES && search->told < search->hits.count) {
        P2p__Control__WordHit *hit = hit_message(&search->hits.items[search->told++]);
        bytes += protobuf_c_message_get_packed_size(&hit->base);
        message.hits[message.n_hits++] = hit;
    }
    *last = message.failure || search->told == search->hits.count;
    if (*last) {
        message.note = note;
        message.more = search->more;
        message.cursor = search->hits.cursor ? search->hits.cursor : message.cursor;
    }
    enum error_code code = rpc_reply_pack(reply, &message.base, error);
    for (size_t i = 0; i < message.n_hits; i++)
        hit_message_free(message.hits[i]);
    free(message.hits);
    return code;
}

static void words_done(struct operation *operation)
{
    struct word_search *search = (struct word_search *)operation;

    directory_hits_done(&search->hits);
    free(search->words);
    free(search->text);
    free(search->ending);
    free(search->cursor);
}

void *control_words_open(void *service, struct rpc_call *call)
{
    static const struct operation_kind kind = {.size = sizeof(struct word_search),
                                               .begin = words_begin,
                                               .run = words_run,
                                               .reply = words_reply,
                                               .done = words_done};

    return operation_open(service, call, &kind);
}
