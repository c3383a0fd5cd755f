#include "peer/share/list/listing.h"

#include "common/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A change copies a page: the smaller, the cheaper, but there are more of them to count. New pages
 * are half full. One with less than the least is put together with its neighbour. */
#define PAGE_MAX 512
#define PAGE_NEW (PAGE_MAX / 2)
#define PAGE_MIN (PAGE_MAX / 8)

struct entry {
    struct share_identity identity;
    uint32_t name; /* where in the page's names */
    bool linked;
};

/* Shared by lists; does not change. */
struct page {
    atomic_size_t references;
    size_t count; /* never 0 */
    int64_t bytes;
    size_t linked;
    char *names;
    struct entry entries[];
};

struct listing {
    atomic_size_t references;
    size_t count, linked, left_out;
    int64_t bytes;
    size_t page_count;
    struct page *pages[];
};

/* ---- pages ---- */

static struct page *make_page(const struct listed *files, size_t count)
{
    size_t names_bytes = 0;

    for (size_t i = 0; i < count; i++)
        names_bytes += strlen(files[i].name) + 1;
    size_t entries_bytes = sizeof(struct page) + count * sizeof(struct entry);
    struct page *page = memory_new(1, entries_bytes + names_bytes);
    char *name = (char *)page + entries_bytes;

    page->count = count;
    page->names = name;
    atomic_init(&page->references, 1);
    for (size_t i = 0; i < count; i++) {
        page->entries[i] = (struct entry){.identity = *files[i].identity,
                                          .name = (uint32_t)(name - page->names),
                                          .linked = files[i].linked};
        page->bytes += files[i].identity->size_bytes;
        page->linked += files[i].linked;
        name = stpcpy(name, files[i].name) + 1;
    }
    return page;
}

static void release_page(struct page *page)
{
    if (atomic_fetch_sub(&page->references, 1) == 1)
        free(page);
}

static struct listed file_of(const struct page *page, size_t entry)
{
    const struct entry *found = &page->entries[entry];

    return (struct listed){
        .name = page->names + found->name, .identity = &found->identity, .linked = found->linked};
}

/* ---- lists ---- */

/* Pages on their way into a list. */
struct pages {
    struct page **items;
    size_t count, capacity;
};

/* Takes the page's reference. */
static void add_page(struct pages *pages, struct page *page)
{
    if (pages->count == pages->capacity) {
        pages->capacity = pages->capacity ? 2 * pages->capacity : 16;
        pages->items = memory_resize(pages->items, pages->capacity, sizeof(struct page *));
    }
    pages->items[pages->count++] = page;
}

/* Of nearly equal size. */
static void add_pages(struct pages *pages, const struct listed *files, size_t count, size_t size)
{
    size_t page_count = (count + size - 1) / size;

    for (size_t i = 0, begin = 0; i < page_count; i++) {
        size_t end = count * (i + 1) / page_count;
        add_page(pages, make_page(files + begin, end - begin));
        begin = end;
    }
}

static struct listing *make_listing(struct pages *pages, size_t left_out)
{
    struct listing *listing = memory_new(1, sizeof *listing + pages->count * sizeof(struct page *));

    atomic_init(&listing->references, 1);
    listing->left_out = left_out;
    listing->page_count = pages->count;
    for (size_t i = 0; i < pages->count; i++) {
        const struct page *page = listing->pages[i] = pages->items[i];
        listing->count += page->count;
        listing->bytes += page->bytes;
        listing->linked += page->linked;
    }
    free(pages->items);
    return listing;
}

struct listing *listing_hold(struct listing *listing)
{
    atomic_fetch_add(&listing->references, 1);
    return listing;
}

void listing_release(struct listing *listing)
{
    if (!listing || atomic_fetch_sub(&listing->references, 1) > 1)
        return;
    for (size_t i = 0; i < listing->page_count; i++)
        release_page(listing->pages[i]);
    free(listing);
}

size_t listing_count(const struct listing *listing)
{
    return listing->count;
}

int64_t listing_bytes(const struct listing *listing)
{
    return listing->bytes;
}

size_t listing_linked(const struct listing *listing)
{
    return listing->linked;
}

size_t listing_left_out(const struct listing *listing)
{
    return listing->left_out;
}

