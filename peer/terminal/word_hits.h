/*
 * Files that were found by words, as they are gathered and shown. One thread.
 */
#pragma once

#include "common/buffer.h"
#include "common/error.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

#define WORD_HIT_BYTES 128

struct word_hits {
    P2p__Control__WordHit **items; /* in the order in which they came */
    size_t count;
    char *cursor; /* where it goes on; "": nowhere */
    char *note;   /* what the directory could not do, for the user; "": nothing */
    bool more;    /* there are, with a cursor or without */
};

void word_hits_init(struct word_hits *hits);
void word_hits_done(struct word_hits *hits);

/* Adds what a P2p__Control__WordsReply tells; the take of a control_taker. */
enum error_code word_hits_take(void *hits, ProtobufCMessage **reply, bool *stop,
                               struct error *error);

/* "486 B, 2 peers, c06e5a36b4bc": what is known but the name. Returns out. */
const char *word_hit_describe(const P2p__Control__WordHit *hit, char out[WORD_HIT_BYTES]);

/* Adds lines, each ended by a newline and at most `columns` wide; text of others is cleaned:
 *
 *     TAMAÑO  PEERS  CONTENIDO     NOMBRE
 *    3.5 MiB      2  c06e5a36b4bc  Canción de cuna.mp3
 *          -      1  -             otra.mp3
 *
 * Where the name would get too little room, contents go first, then peers and sizes; then it is
 * cut. "2+": there may be more. */
void word_hits_format(const struct word_hits *hits, size_t columns, struct buffer *out);
