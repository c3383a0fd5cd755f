/*
 * Searching and listing the database's files (directory/index.h has the schema).
 *
 * Each struct index_reader has connections of its own, belongs to one thread and never waits for
 * the writer. No read transaction outlives a call (or what stands between index_reader_begin and
 * index_reader_end, which waits for nobody), save with news, so the write-ahead log
 * can always be folded back.
 */
#pragma once

#include "common/error.h"
#include "common/file_name.h"
#include "directory/files_index.h"
#include "directory/index.h"
#include "directory/name_sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_reader;

/* Of a database that index_open has open, with its news, or NULL. Both are borrowed until
 * index_reader_close. Errors are as in directory/index.h.
 *
 * With news, what is read stays one state of the database over several calls, which costs less than
 * to look for the newest one each time: until something is committed, so that nobody who was told
 * of a commit is answered without it, or until index_reader_rest. */
MUST_CHECK enum error_code index_reader_open(const char *path, struct index_news *news,
                                             struct index_reader **reader, struct error *error);
void index_reader_close(struct index_reader *reader);

/* One stored file. Strings and id are borrowed until the function returns; urls NULL: the usual
 * ones. */
struct index_file {
    int64_t peer_id;
    int64_t name_id;
    const char *name;
    const char *urls;
    struct file_content content;
};
/* False stops. */
typedef bool index_file_fn(void *context, const struct index_file *file);

/* Lets go of that state: before the thread waits, or the write-ahead log could not be folded back.
 * Connects anew when the database can be written again. */
void index_reader_rest(struct index_reader *reader);
/* Whether there is anything to let go of, or to connect to. */
bool index_reader_must_rest(const struct index_reader *reader);

/* Searches between these two see one state of the database, and cost less. End also where one of
 * them, or the beginning, has failed. */
MUST_CHECK enum error_code index_reader_begin(struct index_reader *reader, struct error *error);
void index_reader_end(struct index_reader *reader);

/* Everybody who shares the name, by rising id. */
MUST_CHECK enum error_code index_search(struct index_reader *reader, const struct file_name *name,
                                        index_file_fn *visit, void *context, struct error *error);

/* A place in the order of index_list: by peer, then by the name's id, which is the order in which
 * names came. An id is never given again, so a place lasts when its file is gone. All zero is the
 * beginning. */
struct index_place {
    int64_t peer_id;
    int64_t name_id;
};

/* Up to max files after the place, in the newest state, also between begin and end. */
MUST_CHECK enum error_code index_list(struct index_reader *reader, const struct index_place *after,
                                      size_t max, index_file_fn *visit, void *context,
                                      struct error *error);

/* ---- names by what stands in them ---- */

/* False stops. The name is borrowed until the function returns. */
typedef bool index_name_fn(void *context, int64_t id, const char *name);

/* 0: there is none. */
MUST_CHECK enum error_code index_last_name(struct index_reader *reader, int64_t *id,
                                           struct error *error);
/* Of the names, of which last_id is the last one; made anew when they have become twice as many.
 * Borrowed until the next call. */
MUST_CHECK enum error_code index_sample(struct index_reader *reader, int64_t last_id,
                                        const struct name_sample **sample, struct error *error);
/* All names after the id, by rising id. */
MUST_CHECK enum error_code index_names(struct index_reader *reader, int64_t after,
                                       index_name_fn *visit, void *context, struct error *error);
/* Of those between the two ids (the last one included), by rising id: which a query of
 * directory/trigrams.h finds, and those that are too new for it (directory/names.h). The query
 * itself finds none after the last one. */
struct index_names_query {
    const char *query;
    int64_t after, last;
    int effort;   /* as of database_next_within, for the query to find each; 0: whatever it takes */
    bool gave_up; /* set: the next one would have taken more */
};
MUST_CHECK enum error_code index_names_with(struct index_reader *reader,
                                            struct index_names_query *query, index_name_fn *visit,
                                            void *context, struct error *error);
/* Everybody who shares the name, which has the place's id, by rising id of the peer, after the
 * place's. */
MUST_CHECK enum error_code index_files_of(struct index_reader *reader,
                                          const struct index_place *place, const char *name,
                                          index_file_fn *visit, void *context, struct error *error);
/* The highest id of a peer that shares it; 0: nobody does. */
MUST_CHECK enum error_code index_last_of(struct index_reader *reader, int64_t name_id,
                                         int64_t *peer_id, struct error *error);
