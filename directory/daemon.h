/*
 * The directory as a whole: one struct owns everything, built in order and torn down backwards.
 *
 * | thread    | how many | owns                                  | stops, joined by  |
 * | --------- | -------- | ------------------------------------- | ----------------- |
 * | main      | 1        | signals; a tick a second that sweeps  | SIGTERM, SIGINT   |
 * |           |          | the registry and writes it behind     |                   |
 * | HTTP loop | a core   | its connections and index_reader      | http_stop         |
 * | verifier  | cores-1  | nothing; Argon2                       | thread_pool_stop  |
 * | login     | 1        | nothing; long bodies                  | thread_pool_stop  |
 * | access log| 1, when | its file                              | access_log_close  |
 * |           | it is on |                                       |                   |
 * | writer    | 1        | the index's writing connection        | index_writer_stop |
 * | read ahead| 8, while | a reading connection each             | read_ahead_stop   |
 * |           | starting |                                       |                   |
 *
 * Stopping: verifier and login threads first (what waits is answered 503), then the writer (what
 * was submitted is committed), then HTTP, which sends those answers.
 */
#pragma once

#include "common/error.h"
#include "directory/settings.h"

struct daemon;

/* Reads the users, opens the database, listens. The settings are borrowed. *daemon is the caller's.
 * Errors are one line that names file or key. signals_block and secrets_init come first. */
MUST_CHECK enum error_code daemon_start(const struct settings *settings, struct daemon **daemon,
                                        struct error *error);

/* Serves until SIGTERM or SIGINT. */
void daemon_run(struct daemon *daemon);

/* Within two seconds. NULL is allowed. */
void daemon_stop(struct daemon *daemon);
