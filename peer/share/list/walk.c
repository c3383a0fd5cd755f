#include "peer/share/list/walk.h"

#include "common/memory.h"
#include "peer/share/share_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walk {
    const struct share *share;
    struct listing_builder *builder;
    size_t folders, left_out;
    const struct walk_visitor *visitor; /* may be NULL */
    char path[FILE_PATH_MAX_BYTES + 1]; /* so far */
};

/* A folder on the way, and the folders in it: they come when all of its files are there, so that
 * SHARE_FILES_MAX leaves out those that lie deep. */
struct level {
    int folder;
    size_t length; /* bytes of its path with the '/' at its end */
    int parts;     /* that a file in it has */
    char **names;
    size_t count, capacity;
};

/* As a rule the owner's bits say it; the rest, such as lists of access, the kernel knows better. */
static bool is_readable(int folder, const char *name, const struct stat *status)
{
    if (status->st_uid == geteuid() && status->st_mode & S_IRUSR)
        return true;
    return faccessat(folder, name, R_OK, AT_EACCESS) == 0;
}

static int look_at(int folder, const char *name, struct walk_found *found)
{
    struct stat status;

    *found = (struct walk_found){.kind = WALK_NOTHING};
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    if (S_ISDIR(status.st_mode)) {
        found->kind = WALK_FOLDER;
    } else if (S_ISREG(status.st_mode) && is_readable(folder, name, &status)) {
        found->kind = WALK_FILE;
        found->identity = share_identity_of(&status);
        found->linked = status.st_nlink > 1;
    }
    return 0;
}

static void add_folder(struct level *level, const char *name)
{
    if (level->count == level->capacity) {
        level->capacity = level->capacity ? level->capacity * 2 : 16;
        level->names = memory_resize(level->names, level->capacity, sizeof *level->names);
    }
    level->names[level->count++] = memory_copy_string(name);
}

/* What is in a folder has one part more, and at least two bytes. */
static bool is_beyond_limits(const struct walk *walk, const struct level *level, size_t length,
                             bool folder)
{
    return level->length + length + (folder ? 2 : 0) > FILE_PATH_MAX_BYTES ||
           level->parts + folder > FILE_PATH_PARTS_MAX ||
           (folder ? walk->folders == SHARE_FOLDERS_MAX
                   : listing_builder_count(walk->builder) == SHARE_FILES_MAX);
}

static void take_entry(struct walk *walk, struct level *level, const struct dirent *entry)
{
    struct walk_found found = {.kind = entry->d_type == DT_DIR ? WALK_FOLDER : WALK_NOTHING};
    size_t length = strlen(entry->d_name);
    struct file_name name;

    if (entry->d_type != DT_DIR && entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN)
        return;
    if (file_name_parse(entry->d_name, length, &name, NULL) || file_name_is_hidden(&name))
        return;
    if (entry->d_type != DT_DIR)
        (void)look_at(level->folder, entry->d_name, &found);
    if (found.kind == WALK_NOTHING)
        return;
    if (is_beyond_limits(walk, level, length, found.kind == WALK_FOLDER)) {
        walk->left_out++;
    } else if (found.kind == WALK_FOLDER) {
        walk->folders++;
        add_folder(level, name.text);
    } else {
        memcpy(walk->path + level->length, name.text, length + 1);
        listing_builder_add(walk->builder, &(struct listed){.name = walk->path,
                                                            .identity = &found.identity,
                                                            .linked = found.linked});
    }
}

static int read_entries(struct walk *walk, struct level *level)
{
    DIR *stream = share_stream_open(level->folder);
    struct dirent *entry;

    if (!stream)
        return errno;
    while (errno = 0, (entry = readdir(stream)))
        take_entry(walk, level, entry);
    int reason = errno;
    closedir(stream);
    return reason;
}

static int walk_level(struct walk *walk, struct level *level);

/* Without descriptors or memory nothing can be told. Else it is that one folder that has gone, that
 * we may not read, or whose disk or mount is broken: it holds nothing, and the others do. */
static int reason_of_all(int reason)
{
    return reason == EMFILE || reason == ENFILE || reason == ENOMEM ? reason : 0;
}

