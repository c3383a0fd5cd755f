/* How a file that came gets its visible name: its bytes are made to last first, then the name. */
#include "common/memory.h"
#include "peer/share/share_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPARE_BYTES ((size_t)256 << 10)

#define TAKE_TRIES   100   /* one is enough unless somebody plays with us */
#define NUMBER_LIMIT 10000 /* "NAME (10000).ext": by then somebody repeats himself for ever */

/* So many wait for the disk together: the whole file system is synced, which costs two waits
 * instead of two for each. Fewer are synced one by one: what others have written to that file
 * system is not their business. */
#define TOGETHER_MIN 4

/* Whether both files hold the same bytes: `size` is that of the first. */
static bool is_equal_content(int file, int other, int64_t size)
{
    auto_free char *left = memory_new(COMPARE_BYTES, 1);
    auto_free char *right = memory_new(COMPARE_BYTES, 1);

    for (int64_t offset = 0; offset < size;) {
        ssize_t got = share_read_at(file, left, COMPARE_BYTES, offset);
        if (got <= 0 || share_read_at(other, right, COMPARE_BYTES, offset) != got ||
            memcmp(left, right, (size_t)got) != 0)
            return false;
        offset += got;
    }
    return true;
}

/* Where a file is to be. */
struct target {
    int place;        /* the folder */
    const char *base; /* the name in it */
};

enum existing { EXISTING_EQUAL, EXISTING_OTHER, EXISTING_GONE };

/* What is there under the wanted name. An equal file is made as lasting as ours would be. */
static enum existing look_at_existing(struct share_commit *commit, const struct target *target)
{
    const struct share_incoming *incoming = commit->incoming;
    int64_t size = atomic_load(&incoming->written);
    auto_close int other = -1;
    struct stat status;

