/*
 * The bytes of a journal. Pure; used by journal.c and its tests only. Reading is journal_parse.
 */
#pragma once

#include "common/buffer.h"
#include "common/json.h"
#include "common/json_writer.h"
#include "peer/downloads/journal.h"

/* Numbers of records that are no pieces: there are fewer pieces (MANIFEST_PIECES_MAX). */
#define JOURNAL_PRIORITY 0xfffffff0U /* DOWNLOAD_NORMAL; the others are next to it */
#define JOURNAL_PAUSED   0xfffffffeU
#define JOURNAL_RESUMED  0xffffffffU

/* Name, peer and addresses, as keys of an object. take: false when one of them is wrong; the job is
 * to be freed in any case (journal_job_done). */
void journal_write_wish(struct json_writer *json, const struct journal_job *job);
bool journal_take_wish(const struct json *root, struct journal_job *job);

/* Header, hashes, and a priority that is not the normal one. out->failed when the header would be
 * too long. */
void journal_format(const struct journal_job *job, struct buffer *out);

#define JOURNAL_BOOT_BYTES 40 /* a boot id as text */

/* id: zeroes while there is no content. boot: "" for a record for good, else it is a note. */
void journal_format_record(const struct content_id *id, uint32_t number, const char *boot,
                           uint8_t record[JOURNAL_RECORD_BYTES]);
