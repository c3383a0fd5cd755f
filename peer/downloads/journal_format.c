#include "peer/downloads/journal_format.h"

#include "common/json.h"
#include "common/json_writer.h"
#include "common/memory.h"
#include "common/sha256.h"
#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 3

/* Its header has no sum. */
#define VERSION_WITHOUT_SUM 2

#define SUM_BYTES 33 /* with the space before it */

/* Its ids and hashes were made in another way: what is wanted still holds, the content does not. */
#define VERSION_OTHER_HASHES 1

void journal_format_record(const struct content_id *id, uint32_t number, const char *boot,
                           uint8_t record[JOURNAL_RECORD_BYTES])
{
    uint8_t text[HASH_BYTES + 4 + JOURNAL_BOOT_BYTES];
    uint8_t hash[HASH_BYTES];
    size_t boot_length = strnlen(boot, JOURNAL_BOOT_BYTES);

    memcpy(text, id->bytes, HASH_BYTES);
    for (int i = 0; i < 4; i++)
        text[HASH_BYTES + i] = record[i] = (uint8_t)(number >> (24 - 8 * i));
    memcpy(text + HASH_BYTES + 4, boot, boot_length);
    struct iovec part = {.iov_base = text, .iov_len = HASH_BYTES + 4 + boot_length};
    sha256_hash(&part, 1, hash);
    memcpy(record + 4, hash, JOURNAL_RECORD_BYTES - 4);
}

static void append_priority(const struct journal_job *job, struct buffer *out)
{
    static const struct content_id none = {0};
    uint8_t record[JOURNAL_RECORD_BYTES];

    journal_format_record(job->has_content ? &job->manifest.id : &none,
                          JOURNAL_PRIORITY + (uint32_t)job->priority, "", record);
    buffer_append(out, record, sizeof record);
}

/* A space and the first digits of the SHA-256 of what is before it. */
static void format_sum(const char *text, size_t length, char sum[SUM_BYTES + 1])
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};
    struct content_id hash;
    char digits[CONTENT_ID_DIGITS + 1];

    sha256_hash(&part, 1, hash.bytes);
    snprintf(sum, SUM_BYTES + 1, " %.32s", content_id_format(&hash, digits));
}

static void append_sum(struct buffer *out)
{
    char sum[SUM_BYTES + 1];

    format_sum(out->data, out->length, sum);
    buffer_append(out, sum, SUM_BYTES);
}

void journal_write_wish(struct json_writer *json, const struct journal_job *job)
{
    char text[ADDRESS_TEXT_BYTES];

    json_write_string(json, "name", job->name.text);
    json_write_string(json, "peer", job->peer);
    json_begin_array(json, "addresses");
    for (size_t i = 0; i < job->address_count; i++)
        json_write_string(json, NULL, address_format(&job->addresses[i], text));
    json_end_array(json);
}

void journal_format(const struct journal_job *job, struct buffer *out)
{
    struct json_writer json;
    char id[CONTENT_ID_DIGITS + 1];

    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    json_write_integer(&json, "version", VERSION);
    journal_write_wish(&json, job);
    json_write_string(&json, "temporary", job->temporary);
    json_write_string(&json, "content",
                      job->has_content ? content_id_format(&job->manifest.id, id) : "");
    json_write_integer(&json, "size", job->has_content ? job->manifest.size_bytes : 0);
    json_end_object(&json);
    append_sum(out);
    buffer_append_char(out, '\n');
    if (out->length > JOURNAL_HEADER_MAX)
        out->failed = true;
    if (job->has_content && job->manifest.piece_count > 0)
        buffer_append(out, job->manifest.hashes, job->manifest.piece_count * HASH_BYTES);
    if (job->priority != DOWNLOAD_NORMAL)
        append_priority(job, out);
}

void journal_job_done(struct journal_job *job)
{
    free(job->peer);
    free(job->addresses);
    free(job->held);
    manifest_done(&job->manifest);
    *job = (struct journal_job){.peer = NULL};
}

static bool take_addresses(const struct json *list, struct journal_job *job)
{
    size_t count = json_count(list);

    if (!json_is_array(list) || count > JOURNAL_ADDRESSES_MAX)
        return false;
    job->addresses = memory_new(count + 1, sizeof *job->addresses);
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        const char *text = json_string(item);
        if (!text || address_parse(text, false, &job->addresses[job->address_count++], NULL))
            return false;
    }
    return true;
}

bool journal_take_wish(const struct json *root, struct journal_job *job)
{
    const char *name = json_string(json_find(root, "name"));
    const char *peer = json_string(json_find(root, "peer"));

    if (!name || !peer || file_name_parse_path(name, strlen(name), &job->name, NULL))
        return false;
    job->peer = memory_copy_string(peer);
    return take_addresses(json_find(root, "addresses"), job);
}

