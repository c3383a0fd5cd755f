#include "peer/downloads/wanted.h"

#include "common/file_io.h"
#include "common/json.h"
#include "common/json_writer.h"
#include "common/memory.h"
#include "peer/downloads/journal_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)64 << 10)
#define FILE_MAX_BYTES ((size_t)1 << 30)

/* Lines of jobs that are over are left out of a new file when they are as many bytes as the others,
 * and so many more. */
#define DEAD_MAX_BYTES ((size_t)256 << 10)

struct line {
    uint64_t id;
    char *text; /* with its '\n'; NULL: it is over */
};

struct wanted {
    char *path;

    pthread_mutex_t lock; /* guards what follows; held while the file is written */
    int file;
    struct line *lines; /* by id */
    size_t count;
    size_t capacity;
    size_t live; /* lines that are not over, */
    size_t live_bytes;
    size_t file_bytes;
};

static enum error_code failed(const char *path, struct error *error)
{
    return error_set_errno(error, errno, "%s", path);
}

/* ---- a line ---- */

static enum error_code format_line(uint64_t id, const struct journal_job *job, struct buffer *out,
                                   struct error *error)
{
    struct json_writer json;

    buffer_init(out, LINE_MAX_BYTES);
    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    json_write_integer(&json, "id", (int64_t)id);
    journal_write_wish(&json, job);
    json_write_integer(&json, "priority", job->priority);
    json_write_boolean(&json, "paused", job->paused);
    json_end_object(&json);
    buffer_append_char(out, '\n');
    buffer_append_char(out, '\0');
    return out->failed ? error_set(error, ERROR_TOO_LARGE, "demasiadas direcciones") : ERROR_NONE;
}

static bool take_wish(const struct json *root, struct journal_job *job)
{
    int64_t priority;

    if (!journal_take_wish(root, job) || !json_integer(json_find(root, "priority"), &priority) ||
        !download_priority_is_valid(priority) ||
        !json_boolean(json_find(root, "paused"), &job->paused))
        return false;
    job->priority = (enum download_priority)priority;
    return true;
}

/* ---- lines in memory ---- */

