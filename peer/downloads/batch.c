#include "peer/downloads/batch.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/swarm/swarm.h"
#include "peer/network/files_client.h"
#include "peer/network/piece_client.h"

#include <stdlib.h>
#include <string.h>

struct item {
    const struct batch_file *file;
    struct directory_sources sources;
    struct content_id content; /* that is wanted */
    int64_t size_bytes;
    bool asked;   /* who has it */
    size_t tried; /* sources, in their order from the turn on */
    bool failed;  /* one of them did not send it */
    bool over;    /* arrived, left, or given up */
};

struct batch {
    const struct batch_options *options;
    const struct batch_taker *taker;
    struct item *items;
    size_t count;
    int64_t begin_ms;
    size_t files_max;  /* of the next call */
    int64_t bytes_max; /* likewise, or one file */
    bool is_full;      /* the disk, with that error: */
    struct error full;
};

/* What one source is asked for. */
struct group {
    struct batch *batch;
    struct address address;
    char who[DOWNLOAD_SOURCE_BYTES];
    size_t items[BATCH_MAX]; /* their numbers */
    bool heard[BATCH_MAX];   /* of that one: it came, or not */
    size_t count;
    int64_t bytes; /* of all of them */
    int64_t told_ms;
    bool worked; /* a file came from there as it should */
};

static bool is_same(const struct address *left, const struct address *right)
{
    return left->port == right->port && strcmp(left->host, right->host) == 0;
}

static bool is_interrupted(const struct batch *batch)
{
    return interrupt_raised(batch->options->interrupt);
}

static bool is_time_over(const struct batch *batch)
{
    return clock_boot_ms() - batch->begin_ms >= BATCH_MS;
}

static void leave(struct batch *batch, size_t index)
{
    batch->items[index].over = true;
    batch->taker->left(batch->taker->context, index);
}

/* Whether it still is to be fetched. */
static bool is_open(struct batch *batch, size_t index)
{
    struct item *item = &batch->items[index];

    if (!item->over && !batch->taker->is_wanted(batch->taker->context, index))
        item->over = true;
    return !item->over;
}

/* ---- who has them ---- */

/* What is wanted, if it is a file of at most one piece. */
static bool choose_content(struct item *item)
{
    const struct directory_sources *sources = &item->sources;

    if (!sources_wanted_content(sources, item->file->peer, &item->content))
        return false;
    for (size_t i = 0; i < sources->count; i++) {
        const struct directory_source *source = &sources->items[i];
        if (source->has_content && content_id_equal(&source->content, &item->content)) {
            item->size_bytes = source->size_bytes;
            return item->size_bytes >= 0 && item->size_bytes <= (int64_t)PIECE_BYTES;
        }
    }
    return false;
}

static bool is_usable(const struct batch *batch, const struct item *item,
                      const struct directory_source *source)
{
    return source->has_content && content_id_equal(&source->content, &item->content) &&
           !source->partial && source->address_count > 0 &&
           strcmp(source->peer, batch->options->finder->own_name) != 0 &&
           (!item->file->peer[0] || strcmp(source->peer, item->file->peer) == 0);
}

/* Whom to ask next; NULL: nobody is left. */
static const struct directory_source *next_source(const struct batch *batch, struct item *item)
{
    size_t count = item->sources.count;

    for (; item->tried < count; item->tried++) {
        const struct directory_source *source =
            &item->sources.items[(batch->options->turn + item->tried) % count];
        if (is_usable(batch, item, source))
            return source;
    }
    return NULL;
}

/* Where the directory answers single names only, or others stand in for it. Nobody is asked for the
 * rest when contents are not told; and those whose turn has not come when the time is over have not
 * had it. */
static void find_one_by_one(struct batch *batch)
{
    bool tells = true;

    for (size_t i = 0; i < batch->count && !is_interrupted(batch); i++) {
        struct item *item = &batch->items[i];
        struct locator_search search = {
            .name = item->file->name, .interrupt = batch->options->interrupt, .partial = true};
        struct error error;
        if (!is_open(batch, i) || (i > 0 && is_time_over(batch)))
            continue;
        item->asked = true;
        if (!tells)
            continue;
        enum error_code code =
            sources_find(batch->options->finder, &search, &item->sources, &error);
        tells = code == ERROR_NOT_FOUND || (code == ERROR_NONE && item->sources.count > 0 &&
                                            item->sources.items[0].has_content);
    }
}

