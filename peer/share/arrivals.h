/*
 * Contents on their way into the shared folder: which verified pieces of each are there, so that
 * others can have those meanwhile. The seam between who receives (downloads), who serves (service)
 * and who tells the directory (network/heartbeat): none of them knows the others.
 *
 *   begin ─▶ hold, hold, ... ─▶ end
 *              └▶ tell: worth announcing, once it has something and was not done at once
 *
 * Any thread; locks are held for moments only. Texts are Spanish: other peers see them.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* After the beginning, and not before the first piece: most files are complete by then, and the
 * directory is sent its list once instead of twice. */
#define ARRIVAL_TELL_MS 1000

/* Who has less than this part (1 / 8) so soon will take a while: others may be waiting for it. */
#define ARRIVAL_TELL_SOON_MS 250
#define ARRIVAL_SLOW_PART    8

/* Who has fetched from a file while it arrived wants to go on: their names are remembered. */
#define ARRIVALS_STORED_MAX 64

struct arrivals;
struct arrival;

/* changed: what arrivals_fill_list adds is other than it was. It must not block; may be NULL. Owned
 * by the caller. */
struct arrivals *arrivals_new(void (*changed)(void *context), void *context);
void arrivals_free(struct arrivals *arrivals); /* after all have ended; NULL is fine */

/* ---- for who receives ---- */

/* A content begins to arrive in a file of its size, under the name that it is to have. All is
 * copied; held as in struct pieces_options, or NULL. NULL: it cannot be read meanwhile. */
struct arrival *arrivals_begin(struct arrivals *arrivals, const struct share_incoming *incoming,
                               const struct file_name *name, const struct manifest *manifest,
                               const uint8_t *held);
/* The piece is written, and is right. */
void arrival_hold(struct arrival *arrival, size_t piece);
/* Now and then: whether it is to be announced. */
void arrival_tell(struct arrival *arrival, int64_t now_ms);
/* It has its name now, or is gone (NULL). Who reads it goes on. No arrival is fine. */
void arrivals_end(struct arrival *arrival, const struct file_name *stored);

/* ---- for who serves ---- */

/* NULL: no such content arrives. Owned by the caller (arrival_release). */
struct arrival *arrivals_find(struct arrivals *arrivals, const struct content_id *id);
void arrival_release(struct arrival *arrival); /* NULL is fine */

const struct manifest *arrival_manifest(const struct arrival *arrival); /* borrowed, */
const struct file_name *arrival_name(const struct arrival *arrival);    /* this, too */
/* Into (pieces + 7) / 8 bytes. Returns how many are there. */
size_t arrival_pieces(struct arrival *arrival, uint8_t *bits);
size_t arrival_count(struct arrival *arrival); /* the latter */
/* Whether all pieces with bytes of [offset, offset + length) are there; they lie within the size.
 */
bool arrival_has(struct arrival *arrival, int64_t offset, int64_t length);
/* *reader is owned by the caller, and stays good when the arrival has ended. */
MUST_CHECK enum error_code arrival_open(struct arrival *arrival, struct share_reader **reader,
                                        struct error *error);

/* The name that a content of late was given. It may be something else by now. False: it is none. */
bool arrivals_stored(struct arrivals *arrivals, const struct content_id *id,
                     struct file_name *name);

/* ---- for who tells ---- */

/* Adds those that are worth it, marked as partial, unless the list has a file of that name. */
void arrivals_fill_list(struct arrivals *arrivals, struct share_list *list);
