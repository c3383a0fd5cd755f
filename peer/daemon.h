/*
 * The peer daemon: one struct that owns everything, built in order and torn down backwards.
 *
 * | thread         | how many | owns                          | stopped and joined by   |
 * | -------------- | -------- | ----------------------------- | ----------------------- |
 * | main           | 1        | the daemon, the signals       | is the last             |
 * | watch          | 1        | inotify                       | watch_stop              |
 * | catalogue      | 1        | what is known of the content  | catalogue_stop          |
 * |                |          | of the shared files           |                         |
 * | hashing        | cores,   | reading and hashing, with     | catalogue_stop          |
 * |                | only for | the least priority            |                         |
 * |                | new      |                               |                         |
 * |                | files    |                               |                         |
 * | heartbeat      | 1 for a  | an HTTP connection            | heartbeats_stop         |
 * |                | directory|                               |                         |
 * | acceptor       | 1        | the listening sockets, and    | rpc_server_stop         |
 * |                |          | connections that are silent   |                         |
 * | rpc workers    | cores    | the calls of other peers      | rpc_server_stop         |
 * |                | and 2    |                               |                         |
 * | committers     | 2        | received files on their way   | peer_service_free       |
 * |                |          | to the disk                   |                         |
 * | list           | 1        | looking through the folder,   | peer_service_free       |
 * |                |          | for ListFiles                 |                         |
 * | downloads      | 4        | a job each; its journal       | downloads_stop          |
 * | sessions       | 8 a job  | a source each, with its calls | downloads_stop, or the  |
 * |                |          |                               | job's thread            |
 * | manifest       | 4 a job, | asking a source for the       | the job's thread        |
 * |                | at its   | hashes                        |                         |
 * |                | start    |                               |                         |
 * | seeker         | 1 a job  | asking the directory again    | likewise                |
 * | intake         | 2        | hashing and writing of pieces | downloads_stop          |
 * |                |          | that came in                  |                         |
 * | repair         | 1        | damaged files, and the calls  | repairer_stop           |
 * |                |          | to peers that have them       |                         |
 * | scrub          | 1        | reading shared files slowly   | scrub_stop              |
 * | control        | 1        | the control socket            | rpc_server_stop         |
 * | acceptor       |          |                               |                         |
 * | answers        | 1        | the file of what directories  | locator_stop            |
 * |                |          | have answered                 |                         |
 * | locate own,    | 6, 4     | a question to a peer each:    | locator_stop            |
 * | locate pass    |          | ours, passed on for others    |                         |
 * | locate         | 2        | what other peers ask us       | locator_stop            |
 * | timer          | 1        | what limits and deadlines     | timer_stop              |
 * |                |          | have to do later              |                         |
 * | control        | 2        | the calls of commands         | rpc_server_stop         |
 * | workers        |          |                               |                         |
 * | control pool   | 4        | what commands wait for        | control_service_stop    |
 *
 * Of the pools (downloads, intake, locate, control pool) one thread each is there at first, the
 * others come with the work (common/thread_pool.h). gRPC core keeps some threads of its own until
 * the process ends (peer/rpc/lifecycle.h), and libcurl has one for as long as it looks a name up.
 */
#pragma once

#include "common/error.h"
#include "peer/settings.h"

struct daemon;

/* Starts all of it; when it returns, everything serves. The settings are borrowed until
 * daemon_stop. *daemon is owned by the caller. What stands in the way is told in one line that
 * names the settings' file and the key. Main thread, signals blocked. */
MUST_CHECK enum error_code daemon_start(const struct settings *settings, struct daemon **daemon,
                                        struct error *error);

/* The address of the gRPC server; borrowed. */
const char *daemon_address(const struct daemon *daemon);

/* How long the part that serves other peers has been at one event: more than a disk needs is a
 * hang. Main thread. */
int64_t daemon_busy_ms(const struct daemon *daemon);

/* Ends everything within two seconds, frees. NULL is fine. */
void daemon_stop(struct daemon *daemon);