    if (fstatat(target->place, target->base, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? EXISTING_GONE : EXISTING_OTHER;
    if (share_regular_open(target->place, target->base, &other, &status, NULL) ||
        status.st_size != size || !is_equal_content(incoming->file, other, size))
        return EXISTING_OTHER;
    commit->identity = share_identity_of(&status);
    return fsync(other) == 0 ? EXISTING_EQUAL : EXISTING_OTHER;
}

/* Gives the file its visible name unless that is taken (errno EEXIST). */
static bool link_visible(const struct share_incoming *incoming, const struct target *target)
{
    int folder = incoming->folder;

    /* Differs: the reference overwrites, and leaves half a file when a transfer breaks. */
    if (renameat2(folder, incoming->temporary, target->place, target->base, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    /* A file system, such as NFS, without the flag. */
    if (linkat(folder, incoming->temporary, target->place, target->base, 0) < 0)
        return false;
    unlinkat(folder, incoming->temporary, 0);
    return true;
}

bool share_sync_folder(int folder)
{
    /* EINVAL: a file system whose folders cannot be synced has nothing better to offer. */
    return fsync(folder) == 0 || errno == EINVAL;
}

/* ---- one file ---- */

static bool has_failed(const struct share_commit *commit)
{
    return commit->error.code != ERROR_NONE;
}

/* A write that failed half-way may have left bytes that were never acknowledged. */
static void cut(struct share_commit *commit)
{
    const struct share_incoming *incoming = commit->incoming;

    commit->error = (struct error){0};
    commit->place = -1;
    if (file_name_is_hidden(&commit->name))
        error_set(&commit->error, ERROR_INVALID,
                  "Nombre de archivo inválido: '%s' sería un archivo oculto", commit->name.text);
    else if (incoming->temporary[0] == '\0')
        share_write_failed(&commit->error, EIO);
    else if ((!incoming->exact && ftruncate(incoming->file, atomic_load(&incoming->written)) < 0) ||
             fchmod(incoming->file, 0644) < 0)
        share_write_failed(&commit->error, errno);
}

static void sync_bytes(struct share_commit *commit)
{
    if (!has_failed(commit) && fsync(commit->incoming->file) < 0)
        share_write_failed(&commit->error, errno);
}

/* Takes one candidate name; ERROR_EXISTS when it has other content. */
static enum error_code take_one(struct share_commit *commit, const struct file_name *name,
                                struct error *error)
{
    const struct target target = {.place = commit->place, .base = file_name_base(name)};
    const struct share_incoming *incoming = commit->incoming;

    for (int i = 0; i < TAKE_TRIES; i++) {
        commit->visible = link_visible(incoming, &target);
        if (commit->visible)
            return ERROR_NONE;
        if (errno != EEXIST)
            return share_write_failed(error, errno);
        enum existing existing = look_at_existing(commit, &target);
        if (existing == EXISTING_OTHER)
            break;
        if (existing == EXISTING_EQUAL && share_sync_folder(commit->place)) {
            unlinkat(incoming->folder, incoming->temporary, 0);
            return ERROR_NONE;
        }
    }
    return error_set(error, ERROR_EXISTS, "Ya existe %s", name->text);
}

static void take_name(struct share_commit *commit)
{
    unsigned last = commit->conflict == SHARE_NUMBER ? NUMBER_LIMIT : 0;
    enum error_code code = commit->error.code;

    commit->visible = false;
    if (!code)
        code = share_place_make(commit->incoming, &commit->name, &commit->place, &commit->error);
    if (code)
        return;
    for (unsigned number = 0; number <= last; number++) {
        if (!file_name_numbered(&commit->name, number, &commit->stored))
            break;
        struct error error = {0};
        code = take_one(commit, &commit->stored, &error);
        commit->error = error;
        if (code != ERROR_EXISTS)
            break;
    }
}

/* The file is visible, but its name cannot be made to last: it goes. */
static void take_name_back(struct share_commit *commit, int reason)
{
    struct share_incoming *incoming = commit->incoming;

    if (renameat2(commit->place, file_name_base(&commit->stored), incoming->folder,
                  incoming->temporary, RENAME_NOREPLACE) < 0)
        incoming->temporary[0] = '\0';
    share_write_failed(&commit->error, reason);
}

static void sync_name(struct share_commit *commit)
{
    if (!has_failed(commit) && commit->visible && !share_sync_folder(commit->place))
        take_name_back(commit, errno);
}

static void end(struct share_commit *commit)
{
    const struct share_identity unknown = {0};

    if (commit->place >= 0)
        close(commit->place);
    if (has_failed(commit))
        return;
    /* The name has changed its times: not before. */
    if (commit->visible &&
        share_identify_open(commit->incoming->file, &commit->identity, NULL) != ERROR_NONE)
        commit->identity = unknown;
    share_incoming_free(take_pointer(&commit->incoming));
}

/* ---- several ---- */

/* Calls step for all, unless they are many and their file system can be synced as a whole. */
static void sync_all(struct share_commit *const *commits, size_t count,
                     void (*step)(struct share_commit *commit))
{
    if (count >= TOGETHER_MIN && syncfs(commits[0]->incoming->folder) == 0)
        return;
    for (size_t i = 0; i < count; i++)
        step(commits[i]); /* which of them it was that could not be written, shows here */
}

/* All of one file system. */
static void commit_together(struct share_commit *const *commits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cut(commits[i]);
    sync_all(commits, count, sync_bytes);
    for (size_t i = 0; i < count; i++)
        take_name(commits[i]);
    sync_all(commits, count, sync_name);
    for (size_t i = 0; i < count; i++)
        end(commits[i]);
}

static dev_t disk_of(const struct share_commit *commit)
{
    struct stat status;

    return fstat(commit->incoming->file, &status) == 0 ? status.st_dev : 0;
}

void share_commit_all(struct share_commit *const *commits, size_t count)
{
    size_t end;

    /* As a rule there is one: unless the shared folder was replaced meanwhile. */
    for (size_t begin = 0; begin < count; begin = end) {
        dev_t disk = disk_of(commits[begin]);
        for (end = begin + 1; end < count && disk_of(commits[end]) == disk;)
            end++;
        commit_together(commits + begin, end - begin);
    }
}

enum error_code share_incoming_commit(struct share_incoming *incoming, const struct file_name *name,
                                      enum share_conflict conflict, struct file_name *stored,
                                      struct error *error)
{
    struct share_commit commit = {.incoming = incoming, .name = *name, .conflict = conflict};
    struct share_commit *const one = &commit;

    share_commit_all(&one, 1);
    if (!has_failed(&commit))
        *stored = commit.stored;
    else if (error)
        *error = commit.error;
    return commit.error.code;
}
