/*
 * Pieces on their way from the network to the disk: threads, shared by all downloads, that compare
 * a piece with its hash and write it, both from where the transport has its bytes. So whoever
 * receives does nothing but receive, as long as they keep up. When they do not, he does it for his
 * next piece himself instead of waiting for them: so all cores have work, and nobody has to wake
 * anybody for each piece.
 *
 * What is under way is bounded: room for a piece is taken before its first byte comes and given
 * back when it is done with. (Taken for whole pieces: sessions that each wait with a half one for
 * room would wait for ever.)
 *
 * Any thread; a piece belongs to one thread at a time.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "peer/rpc/client.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of 1 MiB; what they pin of the transport's buffers is little more. */
#define INTAKE_PIECES_MAX 32

#define INTAKE_THREADS 2 /* and whoever receives */

/* Submitted and not done: what keeps the threads busy while whoever receives does one himself. */
#define INTAKE_AHEAD 3

struct intake;

/* *intake is owned by the caller. ERROR_IO: no threads. */
MUST_CHECK enum error_code intake_start(struct intake **intake, struct error *error);
void intake_stop(struct intake *intake); /* does what is under way, joins; NULL is fine */
void intake_free(struct intake *intake);

/* A received message that several pieces may lie in. */
struct intake_message;

/* Takes the held message. The caller's reference is to be dropped. */
struct intake_message *intake_message_new(struct rpc_held *held);
void intake_message_drop(struct intake_message *message); /* NULL is fine */

enum intake_result { INTAKE_STORED, INTAKE_WRONG, INTAKE_NOT_WRITTEN };

struct intake_piece {
    /* Of whoever makes it. */
    size_t index;
    size_t length;  /* that it must have in the end */
    int64_t offset; /* in the file */
    int64_t file_bytes;
    const uint8_t *hash;
    struct share_incoming *incoming;
    /* Called once, on one of the threads or within intake_submit; frees nothing. error says why it
     * was not written. */
    void (*done)(const struct intake_piece *piece, enum intake_result result,
                 const struct error *error);
    void *context;

    /* Of intake.c. */
    size_t bytes; /* so far */
    struct iovec *spans;
    size_t span_count, span_capacity;
    char *copies; /* where the bytes that are copied lie, at their place in the piece; or NULL */
    struct intake_message **messages;
    size_t message_count, message_capacity;
    struct intake *intake;
};

/* Takes room and makes a piece like the one given; NULL when there is no room within wait_ms. */
struct intake_piece *intake_begin(struct intake *intake, const struct intake_piece *like,
                                  int64_t wait_ms);
/* The next bytes of the piece, in the message; no more than are missing. */
void intake_add(struct intake_piece *piece, struct intake_message *message,
                const struct iovec *spans, size_t span_count);
/* The same with a copy: for messages so small that keeping them costs more than their bytes. */
void intake_copy(struct intake_piece *piece, const struct iovec *spans, size_t span_count);
/* All of it is there: it is taken over. Does it here and now when INTAKE_AHEAD others wait. */
void intake_submit(struct intake_piece *piece);
/* It will not become whole: frees it. NULL is fine. */
void intake_drop(struct intake_piece *piece);
