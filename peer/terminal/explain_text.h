/*
 * What is to be said of one download: source by source, and what limits it now. Pure; Spanish.
 */
#pragma once

#include "common/buffer.h"
#include "proto/control.pb-c.h"

#include <stdint.h>

struct explain {
    const P2p__Control__Job *job;
    const P2p__Control__SourcesReply *sources;
    int64_t download_limit;   /* of the peer, bytes a second; 0: none */
    int64_t bytes_per_second; /* of all its downloads together */
};

/* Sentences, a line each; texts of others are cleaned. */
void explain_format(const struct explain *explain, struct buffer *out);

/* The one about what limits it, without a line's end. */
void explain_limit(const struct explain *explain, struct buffer *out);
