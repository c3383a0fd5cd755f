/*
 * Single pieces of a file from another peer, into memory: what a repair and a small file need.
 * (Larger files are downloads' business.) One thread at a time; calls end soon after the interrupt
 * is raised.
 */
#pragma once

#include "common/address.h"
#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/limits/limits.h"
#include "peer/network/interrupt.h"
#include "peer/rpc/channel_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For one piece, however the bytes trickle (1.7 KiB a second at least) and however long its turn at
 * the other side takes; not counting what our own limits make us wait. */
#define PIECE_CLIENT_MS 600000

struct piece_client;

struct piece_client_options {
    const struct address *address;
    struct channel_pool *channels; /* NULL: a connection of its own */
    struct limits *limits;         /* may be NULL */
    struct interrupt *interrupt;
    int64_t stall_ms; /* that nothing may come for; 0: PEER_STEP_MS */
    bool impatient;   /* who makes us wait in a line is left: ERROR_BUSY */
};

/* A connection to that peer, made by the first fetch. What the options name is borrowed, all but
 * the address as long as the client. Owned by the caller. */
struct piece_client *piece_client_open(const struct piece_client_options *options);
void piece_client_close(struct piece_client *client); /* NULL is fine */

struct piece_request {
    const struct file_name *name;
    const struct content_id *content; /* that the file must be */
    int64_t offset;
    size_t length; /* at most PIECE_BYTES, and within the file */
};

/* Fills `data`. A peer of the reference knows no parts: the file's beginning is then read and
 * thrown away. Nothing is checked against a hash here. ERROR_CORRUPT: what came is not that part;
 * else what the peer says, ERROR_UNREACHABLE, ERROR_TIMEOUT, ERROR_CANCELLED. */
MUST_CHECK enum error_code piece_client_fetch(struct piece_client *client,
                                              const struct piece_request *request, void *data,
                                              struct error *error);