/* The last page whose first name is not after that one; the first page where there is none. */
static size_t page_for(const struct listing *listing, const char *name)
{
    size_t low = 0;
    size_t high = listing->page_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(file_of(listing->pages[middle], 0).name, name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct listing_cursor listing_seek(const struct listing *listing, const char *name)
{
    struct listing_cursor cursor = {.listing = listing};

    if (listing->page_count == 0)
        return cursor;
    cursor.page = page_for(listing, name);
    const struct page *page = listing->pages[cursor.page];
    size_t high = page->count;
    while (cursor.entry < high) {
        size_t middle = cursor.entry + (high - cursor.entry) / 2;
        if (strcmp(file_of(page, middle).name, name) < 0)
            cursor.entry = middle + 1;
        else
            high = middle;
    }
    return cursor;
}

static bool peek(struct listing_cursor *cursor, struct listed *file)
{
    if (cursor->page < cursor->listing->page_count &&
        cursor->entry == cursor->listing->pages[cursor->page]->count) {
        cursor->page++;
        cursor->entry = 0;
    }
    if (cursor->page == cursor->listing->page_count)
        return false;
    *file = file_of(cursor->listing->pages[cursor->page], cursor->entry);
    return true;
}

bool listing_next(struct listing_cursor *cursor, struct listed *file)
{
    bool any = peek(cursor, file);

    cursor->entry += any;
    return any;
}

bool listing_find(const struct listing *listing, const char *name, struct listed *file)
{
    struct listing_cursor cursor = listing_seek(listing, name);

    return listing_next(&cursor, file) && strcmp(file->name, name) == 0;
}

void listed_name(const char *listed, struct file_name *name)
{
    memcpy(name->text, listed, strlen(listed) + 1);
}

/* ---- differences ---- */

/* Skips the pages that both have in the same place. */
static void skip_common(struct listing_cursor *from, struct listing_cursor *to)
{
    while (from->entry == 0 && to->entry == 0 && from->page < from->listing->page_count &&
           to->page < to->listing->page_count &&
           from->listing->pages[from->page] == to->listing->pages[to->page]) {
        from->page++;
        to->page++;
    }
}

static void tell(void (*call)(void *, const struct listed *), void *context,
                 const struct listed *file)
{
    if (call)
        call(context, file);
}

void listing_compare(const struct listing *from, const struct listing *to,
                     const struct listing_difference *difference)
{
    struct listing_cursor old = {.listing = from};
    struct listing_cursor new = {.listing = to};

    for (;;) {
        struct listed gone, come;
        bool has_gone = peek(&old, &gone);
        bool has_come = peek(&new, &come);
        if (!has_gone && !has_come)
            break;
        if (old.entry == 0 && new.entry == 0 && has_gone && has_come &&
            from->pages[old.page] == to->pages[new.page]) {
            skip_common(&old, &new);
            continue;
        }
        int order = !has_gone ? 1 : !has_come ? -1 : strcmp(gone.name, come.name);
        bool same = order == 0 && share_identity_equal(gone.identity, come.identity);
        if (order <= 0 && !same)
            tell(difference->gone, difference->context, &gone);
        if (order >= 0 && !same)
            tell(difference->come, difference->context, &come);
        old.entry += order <= 0;
        new.entry += order >= 0;
    }
}

static void note_difference(void *context, const struct listed *file)
{
    (void)file;
    *(bool *)context = true;
}

bool listing_equal(const struct listing *left, const struct listing *right)
{
    bool differs = left->count != right->count || left->bytes != right->bytes;
    const struct listing_difference difference = {
        .gone = note_difference, .come = note_difference, .context = &differs};

    if (left != right && !differs)
        listing_compare(left, right, &difference);
    return !differs;
}

/* ---- making ---- */

struct built {
    struct share_identity identity;
    size_t name; /* where in the names */
    bool linked;
};

struct listing_builder {
    struct built *items;
    size_t count, capacity;
    char *names;
    size_t names_bytes, names_capacity;
};

struct listing_builder *listing_builder_new(void)
{
    return memory_new(1, sizeof(struct listing_builder));
}

void listing_builder_free(struct listing_builder *builder)
{
    if (!builder)
        return;
    free(builder->items);
    free(builder->names);
    free(builder);
}

size_t listing_builder_count(const struct listing_builder *builder)
{
    return builder->count;
}

void listing_builder_add(struct listing_builder *builder, const struct listed *file)
{
    size_t length = strlen(file->name) + 1;

    if (builder->count == builder->capacity) {
        builder->capacity = builder->capacity ? 2 * builder->capacity : 16;
        builder->items = memory_resize(builder->items, builder->capacity, sizeof *builder->items);
    }
    while (builder->names_bytes + length > builder->names_capacity) {
        builder->names_capacity = builder->names_capacity ? 2 * builder->names_capacity : 1024;
        builder->names = memory_resize(builder->names, builder->names_capacity, 1);
    }
    memcpy(builder->names + builder->names_bytes, file->name, length);
    builder->items[builder->count++] = (struct built){
        .identity = *file->identity, .name = builder->names_bytes, .linked = file->linked};
    builder->names_bytes += length;
}

/* ---- changing ---- */

/* Files that are to be in new pages together. */
struct run {
    struct listed *files;
    size_t count, capacity;
};

static void run_add(struct run *run, const struct listed *file)
{
    if (run->count == run->capacity) {
        run->capacity = run->capacity ? 2 * run->capacity : PAGE_MAX;
        run->files = memory_resize(run->files, run->capacity, sizeof *run->files);
    }
    run->files[run->count++] = *file;
}

/* Adds a page (NULL: none) with the changes that belong to it. */
static void run_merge(struct run *run, const struct page *page, const struct listed *changes,
                      size_t count)
{
    size_t page_files = page ? page->count : 0;
    size_t at = 0;

    for (size_t entry = 0; entry < page_files || at < count;) {
        struct listed old = {.name = NULL};
        int order = 1;
        if (entry < page_files) {
            old = file_of(page, entry);
            order = at < count ? strcmp(old.name, changes[at].name) : -1;
        }
        if (order >= 0 && changes[at].identity)
            run_add(run, &changes[at]);
        else if (order < 0)
            run_add(run, &old);
        entry += order <= 0;
        at += order >= 0;
    }
}

static void run_end(struct run *run, struct pages *pages)
{
    add_pages(pages, run->files, run->count, PAGE_MAX);
    run->count = 0;
}

/* How many of the changes come before the page's first file. */
static size_t count_before(const struct listed *changes, size_t count, const struct page *page)
{
    size_t before = 0;

    while (before < count && strcmp(changes[before].name, file_of(page, 0).name) < 0)
        before++;
    return before;
}

struct listing *listing_with(const struct listing *from, const struct listed *changes, size_t count)
{
    struct run run = {.count = 0};
    struct pages pages = {.count = 0};

    for (size_t i = 0; i < from->page_count; i++) {
        struct page *page = from->pages[i];
        bool last = i + 1 == from->page_count;
        size_t belong = last ? count : count_before(changes, count, from->pages[i + 1]);
        if (belong == 0 && (run.count == 0 || run.count >= PAGE_MIN)) {
            run_end(&run, &pages);
            atomic_fetch_add(&page->references, 1);
            add_page(&pages, page);
        } else {
            run_merge(&run, page, changes, belong);
        }
        changes += belong;
        count -= belong;
    }
    if (from->page_count == 0)
        run_merge(&run, NULL, changes, count);
    run_end(&run, &pages);
    free(run.files);
    return make_listing(&pages, from->left_out);
}

/* ---- finishing ---- */

static int compare_names(const void *left, const void *right)
{
    return strcmp(((const struct listed *)left)->name, ((const struct listed *)right)->name);
}

/* What makes the list of the files out of the other one. */
static void find_changes(const struct listing *from, const struct listed *files, size_t count,
                         struct run *changes)
{
    struct listing_cursor cursor = {.listing = from};
    struct listed old;
    bool any = listing_next(&cursor, &old);

    for (size_t i = 0; i < count || any;) {
        int order = i == count ? -1 : !any ? 1 : strcmp(old.name, files[i].name);
        bool same = order == 0 && old.linked == files[i].linked &&
                    share_identity_equal(old.identity, files[i].identity);
        if (order < 0)
            run_add(changes, &(struct listed){.name = old.name});
        else if (!same)
            run_add(changes, &files[i]);
        i += order >= 0;
        if (order <= 0)
            any = listing_next(&cursor, &old);
    }
}

static struct listing *make_like(struct listing *like, const struct listed *files, size_t count,
                                 size_t left_out)
{
    struct run changes = {.count = 0};
    struct listing *made;

    find_changes(like, files, count, &changes);
    if (changes.count == 0 && like->left_out == left_out)
        return listing_hold(like);
    made = listing_with(like, changes.files, changes.count);
    made->left_out = left_out;
    free(changes.files);
    return made;
}

struct listing *listing_builder_finish(struct listing_builder *builder, size_t left_out,
                                       struct listing *like)
{
    auto_free struct listed *files = memory_new(builder->count + 1, sizeof *files);
    struct pages pages = {.count = 0};
    struct listing *made;

    for (size_t i = 0; i < builder->count; i++)
        files[i] = (struct listed){.name = builder->names + builder->items[i].name,
                                   .identity = &builder->items[i].identity,
                                   .linked = builder->items[i].linked};
    qsort(files, builder->count, sizeof *files, compare_names);
    if (like) {
        made = make_like(like, files, builder->count, left_out);
    } else {
        add_pages(&pages, files, builder->count, PAGE_NEW);
        made = make_listing(&pages, left_out);
    }
    listing_builder_free(builder);
    return made;
}
