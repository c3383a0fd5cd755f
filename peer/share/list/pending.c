#include "peer/share/list/pending.h"

#include "common/memory.h"
#include "peer/share/share_private.h"

#include <stdlib.h>
#include <string.h>

void pending_clear(struct pending *pending)
{
    for (size_t i = 0; i < pending->count; i++)
        free(pending->paths[i]);
    free(pending->paths);
    *pending = (struct pending){0};
}

void pending_add_all(struct pending *pending)
{
    pending_clear(pending);
    pending->all = true;
}

bool pending_any(const struct pending *pending)
{
    return pending->all || pending->count > 0;
}

void pending_add_path(struct pending *pending, const char *path)
{
    if (pending->all || !walk_is_path(path))
        return;
    /* One file makes several events, as a rule one after the other. */
    if (pending->count > 0 && strcmp(pending->paths[pending->count - 1], path) == 0)
        return;
    if (pending->count == PENDING_MAX) {
        pending_add_all(pending);
        return;
    }
    if (pending->count == pending->capacity) {
        pending->capacity = pending->capacity ? 2 * pending->capacity : 16;
        pending->paths = memory_resize(pending->paths, pending->capacity, sizeof(char *));
    }
    pending->paths[pending->count++] = memory_copy_string(path);
}

void pending_add(struct pending *pending, const char *folder, const char *name)
{
    auto_free char *path = memory_format("%s%s%s", folder, folder[0] ? "/" : "", name);

    pending_add_path(pending, path);
}

/* ---- applying ---- */

struct names {
    const char **items;
    size_t count, capacity;
};

struct apply {
    const struct listing *from;
    const struct walk_visitor *visitor;
    struct walk_places places;
    struct listing_builder *builder; /* what is there */
    struct names walked;             /* folders, in order */
    struct names gone;               /* what was there, and may be still */
    size_t folders;
    bool failed;
};

static void add_name(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 16;
        names->items = memory_resize(names->items, names->capacity, sizeof(char *));
    }
    names->items[names->count++] = name;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static size_t sort_unique(const char **items, size_t count)
{
    size_t kept = 0;

    if (count > 1)
        qsort(items, count, sizeof *items, compare_texts);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(items[kept - 1], items[i]) != 0)
            items[kept++] = items[i];
    return kept;
}

static bool is_walked(const struct apply *apply, const char *path)
{
    char above[FILE_PATH_MAX_BYTES + 1];
    const char *key = above;

    memcpy(above, path, strlen(path) + 1);
    for (char *slash; apply->walked.count > 0 && (slash = strrchr(above, '/'));) {
        *slash = '\0';
        if (bsearch(&key, apply->walked.items, apply->walked.count, sizeof key, compare_texts))
            return true;
    }
    return false;
}

/* The file of that name, and those in a folder of that name. */
static void note_old(struct apply *apply, const char *path)
{
    auto_free char *inside = memory_format("%s/", path);
    size_t length = strlen(inside);
    struct listing_cursor cursor = listing_seek(apply->from, inside);
    struct listed file;

    if (listing_find(apply->from, path, &file))
        add_name(&apply->gone, file.name);
    while (listing_next(&cursor, &file) && strncmp(file.name, inside, length) == 0)
        add_name(&apply->gone, file.name);
}

static void look_at(struct apply *apply, const char *path)
{
    struct walk_found found;

    if (is_walked(apply, path))
        return;
    note_old(apply, path);
    if (!walk_look_at(&apply->places, path, &found)) {
        apply->failed = true;
    } else if (found.kind == WALK_FILE) {
        listing_builder_add(
            apply->builder,
            &(struct listed){.name = path, .identity = &found.identity, .linked = found.linked});
    } else if (found.kind == WALK_FOLDER) {
        add_name(&apply->walked, path);
        apply->failed =
            !walk_folder(&apply->places, path, apply->visitor, apply->builder, &apply->folders);
    }
}

/* What is to be changed, of what was there and what is there now. False: a file with several names
 * is in it. */
static bool make_changes(const struct apply *apply, const struct listing *there,
                         struct listed *changes, size_t *count)
{
    struct listing_cursor cursor = {.listing = there};
    struct listed now;
    struct listed old;
    bool any = listing_next(&cursor, &now);

    *count = 0;
    for (size_t i = 0; i < apply->gone.count || any;) {
        int order = !any ? -1 : i == apply->gone.count ? 1 : strcmp(apply->gone.items[i], now.name);
        bool was = order <= 0 && listing_find(apply->from, apply->gone.items[i], &old);
        bool same = was && order == 0 && share_identity_equal(old.identity, now.identity) &&
                    old.linked == now.linked;
        if (!same && ((was && old.linked) || (order >= 0 && now.linked)))
            return false;
        if (!same)
            changes[(*count)++] = order < 0 ? (struct listed){.name = old.name} : now;
        i += order <= 0;
        if (order >= 0)
            any = listing_next(&cursor, &now);
    }
    return true;
}

static struct listing *make_list(struct apply *apply, struct listing *from)
{
    struct listing *there = listing_builder_finish(take_pointer(&apply->builder), 0, NULL);
    struct listing *made = NULL;
    size_t count;

    apply->gone.count = sort_unique(apply->gone.items, apply->gone.count);
    auto_free struct listed *changes =
        memory_new(apply->gone.count + listing_count(there) + 1, sizeof *changes);
    if (make_changes(apply, there, changes, &count))
        made = count > 0 ? listing_with(from, changes, count) : listing_hold(from);
    listing_release(there);
    if (made && listing_count(made) > SHARE_FILES_MAX) {
        listing_release(made);
        made = NULL;
    }
    return made;
}

struct listing *pending_apply(struct pending *pending, struct share *share,
                              const struct walk_visitor *visitor, struct listing *from)
{
    struct apply apply = {.from = from, .visitor = visitor, .failed = pending->all};
    struct names paths = {.count = 0};
    struct listing *made = NULL;
    auto_close int top = -1;

    apply.failed = apply.failed || share_folder_open(share, &top, NULL) != ERROR_NONE;
    for (size_t i = 0; i < pending->count; i++)
        add_name(&paths, pending->paths[i]);
    paths.count = sort_unique(paths.items, paths.count);
    walk_places_init(&apply.places, share, top);
    apply.builder = listing_builder_new();
    for (size_t i = 0; i < paths.count && !apply.failed; i++)
        look_at(&apply, paths.items[i]);
    walk_places_done(&apply.places);
    if (!apply.failed)
        made = make_list(&apply, from);
    listing_builder_free(apply.builder);
    free(apply.walked.items);
    free(apply.gone.items);
    free(paths.items);
    pending_clear(pending);
    return made;
}