/* The place of the id, or where it would be. */
static size_t find_place(const struct wanted *wanted, uint64_t id)
{
    size_t low = 0;
    size_t high = wanted->count;

    if (high > 0 && wanted->lines[high - 1].id < id)
        return high; /* as a rule: ids grow */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wanted->lines[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct line *find_line(const struct wanted *wanted, uint64_t id)
{
    size_t place = find_place(wanted, id);
    bool found = place < wanted->count && wanted->lines[place].id == id;

    return found && wanted->lines[place].text ? &wanted->lines[place] : NULL;
}

static void drop_text(struct wanted *wanted, struct line *line)
{
    wanted->live--;
    wanted->live_bytes -= strlen(line->text);
    free(line->text);
    line->text = NULL;
}

/* Those that are over make room. */
static void squeeze(struct wanted *wanted)
{
    size_t kept = 0;

    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->lines[i].text)
            wanted->lines[kept++] = wanted->lines[i];
    wanted->count = kept;
}

static void put_line(struct wanted *wanted, uint64_t id, char *text)
{
    struct line *old = find_line(wanted, id);

    if (old)
        drop_text(wanted, old);
    if (wanted->count == wanted->capacity && wanted->live < wanted->count / 2)
        squeeze(wanted);
    if (wanted->count == wanted->capacity) {
        wanted->capacity = wanted->capacity ? 2 * wanted->capacity : 16;
        wanted->lines = memory_resize(wanted->lines, wanted->capacity, sizeof *wanted->lines);
    }
    size_t place = find_place(wanted, id);
    bool replaces = place < wanted->count && wanted->lines[place].id == id;
    if (!replaces) {
        memmove(&wanted->lines[place + 1], &wanted->lines[place],
                (wanted->count - place) * sizeof *wanted->lines);
        wanted->count++;
    }
    wanted->lines[place] = (struct line){.id = id, .text = text};
    wanted->live++;
    wanted->live_bytes += strlen(text);
}

/* ---- the file ---- */

static enum error_code write_text(struct wanted *wanted, const char *text, size_t length,
                                  struct error *error)
{
    size_t done = 0;

    while (done < length) {
        ssize_t wrote = write(wanted->file, text + done, length - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            enum error_code code = failed(wanted->path, error);
            (void)!ftruncate(wanted->file, (off_t)wanted->file_bytes); /* no half line */
            return code;
        }
        done += (size_t)wrote;
    }
    wanted->file_bytes += length;
    return ERROR_NONE;
}

/* The live lines alone take the place of the file. */
static enum error_code rewrite(struct wanted *wanted, struct error *error)
{
    auto_buffer all;

    buffer_init(&all, FILE_MAX_BYTES);
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->lines[i].text)
            buffer_append_string(&all, wanted->lines[i].text);
    if (all.failed)
        return error_set(error, ERROR_TOO_LARGE, "%s: too long", wanted->path);
    enum error_code code =
        file_replace(wanted->path, all.length ? all.data : "", all.length, 0600, error);
    if (code != ERROR_NONE)
        return code;
    int file = open(wanted->path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return failed(wanted->path, error);
    if (wanted->file >= 0)
        close(wanted->file);
    wanted->file = file;
    wanted->file_bytes = all.length;
    return ERROR_NONE;
}

/* What is over is left out: at once when nothing else is there, which costs nothing. */
static void tidy(struct wanted *wanted)
{
    struct error ignored; /* it goes on as it is, only longer */

    if (wanted->live == 0 && ftruncate(wanted->file, 0) == 0) {
        wanted->file_bytes = 0;
        wanted->count = 0;
    } else if (wanted->file_bytes > 2 * wanted->live_bytes + DEAD_MAX_BYTES) {
        (void)rewrite(wanted, &ignored);
    }
}

/* ---- reading ---- */

static bool take_line(struct wanted *wanted, const char *text, size_t length)
{
    struct journal_job job = {.peer = NULL};
    auto_json *root = NULL;
    int64_t id;
    bool over = false;

    if (json_parse(text, length, &root, NULL) || !json_is_object(root) ||
        !json_integer(json_find(root, "id"), &id) || id <= 0)
        return false;
    (void)json_boolean(json_find(root, "over"), &over);
    bool is_good = over || take_wish(root, &job);
    journal_job_done(&job);
    if (over && find_line(wanted, (uint64_t)id))
        drop_text(wanted, find_line(wanted, (uint64_t)id));
    else if (is_good && !over)
        put_line(wanted, (uint64_t)id, memory_format("%.*s\n", (int)length, text));
    return is_good;
}

/* Returns whether all lines were good. */
static bool take_lines(struct wanted *wanted, const char *text, size_t length)
{
    bool good = true;

    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        if (!end)
            break; /* torn */
        size_t line = (size_t)(end - text);
        good = line <= LINE_MAX_BYTES && take_line(wanted, text, line) && good;
        text += line + 1;
        length -= line + 1;
    }
    return good;
}

static enum error_code read_file(struct wanted *wanted, bool *aside, struct error *error)
{
    auto_free char *text = NULL;
    size_t length;

    enum error_code code = file_read(wanted->path, FILE_MAX_BYTES, &text, &length, error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    *aside = !take_lines(wanted, text, length);
    auto_free char *bad = memory_format("%s.bad", wanted->path);
    if (*aside && rename(wanted->path, bad) < 0)
        return failed(bad, error);
    return ERROR_NONE;
}

enum error_code wanted_open(const char *folder, struct wanted **out, bool *aside,
                            struct error *error)
{
    struct wanted *wanted = memory_new(1, sizeof *wanted);

