/*
 * The database: files of each peer, and what survives a restart of the registry. It decides nothing
 * and starts no thread. Searches and lists: directory/index_reader.h.
 *
 * Schema (user_version 7, application_id "P2PD"):
 *   peers, seen, state: directory/index_peers.h. urls, etag and host of peers are of the stored
 *          list. etag NULL: no list was ever stored, or by version 3.
 *   names  Every name that somebody shares, and no other one, with its id: a name's first file
 *          brings it, its last one takes it away, and no id is ever given again (AUTOINCREMENT).
 *          words is the index of what stands in them, by the same id, up to state's `worded`;
 *          `folding` are the rules by which it was made. unused: ids of names that go later.
 *          directory/names.h, directory/trigrams.h.
 *   files  (name_id, peer_id) is the key: a search finds the name's id, and then all rows side by
 *          side. urls NULL: the peer's usual ones. size, content NULL: unknown; content: the id's
 *          bytes. partial: 1 for what is still arriving at the peer, else NULL.
 *          files_by_peer(peer_id, name_id) serves replacing a list and listing everything in an
 *          order that lasts.
 *   state  `files` is how many rows files has.
 * Version 1 had neither size nor content, version 2 no partial, version 3 another digest
 * and no host, version 4 the names in the files and no seen, version 5 no words,
 * version 6 words of all names and nothing unused;
 * opening such a database brings it up to date, a version at a time, each in one transaction that
 * leaves it as it was when it fails. Every row of files has its rows of peers and names (written in
 * the same transaction).
 *
 * WAL with synchronous NORMAL: what was committed survives any end of the process (kill -9); a
 * power cut may lose the last commits, never the consistency, and peers send their list again after
 * it.
 *
 * Once it is open its failures are ERROR_CORRUPT, ERROR_NO_SPACE, ERROR_BUSY, ERROR_CANCELLED and
 * ERROR_IO: never a code that blames who asked.
 *
 * struct index is the one writing connection: one thread at a time (index_writer).
 */
#pragma once

#include "common/error.h"
#include "directory/files_index.h"
#include "directory/index_peers.h"
#include "directory/list_change.h"

#include <stdatomic.h>
#include <stdint.h>

struct index;
struct name_ids;

/* A larger database is not read whole before there is service: a second takes some 200 MB. */
#define INDEX_CHECK_MAX_BYTES (128 << 20)

/* Opens or makes the database, and checks it whole unless it is large. ERROR_CORRUPT: damaged;
 * ERROR_INVALID: no database of ours, or of a newer version (nothing is changed then); ERROR_BUSY:
 * another directory has it open. *index is the caller's.
 *
 * One that cannot be written now (a read-only file system, a full disk, a missing permission) but
 * is up to date is opened so that it can only be read; then each begin fails with the reason, and
 * once a second tries to open it to write. When it succeeds readers are told by index_news to
 * connect anew, nothing is written before they have, and all is as usual from then on. */
MUST_CHECK enum error_code index_open(const char *path, struct index **index, struct error *error);
void index_close(struct index *index);
/* It can only be read, for now. Any thread. */
bool index_only_reads(const struct index *index);

/* For a large one that can be written, on a thread that may take its time and is not the writer's;
 * path as of index_open. After ERROR_CORRUPT nothing more is stored: each begin fails with it.
 * ERROR_CANCELLED: cancelled was set. */
bool index_is_checked(const struct index *index);
MUST_CHECK enum error_code index_check(struct index *index, const char *path,
                                       const atomic_bool *cancelled, struct error *error);

/* What it keeps of the registry; borrowed until the next begin. */
struct index_peers *index_peers(struct index *index);

/* One transaction: begin, stores, commit; any failure must be followed by a rollback.
 * ERROR_NO_SPACE: the disk is full; ERROR_CANCELLED: index_interrupt. */
MUST_CHECK enum error_code index_begin(struct index *index, struct error *error);
MUST_CHECK enum error_code index_commit(struct index *index, struct error *error);
void index_rollback(struct index *index);

/* Between transactions: a step, some milliseconds long, of reading into memory what makes searches
 * quicker; false: that is done. */
bool index_load_some(struct index *index);

/* In a transaction: what may be done later (directory/names.h) is done; about once a second. */
MUST_CHECK enum error_code index_settle(struct index *index, struct error *error);

/* Called for each name that the peer did not have. */
typedef void index_added_fn(void *context, const char *name);

/* Makes the peer's list equal to files, writing only what differs. */
MUST_CHECK enum error_code index_replace_files(struct index *index, int64_t peer_id,
                                               const struct files_index *files,
                                               index_added_fn *added, void *context,
                                               struct error *error);

/* Changes the peer's list from one sum to another, if it is the first one and becomes the second
 * one: files that go are there with the usual urls, files that come are not there, and the sums say
 * the rest. Otherwise *fits is false and nothing is written. */
struct index_change {
    const struct list_change *files;
    struct index_sum from, to;
};
MUST_CHECK enum error_code index_change_files(struct index *index, int64_t peer_id,
                                              const struct index_change *change, bool *fits,
                                              index_added_fn *added, void *context,
                                              struct error *error);

/* Files of all peers, as of the last commit. Any thread. */
int64_t index_file_count(const struct index *index);

/* What readers have to know of the writing connection; any thread reads it. */
struct index_news {
    atomic_uint_least64_t commits; /* counted when they are done, and before anybody is told */
    atomic_int log_pages;          /* of the write-ahead log after the last one */
    atomic_bool only_reads;        /* it cannot be written now; once false, so for ever */
    atomic_int still_reading;      /* readers connected for that: theirs */
    struct name_ids *ids;          /* of committed names; as long as the index */
};
/* Borrowed until index_close. */
struct index_news *index_news(struct index *index);

/* Drops up to max files of the peer, whose list is none from now on; *all: there are no more. */
MUST_CHECK enum error_code index_drop_files(struct index *index, int64_t peer_id, size_t max,
                                            bool *all, struct error *error);

/* Any thread: what is long on the writing connection, now and from now on, fails with
 * ERROR_CANCELLED. */
void index_interrupt(struct index *index);
