/* What is shared: the folder and the folders in it. */
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
    struct share_list *list;
    size_t capacity;
    size_t folders;
    bool top_only;
    const struct share_visitor *visitor; /* may be NULL */
    struct share_file file; /* the one that is looked at; in its name the path so far */
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

/* Fills the file when the entry is a shared one, but for its name. */
static bool look_at(int folder, const struct dirent *entry, struct share_file *file)
{
    struct stat status;

    if (fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode) || !is_readable(folder, entry->d_name, &status))
        return false;
    file->size_bytes = status.st_size;
    file->identity = share_identity_of(&status);
    return true;
}

static bool is_folder(int folder, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

static void add_file(struct walk *walk)
{
    struct share_list *list = walk->list;

    if (list->count == SHARE_FILES_MAX) {
        list->left_out++;
        return;
    }
    if (list->count == walk->capacity) {
        walk->capacity = walk->capacity ? walk->capacity * 2 : 16;
        list->files = memory_resize(list->files, walk->capacity, sizeof *list->files);
    }
    list->files[list->count++] = walk->file;
}

static void add_folder(struct level *level, const char *name)
{
    if (level->count == level->capacity) {
        level->capacity = level->capacity ? level->capacity * 2 : 16;
        level->names = memory_resize(level->names, level->capacity, sizeof *level->names);
    }
    level->names[level->count++] = memory_copy_string(name);
}

static void take_entry(struct walk *walk, struct level *level, const struct dirent *entry)
{
    struct file_name name;
    size_t length = strlen(entry->d_name);
    bool folder = is_folder(level->folder, entry);

    if (folder && walk->top_only)
        return;
    if ((!folder && entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) ||
        file_name_parse(entry->d_name, length, &name, NULL) || file_name_is_hidden(&name))
        return;
    if (!folder && !look_at(level->folder, entry, &walk->file))
        return;
    /* What is in a folder has one part more, and at least two bytes. */
    if (level->length + length + (folder ? 2 : 0) > FILE_PATH_MAX_BYTES ||
        level->parts + folder > FILE_PATH_PARTS_MAX ||
        (folder && walk->folders == SHARE_FOLDERS_MAX)) {
        walk->list->left_out++;
        return;
    }
    if (folder) {
        walk->folders++;
        add_folder(level, name.text);
    } else {
        memcpy(walk->file.name.text + level->length, name.text, length + 1);
        add_file(walk);
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
    char *path = walk->file.name.text;
    auto_close int folder = share_step(walk->share, above->folder, name);
    struct level level = {
        .folder = folder, .length = above->length + length + 1, .parts = above->parts + 1};

    if (folder < 0)
        return reason_of_all(errno);
    memcpy(path + above->length, name, length + 1);
    if (walk->visitor)
        walk->visitor->visit(walk->visitor->context, path);
    path[level.length - 1] = '/';
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

static int compare_names(const void *left, const void *right)
{
    const struct share_file *a = left;
    const struct share_file *b = right;

    return strcmp(a->name.text, b->name.text);
}

static enum error_code list_all(struct share *share, struct walk *walk, struct error *error)
{
    struct share_list *list = walk->list;
    auto_close int folder = -1;
    enum error_code code = share_folder_open(share, &folder, error);
    struct level top = {.folder = folder, .parts = 1};

    *list = (struct share_list){0};
    if (code)
        return code;
    walk->share = share;
    int reason = walk_level(walk, &top);
    if (reason != 0) {
        share_list_done(list);
        return share_unavailable(error, reason);
    }
    if (list->count > 0)
        qsort(list->files, list->count, sizeof *list->files, compare_names);
    return ERROR_NONE;
}

enum error_code share_walk(struct share *share, const struct share_visitor *visitor,
                           struct share_list *list, struct error *error)
{
    struct walk walk = {.list = list, .visitor = visitor};

    return list_all(share, &walk, error);
}

enum error_code share_list_files(struct share *share, struct share_list *list, struct error *error)
{
    struct walk walk = {.list = list};

    return list_all(share, &walk, error);
}

enum error_code share_list_top(struct share *share, struct share_list *list, struct error *error)
{
    struct walk walk = {.list = list, .top_only = true};

    return list_all(share, &walk, error);
}

void share_list_leave_out_folders(struct share_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (!file_name_in_folder(&list->files[i].name))
            list->files[kept++] = list->files[i];
    list->count = kept;
}

void share_list_done(struct share_list *list)
{
    free(list->files);
    *list = (struct share_list){0};
}

static uint64_t mix(uint64_t hash, const void *data, size_t length)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
}

static uint64_t mix_identity(uint64_t hash, const struct share_identity *identity)
{
    hash = mix(hash, &identity->device, sizeof identity->device);
    hash = mix(hash, &identity->inode, sizeof identity->inode);
    hash = mix(hash, &identity->size_bytes, sizeof identity->size_bytes);
    hash = mix(hash, &identity->modified_ns, sizeof identity->modified_ns);
    return mix(hash, &identity->changed_ns, sizeof identity->changed_ns);
}

uint64_t share_list_hash(const struct share_list *list, bool told_only)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < list->count; i++) {
        const struct share_file *file = &list->files[i];
        hash = mix(hash, file->name.text, strlen(file->name.text) + 1);
        if (!told_only)
            hash = mix_identity(hash, &file->identity);
        else if (file->has_content)
            hash = mix(hash, file->content.bytes, sizeof file->content.bytes);
        if (told_only && file->partial)
            hash = mix(hash, "\2", 1);
    }
    return hash;
}
