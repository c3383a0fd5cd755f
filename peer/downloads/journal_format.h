/*
 * The bytes of a journal. Pure; used by journal.c and its tests only. Reading is journal_parse.
 */
#pragma once

#include "common/buffer.h"
#include "peer/downloads/journal.h"

/* Numbers of records that are no pieces: there are fewer pieces (MANIFEST_PIECES_MAX). */
#define JOURNAL_PAUSED  0xfffffffeU
#define JOURNAL_RESUMED 0xffffffffU

/* Header and hashes. out->failed when the header would be too long. */
void journal_format(const struct journal_job *job, struct buffer *out);

/* id: zeroes while there is no content. */
void journal_format_record(const struct content_id *id, uint32_t number,
                           uint8_t record[JOURNAL_RECORD_BYTES]);
