/*
 * The peers that are there in the order in which they logged in: by rising sequence. No lock: the
 * registry's.
 *
 * One array, gone through by halves. Who leaves leaves a gap; when half of it are gaps they are
 * closed (some milliseconds for a million, at most once in half a million departures).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct peer;

struct login_place {
    uint64_t sequence;
    struct peer *peer; /* NULL: a gap */
};

struct login_order {
    struct login_place *places;
    size_t count, capacity;
    size_t gaps;
};

void login_order_done(struct login_order *order);

/* The sequence is higher than all that are there, or login_order_sort is due. */
void login_order_append(struct login_order *order, uint64_t sequence, struct peer *peer);
void login_order_sort(struct login_order *order);
void login_order_remove(struct login_order *order, uint64_t sequence, const struct peer *peer);

/* The number of the first place after the sequence; count when there is none. */
size_t login_order_after(const struct login_order *order, uint64_t sequence);
