/*
 * Asks the directory again and again who has the file of a swarm, on a thread of its own: a
 * directory that does not answer holds up nothing. Used by job_pieces.c.
 */
#pragma once

#include "common/error.h"
#include "peer/downloads/swarm/swarm.h"

struct seeker;

/* peer: as in struct download_request. at_once: also now, not only in a while. All borrowed until
 * seeker_stop. *seeker is owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code seeker_start(struct swarm *swarm, const struct source_finder *finder,
                                        const char *peer, bool at_once, struct seeker **seeker,
                                        struct error *error);
void seeker_stop(struct seeker *seeker); /* joins, frees; NULL is fine */

/* The outcome of the last answer; code ERROR_NONE for a good one. False: there was none yet. */
bool seeker_outcome(struct seeker *seeker, struct error *error);
