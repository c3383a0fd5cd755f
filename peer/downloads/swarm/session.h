/*
 * One source of a download at work: calls DownloadFile for the runs of pieces that the plan gives
 * it, and hands the pieces to the intake. Used by swarm.c.
 *
 * A source that does not understand offsets (a peer of the reference) sends the file from its
 * start: then what comes is taken where it is needed, and the rest is let go by.
 */
#pragma once

#include "common/error.h"
#include "peer/downloads/swarm/swarm.h"

/* Blocks until the job is over (ERROR_NONE), the session is interrupted (ERROR_CANCELLED), or the
 * source fails: ERROR_CHANGED it has other content, ERROR_BUSY it does not know its hashes, ... */
MUST_CHECK enum error_code session_run(struct swarm_source *source, struct error *error);
