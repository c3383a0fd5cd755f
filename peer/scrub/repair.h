/*
 * Repairs one damaged file where it is: its bad pieces are fetched from other peers that have the
 * same content, checked by hash, and written over.
 *
 * A write changes the file's times, and with them its identity; so before each write it is made
 * sure that the file is still the one that was hashed, its time of modification is set back (the
 * content is again the one that it had then), and the catalogue learns the new identity. Who writes
 * the file meanwhile makes it another one, which is left alone.
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/downloads/sources.h"
#include "peer/limits/limits.h"
#include "peer/network/interrupt.h"
#include "peer/share/share.h"

struct repair {
    struct share *share; /* all are borrowed */
    struct catalogue *catalogue;
    const struct source_finder *finder;
    struct limits *limits; /* may be NULL */
    struct interrupt *interrupt;
};

/* Blocks. The damage is kept up to date: what was repaired is no longer bad. First it is looked
 * whether the pieces are still bad: a disk may have been away. ERROR_NONE: the file is whole again.
 * ERROR_CHANGED, ERROR_NOT_FOUND with is_gone set: it is another file now, or none. Any other error
 * says why it could not be repaired (yet). */
MUST_CHECK enum error_code repair_file(const struct repair *repair, struct damage *damage,
                                       bool *is_gone, struct error *error);