    *aside = false;
    wanted->path = memory_format("%s/" WANTED_FILE, folder);
    wanted->file = -1;
    pthread_mutex_init(&wanted->lock, NULL);
    enum error_code code = read_file(wanted, aside, error);
    if (code == ERROR_NONE)
        code = rewrite(wanted, error);
    if (code != ERROR_NONE)
        wanted_close(wanted);
    else
        *out = wanted;
    return code;
}

void wanted_close(struct wanted *wanted)
{
    if (!wanted)
        return;
    for (size_t i = 0; i < wanted->count; i++)
        free(wanted->lines[i].text);
    free(wanted->lines);
    if (wanted->file >= 0)
        close(wanted->file);
    pthread_mutex_destroy(&wanted->lock);
    free(wanted->path);
    free(wanted);
}

/* ---- changes ---- */

static enum error_code append(struct wanted *wanted, const struct buffer *lines, bool lasting,
                              struct error *error)
{
    enum error_code code = write_text(wanted, lines->data, lines->length, error);

    if (code == ERROR_NONE && lasting && fdatasync(wanted->file) < 0)
        code = failed(wanted->path, error);
    return code;
}

static enum error_code put_all(struct wanted *wanted, const struct wanted_item *items, size_t count,
                               bool lasting, struct error *error)
{
    auto_free char **lines = memory_new(count, sizeof *lines);
    auto_buffer all;
    enum error_code code = ERROR_NONE;

    buffer_init(&all, FILE_MAX_BYTES);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        auto_buffer line;
        code = format_line(items[i].id, items[i].job, &line, error);
        if (code == ERROR_NONE)
            buffer_append_string(&all, lines[i] = memory_copy_string(line.data));
    }
    if (code == ERROR_NONE && all.failed)
        code = error_set(error, ERROR_TOO_LARGE, "%s: too long", wanted->path);
    pthread_mutex_lock(&wanted->lock);
    if (code == ERROR_NONE)
        code = append(wanted, &all, lasting, error);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        put_line(wanted, items[i].id, take_pointer(&lines[i]));
    if (code == ERROR_NONE)
        tidy(wanted);
    pthread_mutex_unlock(&wanted->lock);
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    return code;
}

enum error_code wanted_put(struct wanted *wanted, uint64_t id, const struct journal_job *job,
                           bool lasting, struct error *error)
{
    const struct wanted_item item = {.id = id, .job = job};

    return put_all(wanted, &item, 1, lasting, error);
}

enum error_code wanted_put_all(struct wanted *wanted, const struct wanted_item *items, size_t count,
                               struct error *error)
{
    return count > 0 ? put_all(wanted, items, count, false, error) : ERROR_NONE;
}

/* That it is over, in memory. Returns whether it was there. */
static bool end_line(struct wanted *wanted, uint64_t id)
{
    struct line *line = find_line(wanted, id);

    if (line)
        drop_text(wanted, line);
    return line != NULL;
}

void wanted_drop_all(struct wanted *wanted, const uint64_t *ids, size_t count)
{
    struct error ignored; /* they would be begun again at the next start, and found to be there */
    auto_buffer all;

    buffer_init(&all, FILE_MAX_BYTES);
    pthread_mutex_lock(&wanted->lock);
    for (size_t i = 0; i < count; i++) {
        if (end_line(wanted, ids[i]))
            buffer_printf(&all, "{\"id\":%" PRIu64 ",\"over\":true}\n", ids[i]);
    }
    if (all.length > 0) {
        if (wanted->live > 0 && !all.failed)
            (void)write_text(wanted, all.data, all.length, &ignored);
        tidy(wanted);
    }
    pthread_mutex_unlock(&wanted->lock);
}

void wanted_drop(struct wanted *wanted, uint64_t id)
{
    wanted_drop_all(wanted, &id, 1);
}

bool wanted_next(struct wanted *wanted, uint64_t *id, struct journal_job *job)
{
    auto_json *root = NULL;

    pthread_mutex_lock(&wanted->lock);
    size_t place = find_place(wanted, *id + 1);
    while (place < wanted->count && !wanted->lines[place].text)
        place++;
    const struct line *line = place < wanted->count ? &wanted->lines[place] : NULL;
    *job = (struct journal_job){.peer = NULL};
    bool found = line && json_parse(line->text, strlen(line->text), &root, NULL) == ERROR_NONE &&
                 take_wish(root, job);
    if (found)
        *id = line->id;
    pthread_mutex_unlock(&wanted->lock);
    return found;
}
