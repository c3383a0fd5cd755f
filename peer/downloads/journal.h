/*
 * What of a download outlives the daemon, once its content is known (before that: wanted.h): a file
 * ID.journal a job in a folder of the state directory. It says what is wanted and which content,
 * and then of each piece that it is verified and written:
 *
 *     {"version":3,"name":…,"peer":…,"addresses":[…],"temporary":…,"content":…,"size":…} SUM\n
 *     the hashes of all pieces, 32 bytes each       (none if "content" is "", as older ones may)
 *     records of 16 bytes, appended
 *
 * A record is the number of a piece, 4 bytes big-endian, and the first 12 bytes of a SHA-256 over
 * the content id and that number: it belongs to this journal and to no other. Numbers beyond all
 * pieces say that the job was paused or goes on, or how urgent it is (normal, unless said).
 *
 * A piece is noted at once, without waiting for the disk: what a process has written outlives it,
 * but not the machine. So in a note the hash goes over the machine's boot id, too, and after
 * another boot it is no record any more. Once the piece's bytes were synced it is recorded for
 * good.
 *
 * SUM is the first 32 digits of the SHA-256 of the header before it. Version 2 had none. Version 1
 * had hashes that were made in another way: of such a journal it is read what is wanted,
 * and nothing of the content.
 *
 * What is no good record is passed over; what follows the last good one is a torn end.
 *
 * Who has a journal open holds its lock (flock). Any thread.
 */
#pragma once

#include "common/address.h"
#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/downloads/priority.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_RECORD_BYTES  16
#define JOURNAL_HEADER_MAX    ((size_t)64 << 10)
#define JOURNAL_ADDRESSES_MAX 64

/* Header, hashes, and each piece recorded a few times over. */
#define JOURNAL_MAX_BYTES \
    (JOURNAL_HEADER_MAX + MANIFEST_PIECES_MAX * (HASH_BYTES + 4 * JOURNAL_RECORD_BYTES))

struct journal_job {
    struct file_name name;
    char *peer; /* "": anybody */
    struct address *addresses;
    size_t address_count;
    char temporary[SHARE_TEMPORARY_BYTES]; /* "": there is none yet */
    bool has_content;
    struct manifest manifest; /* with has_content */
    /* Of the records. */
    uint8_t *held; /* bit i % 8 of byte i / 8; NULL without content */
    bool paused;
    enum download_priority priority; /* also for writing a new one */
    size_t good_bytes;               /* the journal up to its last good record */
};

void journal_job_done(struct journal_job *job);

/* Pure. Notes count that were made during that boot; "": none. *job is the caller's
 * (journal_job_done), empty after an error. ERROR_CORRUPT: no journal. */
MUST_CHECK enum error_code journal_parse(const char *data, size_t length, const char *boot,
                                         struct journal_job *job, struct error *error);

struct journal;

/* Writes a new journal in one step, in place of one that is there; held and paused are not looked
 * at. lasting: it is synced; otherwise it outlives the daemon but not the machine. *journal is
 * owned by the caller (journal_close). ERROR_BUSY: somebody else has it. */
MUST_CHECK enum error_code journal_create(const char *folder, uint64_t id,
                                          const struct journal_job *job, bool lasting,
                                          struct journal **journal, struct error *error);

/* Goes on with one, without its torn end. ERROR_CORRUPT: it is broken or none of ours; ERROR_BUSY
 * as above. *job as by journal_parse. */
MUST_CHECK enum error_code journal_open(const char *folder, uint64_t id, struct journal **journal,
                                        struct journal_job *job, struct error *error);
void journal_close(struct journal *journal);  /* the file stays; NULL is fine */
void journal_remove(struct journal *journal); /* closes, too; NULL is fine */

/* This piece is verified and written. Does not wait for the disk; should it fail, the piece may be
 * fetched again. */
void journal_note(struct journal *journal, uint32_t piece);
/* These pieces are verified, and their bytes have been synced. Synced when it returns. */
MUST_CHECK enum error_code journal_add(struct journal *journal, const uint32_t *pieces,
                                       size_t count, struct error *error);
MUST_CHECK enum error_code journal_pause(struct journal *journal, bool paused, struct error *error);
/* Does not wait for the disk. */
MUST_CHECK enum error_code
journal_set_priority(struct journal *journal, enum download_priority priority, struct error *error);

/* The ids of the journals in the folder, ascending; owned by the caller (free). NULL where there is
 * no such folder. */
uint64_t *journal_list(const char *folder, size_t *count);

/* The temporary files that journals name; owned by the caller (free of names). */
void journal_kept(const char *folder, struct share_kept *kept);

/* Renames it to ID.journal.bad. */
void journal_move_aside(const char *folder, uint64_t id);