static int walk_into(struct walk *walk, const struct level *above, const char *name)
{
    size_t length = strlen(name);
    auto_close int folder = share_step(walk->share, above->folder, name);
    struct level level = {
        .folder = folder, .length = above->length + length + 1, .parts = above->parts + 1};

    if (folder < 0)
        return reason_of_all(errno);
    memcpy(walk->path + above->length, name, length + 1);
    if (walk->visitor)
        walk->visitor->visit(walk->visitor->context, walk->path);
    walk->path[level.length - 1] = '/';
    return reason_of_all(walk_level(walk, &level));
}

static int walk_level(struct walk *walk, struct level *level)
{
    int reason = read_entries(walk, level);

    for (size_t i = 0; i < level->count; i++) {
        if (reason == 0)
            reason = walk_into(walk, level, level->names[i]);
        free(level->names[i]);
    }
    free(level->names);
    return reason;
}

enum error_code walk_share(struct share *share, const struct walk_visitor *visitor,
                           struct listing *like, struct listing **listing, struct error *error)
{
    auto_close int folder = -1;
    enum error_code code = share_folder_open(share, &folder, error);
    struct level top = {.folder = folder, .parts = 1};
    struct walk walk = {.share = share, .visitor = visitor};

    if (code)
        return code;
    walk.builder = listing_builder_new();
    int reason = walk_level(&walk, &top);
    if (reason != 0) {
        listing_builder_free(walk.builder);
        return share_unavailable(error, reason);
    }
    *listing = listing_builder_finish(walk.builder, walk.left_out, like);
    return ERROR_NONE;
}

/* ---- single places ---- */

bool walk_is_path(const char *path)
{
    struct file_name name;

    return file_name_parse_path(path, strlen(path), &name, NULL) == ERROR_NONE &&
           !file_name_is_hidden(&name);
}

void walk_places_init(struct walk_places *places, struct share *share, int top)
{
    *places = (struct walk_places){.share = share, .top = top, .folder = -1};
}

void walk_places_done(struct walk_places *places)
{
    if (places->folder >= 0)
        close(places->folder);
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The folder that the path's last part is in; -1 (errno): none. */
static int open_place(struct walk_places *places, const char *path)
{
    size_t length = (size_t)(base_of(path) - path);
    size_t done = 0;

    if (length == 0)
        return places->top;
    if (places->folder >= 0 && strlen(places->path) == length &&
        memcmp(places->path, path, length) == 0)
        return places->folder;
    walk_places_done(places);
    memcpy(places->path, path, length);
    places->path[length] = '\0';
    places->folder = -1;
    for (int folder = places->top; done < length; folder = places->folder) {
        char part[FILE_NAME_MAX_BYTES + 1];
        size_t part_length = strcspn(path + done, "/");
        memcpy(part, path + done, part_length);
        part[part_length] = '\0';
        int next = share_step(places->share, folder, part);
        int reason = errno;
        walk_places_done(places);
        places->folder = next;
        errno = reason;
        if (next < 0)
            return -1;
        done += part_length + 1;
    }
    return places->folder;
}

bool walk_look_at(struct walk_places *places, const char *path, struct walk_found *found)
{
    int folder = open_place(places, path);
    int reason = folder < 0 ? errno : look_at(folder, base_of(path), found);

    if (reason != 0)
        *found = (struct walk_found){.kind = WALK_NOTHING};
    return reason_of_all(reason) == 0;
}

static int count_parts(const char *path)
{
    int parts = 1;

    for (const char *c = path; *c; c++)
        parts += *c == '/';
    return parts;
}

bool walk_folder(struct walk_places *places, const char *path, const struct walk_visitor *visitor,
                 struct listing_builder *builder, size_t *folders)
{
    struct walk walk = {.share = places->share, .builder = builder, .visitor = visitor};
    const char *base = base_of(path);
    struct level above = {.folder = open_place(places, path),
                          .length = (size_t)(base - path),
                          .parts = count_parts(path)};

    if (above.folder < 0)
        return reason_of_all(errno) == 0;
    if (is_beyond_limits(&walk, &above, strlen(base), true))
        return false;
    memcpy(walk.path, path, above.length);
    walk.folders = 1;
    int reason = walk_into(&walk, &above, base);
    *folders += walk.folders;
    return reason == 0 && walk.left_out == 0;
}
