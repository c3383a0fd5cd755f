/*
 * The directories of a peer, one or a few, and which of them answer. They do not talk to each
 * other: the peer is listed at each (network/heartbeats), and a search asks one after the other.
 *
 * First comes the one that last answered a search, then the others, and those whose last answer
 * failed come last, with short time-outs. "I do not have it" is an answer, but a directory in
 * health that has not been asked may still know; one that has failed is not waited for then.
 *
 * Any thread.
 */
#pragma once

#include "common/config.h"
#include "common/error.h"
#include "common/file_name.h"
#include "common/stop_event.h"
#include "peer/network/directory_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For one that failed last time. */
#define DIRECTORIES_FAILED_CONNECT_MS 1000
#define DIRECTORIES_FAILED_TIMEOUT_MS 2000

struct directories;

/* As many of one as of the other (peer/settings); copied. One that is there twice is left out, and
 * warned of. Owned by the caller. */
struct directories *directories_new(const struct config_strings *login_urls,
                                    const struct config_strings *search_urls);
void directories_free(struct directories *directories); /* NULL is fine */

/* Whether any of them has answered us since the start: of one that never has, the address may be
 * wrong. */
bool directories_have_answered(struct directories *directories);

size_t directories_count(const struct directories *directories);
const char *directories_login_url(const struct directories *directories, size_t number);

/* How it went there last: from code alone it is told whether the directory answered. */
void directories_note(struct directories *directories, size_t number, enum error_code code);

struct directories_query {
    const struct file_name *name;
    struct stop_event *stop; /* borrowed */
    bool partial;            /* as in directory_search */
    int64_t quick_ms;        /* 0: patiently. Otherwise one request of at most so long: only a
                              * directory in health is asked */
};

/* Who has the file. *answered: a directory said so, or said that nobody has it (ERROR_NOT_FOUND);
 * otherwise the error says why the first one did not. Else as directory_search. */
MUST_CHECK enum error_code directories_search(struct directories *directories,
                                              const struct directories_query *query,
                                              struct directory_sources *sources, bool *answered,
                                              struct error *error);

/* A directory that does not know a question for many names is not asked one for so long, unless it
 * goes away and comes back before. */
#define DIRECTORIES_SINGLE_MS (5 * 60 * 1000)

struct directories_names {
    const struct file_name *const *items; /* at most DIRECTORY_NAMES_MAX */
    size_t count;
    struct stop_event *stop; /* borrowed */
};

/* Who has these files: sources[i] is of names->items[i], as in directory_search_many. All are told
 * by one directory, the first that knows any of them; names that it does not know another one may.
 * ERROR_NONE: a directory answered, whatever it knows. ERROR_UNSUPPORTED: none did, but one is
 * there that has to be asked for one name after the other. Else the error says why the first one
 * did not. */
MUST_CHECK enum error_code directories_search_many(struct directories *directories,
                                                   const struct directories_names *names,
                                                   struct directory_sources *sources,
                                                   struct error *error);

/* Files by words, a page, as directory_search_words: of the first one that answers. A cursor
 * belongs to one directory; another one may find it wrong (ERROR_INVALID). ERROR_UNSUPPORTED: a
 * directory answers, but none that does can search so. */
MUST_CHECK enum error_code directories_words(struct directories *directories,
                                             const struct directory_words *words,
                                             struct stop_event *stop, struct directory_hits *hits,
                                             struct error *error);

/* Every file that one of them knows (the first that answers), as directory_files; a file may be
 * told twice when one breaks off and another is asked. */
MUST_CHECK enum error_code directories_files(struct directories *directories,
                                             const struct directory_files_taker *taker,
                                             struct stop_event *stop, struct error *error);