/* False: it has to be asked in another way. */
static bool find_together(struct batch *batch)
{
    const struct file_name *items[BATCH_MAX];
    struct directory_sources sources[BATCH_MAX];
    struct locator_names names = {.items = items, .interrupt = batch->options->interrupt};
    struct error error;

    for (size_t i = 0; i < batch->count; i++)
        items[names.count++] = batch->items[i].file->name;
    if (sources_find_many(batch->options->finder, &names, sources, &error) != ERROR_NONE)
        return false;
    for (size_t i = 0; i < batch->count; i++) {
        batch->items[i].sources = sources[i];
        batch->items[i].asked = true;
    }
    return true;
}

static void find_all(struct batch *batch)
{
    if (!find_together(batch))
        find_one_by_one(batch);
    for (size_t i = 0; i < batch->count && !is_interrupted(batch); i++) {
        struct item *item = &batch->items[i];
        if (!item->asked)
            item->over = true;
        else if (!item->over && !choose_content(item))
            leave(batch, i);
    }
}

/* ---- one file ---- */

/* Whether the bytes are the file's. */
static bool is_right(const struct item *item, const void *data, struct manifest *manifest)
{
    if (manifest_init(manifest, item->size_bytes, NULL) != ERROR_NONE)
        return false;
    if (manifest->piece_count > 0)
        content_hash_piece(item->size_bytes, data, (size_t)item->size_bytes, manifest->hashes[0]);
    manifest_seal(manifest);
    if (content_id_equal(&manifest->id, &item->content))
        return true;
    manifest_done(manifest);
    return false;
}

static enum error_code write_file(struct batch *batch, const void *data, size_t length,
                                  struct share_incoming **incoming)
{
    const struct iovec span = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    struct error error; /* the other way says it, should it still be so */

    enum error_code code = share_incoming_begin(batch->options->share, incoming, &error);
    if (code == ERROR_NONE && length > 0)
        code = share_incoming_write(*incoming, &span, 1, &error);
    if (code != ERROR_NONE)
        share_incoming_abort(take_pointer(incoming));
    if (code == ERROR_NO_SPACE) {
        batch->is_full = true;
        batch->full = error;
    }
    return code;
}

/* False: it is not that file. One that finds no room is fetched again when there is some. */
static bool take_file(struct batch *batch, size_t index, const void *data, const char *who)
{
    struct item *item = &batch->items[index];
    struct batch_arrival arrival = {.who = who};

    if (!is_right(item, data, &arrival.manifest))
        return false;
    if (!is_open(batch, index)) {
        manifest_done(&arrival.manifest);
    } else if (write_file(batch, data, (size_t)item->size_bytes, &arrival.incoming)) {
        manifest_done(&arrival.manifest);
        if (!batch->is_full)
            leave(batch, index);
    } else {
        item->over = true;
        batch->taker->arrived(batch->taker->context, index, &arrival);
    }
    return true;
}

static void take_empty_files(struct batch *batch)
{
    for (size_t i = 0; i < batch->count && !is_interrupted(batch); i++) {
        struct item *item = &batch->items[i];
        if (!item->over && item->size_bytes == 0 && !take_file(batch, i, "", ""))
            leave(batch, i);
    }
}

/* ---- room ---- */

/* Whether there is room for the first one that is left. */
static bool has_room(struct batch *batch)
{
    struct share_incoming *incoming = NULL;
    size_t first = 0;

    while (first < batch->count && !is_open(batch, first))
        first++;
    if (first == batch->count)
        return true;
    enum error_code code = share_incoming_begin(batch->options->share, &incoming, &batch->full);
    if (code == ERROR_NONE && batch->items[first].size_bytes > 0)
        code = share_incoming_reserve(incoming, batch->items[first].size_bytes, &batch->full);
    share_incoming_abort(incoming);
    return code != ERROR_NO_SPACE;
}

