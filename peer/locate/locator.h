/*
 * Who has a file, whether or not a directory answers.
 *
 *   a directory answers ─────────────────────────────▶ its sources, which are remembered
 *   none does ─▶ what was remembered ─┐
 *             └▶ the friends are asked ┴─ some ──────▶ these, with their age and who says so
 *                                       └ none ─▶ every peer met so far is asked ─▶ likewise
 *
 * And the other side: what we answer when another peer asks us (Locate). The same question is
 * answered once, from our own files and what we remember, else from our directory and from others,
 * within the time that the asker has left and at most as often passed on as it says.
 *
 * What others say is only ever a hint where to try. It is bounded in number and size, its names and
 * addresses are checked, and it is not remembered: only what a directory said is, and peers that
 * answered us or sent us a file.
 *
 * Any thread. Texts are Spanish: users see them.
 */
#pragma once

#include "common/address.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/catalogue/catalogue.h"
#include "peer/locate/ask.h"
#include "peer/locate/located.h"
#include "peer/network/directories.h"
#include "peer/network/interrupt.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stdint.h>

/* When a question is passed on: our friends, and so many others. */
#define LOCATOR_PASS_PEERS 4

struct locator;

struct locator_options {
    const char *own_name;            /* copied */
    const char *own_address;         /* what others are told; copied */
    const char *path;                /* of the file of answers; copied */
    const char *friends[2];          /* addresses, NULL or "" for none */
    struct directories *directories; /* these are borrowed until locator_stop */
    struct share *share;
    struct catalogue *catalogue;
};

/* *locator is owned by the caller. ERROR_IO: no threads. */
MUST_CHECK enum error_code locator_start(const struct locator_options *options,
                                         struct locator **locator, struct error *error);
/* After everybody who asks it has been interrupted. Joins and frees; NULL is fine. */
void locator_stop(struct locator *locator);

struct locator_search {
    const struct file_name *name;
    struct interrupt *interrupt;
    bool partial; /* also who has only a part of a content; the directory knows those */
};

/* Who has the file: at least one source, with ERROR_NONE (but a directory may answer with none).
 * Blocks; ends soon after the interrupt is raised. *sources is owned by the caller
 * (directory_sources_done). Errors are the directory's. */
MUST_CHECK enum error_code locator_find(struct locator *locator,
                                        const struct locator_search *search,
                                        struct directory_sources *sources, struct error *error);

/* More are not looked at. */
#define LOCATOR_HOLDERS_MAX 64

/* Who has a content, and under which name. */
struct locator_holders {
    struct locator_holder {
        struct file_name name;
        struct directory_source source;
    } * items;
    size_t count;
};

/* Everybody who has all of that content now under whatever name, as far as one directory knows; of
 * other peers nobody is asked, who know names only. For what is rare: the directory looks through
 * all its files. Blocks; ends soon after the interrupt is raised. *holders is owned by the caller,
 * also after an error. Errors are the directory's. */
MUST_CHECK enum error_code locator_find_content(struct locator *locator,
                                                const struct content_id *content,
                                                struct interrupt *interrupt,
                                                struct locator_holders *holders,
                                                struct error *error);
void locator_holders_done(struct locator_holders *holders);

/* At most DIRECTORY_NAMES_MAX, of which some may be equal. */
struct locator_names {
    const struct file_name *const *items;
    size_t count;
    struct interrupt *interrupt;
};

/* Who has these files, whole, as far as a directory tells: one question to it, and to nobody else.
 * sources[i] is of names->items[i], empty where nobody is told of (which locator_find may still
 * find), and the caller's (each directory_sources_done); all are empty after an error. Blocks; ends
 * soon after the interrupt is raised. ERROR_UNSUPPORTED: a directory is there, but answers single
 * names only; this is then remembered for a while and costs nothing. Else as of locator_find. */
MUST_CHECK enum error_code locator_find_many(struct locator *locator,
                                             const struct locator_names *names,
                                             struct directory_sources *sources,
                                             struct error *error);

/* What the user is to be told of a locator_find of that name since then (boot clock): located_note
 * of its sources. "" when there is nothing to tell. Returns out. */
const char *locator_note(struct locator *locator, const struct file_name *name, int64_t since_ms,
                         char out[LOCATED_NOTE_BYTES]);

/* Whether a directory has answered since the start. */
bool locator_had_directory(struct locator *locator);

/* A peer that has just sent us a file. */
void locator_met(struct locator *locator, const struct address *address);

/* ---- what others ask us ---- */

/* Whether the question is taken: ERROR_BUSY when the client (rpc_call_peer) asks too much. *is_new:
 * it was not asked before. Does not block. */
MUST_CHECK enum error_code locator_admit(struct locator *locator, const char *client,
                                         const struct question *question, bool *is_new,
                                         struct error *error);

/* From our own files and what we remember. True: this will do, we have the file. Reads the folder;
 * waits for nothing else. *sources is owned by the caller. */
bool locator_answer_here(struct locator *locator, const struct question *question,
                         struct directory_sources *sources);

/* Adds what our directory says; if it knows nothing, what others say. Blocks for the question's
 * wait_ms, or until the interrupt is raised. For a function given to locator_run. */
void locator_answer_wide(struct locator *locator, const struct question *question,
                         struct interrupt *interrupt, struct directory_sources *sources);

/* run(context) is called once, on a thread of the locator. ERROR_BUSY, ERROR_CANCELLED: never. */
MUST_CHECK enum error_code locator_run(struct locator *locator, void (*run)(void *context),
                                       void *context);