static bool take_temporary(const struct json *root, struct journal_job *job)
{
    const char *temporary = json_string(json_find(root, "temporary"));

    if (!temporary || strlen(temporary) >= sizeof job->temporary)
        return false;
    snprintf(job->temporary, sizeof job->temporary, "%s", temporary);
    return true;
}

static bool take_content(const struct json *root, struct journal_job *job)
{
    const char *content = json_string(json_find(root, "content"));
    struct content_id id;
    int64_t size;

    if (content && !content[0])
        return true;
    if (!content || !content_id_parse(content, &id) ||
        !json_integer(json_find(root, "size"), &size) || manifest_init(&job->manifest, size, NULL))
        return false;
    job->manifest.id = id;
    job->has_content = true;
    return true;
}

/* Takes a sum off the end of the line; false: it has none that is right. */
static bool take_sum(const char *line, size_t *length)
{
    char sum[SUM_BYTES + 1];

    if (*length < SUM_BYTES)
        return false;
    format_sum(line, *length - SUM_BYTES, sum);
    if (memcmp(line + *length - SUM_BYTES, sum, SUM_BYTES) != 0)
        return false;
    *length -= SUM_BYTES;
    return true;
}

static bool take_header(const char *line, size_t length, struct journal_job *job)
{
    auto_json *root = NULL;
    bool has_sum = take_sum(line, &length);
    int64_t version;

    if (json_parse(line, length, &root, NULL) || !json_is_object(root) ||
        !json_integer(json_find(root, "version"), &version) || !journal_take_wish(root, job) ||
        !take_temporary(root, job))
        return false;
    if (version == VERSION_OTHER_HASHES) {
        job->temporary[0] = '\0';
        return true;
    }
    return version == (has_sum ? VERSION : VERSION_WITHOUT_SUM) && take_content(root, job);
}

static bool take_hashes(const char *data, size_t length, struct journal_job *job)
{
    size_t bytes = job->manifest.piece_count * HASH_BYTES;

    if (!job->has_content)
        return true;
    if (length < bytes)
        return false;
    if (bytes > 0)
        memcpy(job->manifest.hashes, data, bytes);
    job->held = memory_new(job->manifest.piece_count / 8 + 1, 1);
    return manifest_check(&job->manifest, NULL) == ERROR_NONE;
}

static bool is_record(const uint8_t *record, const struct content_id *id, uint32_t number,
                      const char *boot)
{
    uint8_t expected[JOURNAL_RECORD_BYTES];

    journal_format_record(id, number, boot, expected);
    return memcmp(record, expected, sizeof expected) == 0;
}

static bool is_priority(uint32_t number)
{
    return download_priority_is_valid((int32_t)(number - JOURNAL_PRIORITY));
}

static bool take_record(const uint8_t *record, const char *boot, struct journal_job *job)
{
    const struct content_id *id = &job->manifest.id;
    uint32_t number = (uint32_t)record[0] << 24 | (uint32_t)record[1] << 16 |
                      (uint32_t)record[2] << 8 | record[3];

    if (number >= job->manifest.piece_count && number < JOURNAL_PAUSED && !is_priority(number))
        return false;
    if (!is_record(record, id, number, "") && (!boot[0] || !is_record(record, id, number, boot)))
        return false;
    if (number >= JOURNAL_PAUSED)
        job->paused = number == JOURNAL_PAUSED;
    else if (is_priority(number))
        job->priority = (enum download_priority)(int32_t)(number - JOURNAL_PRIORITY);
    else
        job->held[number / 8] |= (uint8_t)(1U << number % 8);
    return true;
}

/* Returns the bytes up to the end of the last good record. */
static size_t take_records(const uint8_t *data, size_t length, const char *boot,
                           struct journal_job *job)
{
    size_t good = 0;

    for (size_t at = 0; length - at >= JOURNAL_RECORD_BYTES; at += JOURNAL_RECORD_BYTES)
        if (take_record(data + at, boot, job))
            good = at + JOURNAL_RECORD_BYTES;
    return good;
}

enum error_code journal_parse(const char *data, size_t length, const char *boot,
                              struct journal_job *job, struct error *error)
{
    size_t most = length < JOURNAL_HEADER_MAX ? length : JOURNAL_HEADER_MAX;
    const char *end = most ? memchr(data, '\n', most) : NULL;

    *job = (struct journal_job){.peer = NULL};
    size_t at = end ? (size_t)(end - data) + 1 : 0;
    if (!end || !take_header(data, at - 1, job) || !take_hashes(data + at, length - at, job)) {
        journal_job_done(job);
        return error_set(error, ERROR_CORRUPT, "this is no journal of a download");
    }
    at += job->manifest.piece_count * HASH_BYTES;
    job->good_bytes = at + take_records((const uint8_t *)data + at, length - at, boot, job);
    return ERROR_NONE;
}