static void wait_for_space(struct batch *batch)
{
    batch->taker->waits(batch->taker->context, batch->full.text);
    stop_event_wait_ms(interrupt_event(batch->options->interrupt), SWARM_SPACE_MS);
}

/* Before anything is fetched. */
static void wait_for_room(struct batch *batch)
{
    if (is_interrupted(batch) || has_room(batch))
        return;
    do
        wait_for_space(batch);
    while (!is_interrupted(batch) && !has_room(batch));
    batch->begin_ms = clock_boot_ms();
    batch->taker->waits(batch->taker->context, NULL);
}

/* ---- what one source sends ---- */

static void tell_place(struct group *group, size_t at)
{
    const struct batch_taker *taker = group->batch->taker;
    int64_t now_ms = clock_boot_ms();

    if (at >= group->count || now_ms - group->told_ms < BATCH_TELL_MS)
        return;
    group->told_ms = now_ms;
    size_t index = group->items[at];
    taker->at(taker->context, index, group->who, group->batch->items[index].size_bytes);
}

static void note_failed(struct group *group, size_t at)
{
    struct item *item = &group->batch->items[group->items[at]];

    item->tried++;
    item->failed = true;
}

static void take_arrived(void *context, size_t at, const void *data, size_t bytes)
{
    struct group *group = context;
    size_t index = group->items[at];

    (void)bytes;
    group->heard[at] = true;
    if (take_file(group->batch, index, data, group->who))
        group->worked = true;
    else
        note_failed(group, at);
    tell_place(group, at + 1);
}

static void take_refused(void *context, size_t at, const struct error *error)
{
    struct group *group = context;

    (void)error;
    group->heard[at] = true;
    note_failed(group, at);
}

/* What that source has said nothing of, it is not asked for again. */
static void give_up_source(struct group *group)
{
    for (size_t at = 0; at < group->count; at++)
        if (!group->heard[at])
            note_failed(group, at);
}

static int64_t stall_ms(const struct batch *batch)
{
    int64_t wanted = batch->options->stall_ms;

    return wanted > 0 && wanted < BATCH_STALL_MS ? wanted : BATCH_STALL_MS;
}

/* Whether a source that answers so for one file may well have the next one. */
static bool is_of_one_file(enum error_code code)
{
    return code == ERROR_NONE || code == ERROR_NOT_FOUND || code == ERROR_CHANGED ||
           code == ERROR_CORRUPT;
}

/* A source that sends one file a call. */
static void fetch_one_by_one(struct group *group)
{
    struct batch *batch = group->batch;
    const struct piece_client_options options = {.address = &group->address,
                                                 .channels = batch->options->channels,
                                                 .limits = batch->options->limits,
                                                 .interrupt = batch->options->interrupt,
                                                 .stall_ms = stall_ms(batch),
                                                 .impatient = true};
    auto_free void *data = memory_new(PIECE_BYTES, 1);
    struct piece_client *client = piece_client_open(&options);
    enum error_code code = ERROR_NONE;

    for (size_t at = 0; at < group->count && is_of_one_file(code); at++) {
        const struct item *item = &batch->items[group->items[at]];
        const struct piece_request request = {.name = item->file->name,
                                              .content = &item->content,
                                              .length = (size_t)item->size_bytes};
        struct error error;
        if (at > 0 && is_time_over(batch))
            break;
        if (!is_open(batch, group->items[at]))
            continue;
        code = piece_client_fetch(client, &request, data, &error);
        if (code == ERROR_NONE)
            take_arrived(group, at, data, request.length);
        else if (is_of_one_file(code))
            take_refused(group, at, &error);
    }
    piece_client_close(client);
    if (!is_of_one_file(code) && !is_interrupted(batch))
        give_up_source(group);
}

