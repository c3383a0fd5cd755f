/*
 * Several small files fetched together: one question who has them, then one call to each source for
 * all that it is to send. The id of a file of at most one piece follows from its bytes alone, so
 * nobody is asked for hashes. What cannot be had so (a larger file, one whose content no directory
 * knows, one that no source sends as it should) is left to the other way, which asks several
 * sources at once, waits for them, and says what is wrong.
 *
 * Knows nothing of jobs; one thread. It ends soon after the interrupt is raised, and does not go on
 * for ever: after BATCH_MS nothing new is asked for. Without room on the disk nothing is fetched:
 * it waits until there is some, which is looked for every SWARM_SPACE_MS.
 */
#pragma once

#include "common/content.h"
#include "common/file_name.h"
#include "peer/downloads/sources.h"
#include "peer/limits/limits.h"
#include "peer/network/interrupt.h"
#include "peer/rpc/channel_pool.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX 256 /* files */
#define BATCH_MS  2000

/* Of one call, or one file. The first shows how fast the source is; the next ones may take
 * BATCH_CALL_MS at that rate: a batch that has begun keeps its place from others. */
#define BATCH_FIRST_FILES 32
#define BATCH_FIRST_BYTES ((int64_t)256 << 10)
#define BATCH_CALL_BYTES  ((int64_t)8 << 20)
#define BATCH_CALL_MS     1000

/* A source that is slower than that is better waited for in the other way. */
#define BATCH_STALL_MS 3000

/* The file that is fetched now is told this often; each costs everybody who follows it. */
#define BATCH_TELL_MS 100

struct batch_options { /* all borrowed */
    struct share *share;
    const struct source_finder *finder;
    struct channel_pool *channels;
    struct limits *limits; /* may be NULL */
    struct interrupt *interrupt;
    int64_t stall_ms; /* at most BATCH_STALL_MS are waited */
    size_t turn;      /* of several sources that have a file another one is asked by each batch */
};

struct batch_file { /* borrowed */
    const struct file_name *name;
    const char *peer; /* from it only; "": from anybody */
};

struct batch_arrival {
    struct share_incoming *incoming; /* all of it, verified; without a name yet */
    struct manifest manifest;
    const char *who; /* as swarm_describe_source says it; borrowed */
};

/* On the batch's thread. */
struct batch_taker {
    /* False: somebody has given it up. */
    bool (*is_wanted)(void *context, size_t index);
    /* What the batch is at: this file comes from there, and the others after it. who NULL: sources
     * are looked for. */
    void (*at)(void *context, size_t index, const char *who, int64_t size_bytes);
    /* incoming and manifest are taken. */
    void (*arrived)(void *context, size_t index, struct batch_arrival *arrival);
    /* All that are left wait for room on the disk, with that reason; NULL: they go on. */
    void (*waits)(void *context, const char *reason);
    /* It has to be fetched in the other way. */
    void (*left)(void *context, size_t index);
    void *context;
};

/* At most BATCH_MAX files. Those of which neither arrived nor left was told have not had their
 * turn. */
void batch_run(const struct batch_options *options, const struct batch_file *files, size_t count,
               const struct batch_taker *taker);
