/*
 * The first bytes of a client of HTTP/2: a fixed text and a frame of settings (RFC 9113, 3.4). It
 * sends them without waiting for anything. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GREETING_HEAD_BYTES 33 /* the text, and the head of the frame */

enum greeting {
    GREETING_PART, /* more has to come */
    GREETING_WHOLE,
    GREETING_WRONG, /* this is no client of HTTP/2 */
};

/* head: the first bytes, as many as there are up to GREETING_HEAD_BYTES. bytes: how many there are
 * altogether, those and all that follow. */
enum greeting greeting_check(const uint8_t *head, size_t head_bytes, size_t bytes);