static void fetch_together(struct group *group)
{
    struct batch *batch = group->batch;
    const struct files_client_options options = {.address = &group->address,
                                                 .channels = batch->options->channels,
                                                 .limits = batch->options->limits,
                                                 .interrupt = batch->options->interrupt,
                                                 .stall_ms = stall_ms(batch)};
    const struct files_client_taker taker = {
        .arrived = take_arrived, .refused = take_refused, .context = group};
    struct files_client_file files[BATCH_MAX];
    struct error error;

    for (size_t at = 0; at < group->count; at++) {
        const struct item *item = &batch->items[group->items[at]];
        files[at] = (struct files_client_file){
            .name = item->file->name, .content = &item->content, .size_bytes = item->size_bytes};
    }
    enum error_code code = files_client_fetch(&options, files, group->count, &taker, &error);
    if (code == ERROR_UNSUPPORTED)
        fetch_one_by_one(group);
    else if (!is_interrupted(batch))
        give_up_source(group);
}

/* As much as may come in a while, after so much has come in that time. */
static int64_t extrapolate(int64_t amount, int64_t elapsed_ms, int64_t most)
{
    int64_t next = amount * BATCH_CALL_MS / (elapsed_ms > 0 ? elapsed_ms : 1);

    return next > most ? most : next > 1 ? next : 1;
}

static void fetch_group(struct group *group)
{
    struct batch *batch = group->batch;
    int64_t begin_ms = clock_boot_ms();

    group->told_ms = begin_ms - BATCH_TELL_MS;
    tell_place(group, 0);
    fetch_together(group);
    int64_t elapsed_ms = clock_boot_ms() - begin_ms;
    batch->files_max = (size_t)extrapolate((int64_t)group->count, elapsed_ms, BATCH_MAX);
    batch->bytes_max = extrapolate(group->bytes, elapsed_ms, BATCH_CALL_BYTES);
    if (group->worked)
        sources_worked(batch->options->finder, &group->address);
}

/* All that the next source of the first one has, too, as much as is asked for at once. False:
 * nothing is left to fetch. */
static bool choose_group(struct batch *batch, struct group *group)
{
    *group = (struct group){.batch = batch};
    for (size_t i = 0; i < batch->count && group->count < batch->files_max; i++) {
        struct item *item = &batch->items[i];
        if (!is_open(batch, i))
            continue;
        const struct directory_source *source = next_source(batch, item);
        if (!source) {
            leave(batch, i);
            continue;
        }
        if (group->count == 0) {
            group->address = source->addresses[0];
            swarm_describe_source(source->peer, &group->address, group->who);
        } else if (!is_same(&source->addresses[0], &group->address)) {
            continue;
        } else if (group->bytes + item->size_bytes > batch->bytes_max) {
            break;
        }
        group->bytes += item->size_bytes;
        group->items[group->count++] = i;
    }
    return group->count > 0;
}

/* The time is over. What a source has failed to send does not come back with the next batch, which
 * might take as long with it. */
static void leave_failed(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].failed && is_open(batch, i))
            leave(batch, i);
}

void batch_run(const struct batch_options *options, const struct batch_file *files, size_t count,
               const struct batch_taker *taker)
{
    struct batch batch = {.options = options,
                          .taker = taker,
                          .count = count,
                          .begin_ms = clock_boot_ms(),
                          .files_max = BATCH_FIRST_FILES,
                          .bytes_max = BATCH_FIRST_BYTES};
    auto_free struct item *items = memory_new(count, sizeof *items);
    auto_free struct group *group = memory_new(1, sizeof *group);

    batch.items = items;
    for (size_t i = 0; i < count; i++)
        items[i].file = &files[i];
    taker->at(taker->context, 0, NULL, 0);
    find_all(&batch);
    wait_for_room(&batch);
    take_empty_files(&batch);
    for (bool first = true; !is_interrupted(&batch) && !batch.is_full &&
                            (first || !is_time_over(&batch)) && choose_group(&batch, group);
         first = false)
        fetch_group(group);
    if (batch.is_full && !is_interrupted(&batch))
        wait_for_space(&batch); /* the next one goes on */
    if (!is_interrupted(&batch))
        leave_failed(&batch);
    for (size_t i = 0; i < count; i++)
        directory_sources_done(&items[i].sources);
}
