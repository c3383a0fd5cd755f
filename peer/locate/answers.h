/*
 * What directories have answered and which peers we have met, for when no directory answers: in
 * memory, and in one file of bounded size (answers_file.h), which a thread of its own replaces as a
 * whole a few seconds after a change. A crash loses those seconds. A file that cannot be understood
 * is moved aside to PATH.bad.
 *
 * Any thread.
 */
#pragma once

#include "common/error.h"
#include "common/file_name.h"
#include "peer/network/directory_client.h"

#include <stddef.h>

#define ANSWERS_WRITE_MS 5000

struct answers;

/* *answers is owned by the caller. ERROR_IO: no thread. What is wrong with the file is told in the
 * log and stops nobody. */
MUST_CHECK enum error_code answers_open(const char *path, struct answers **answers,
                                        struct error *error);
void answers_close(struct answers *answers); /* writes what is new; NULL is fine */

/* A directory has just answered so; who has only a part of it will soon have more or nothing, and
 * is not remembered. Its peers are met, too. */
void answers_remember(struct answers *answers, const struct file_name *name,
                      const struct directory_sources *sources);

/* The sources that were last told for that name, as SOURCE_REMEMBERED with their age; none: empty.
 * *sources is owned by the caller (directory_sources_done). */
void answers_find(struct answers *answers, const struct file_name *name,
                  struct directory_sources *sources);

/* A peer has answered us, or sent us a file. */
void answers_met(struct answers *answers, const struct address *address);

/* The peers that were met, the latest first. Returns how many. */
size_t answers_peers(struct answers *answers, struct address *peers, size_t max);
