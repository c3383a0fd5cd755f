/*
 * Names in the shared folder that something has happened to, until they are looked at. What has
 * happened does not matter: what is there then counts. One thread.
 */
#pragma once

#include "peer/share/list/listing.h"
#include "peer/share/list/walk.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>

/* With more names all is looked at: that takes no longer then. */
#define PENDING_MAX 50000

struct pending {
    char **paths;
    size_t count, capacity;
    bool all; /* anything may have happened */
};

/* A name in the folder at that path ("": the shared one). What cannot be shared is none. */
void pending_add(struct pending *pending, const char *folder, const char *name);
void pending_add_path(struct pending *pending, const char *path);
void pending_add_all(struct pending *pending);
bool pending_any(const struct pending *pending);
void pending_clear(struct pending *pending);

/* The list with what is under the pending names now; folders are walked, with the visitor. Empties.
 * NULL: all has to be looked at; so it is when a file with several names has changed, the others
 * are not known. Owned by the caller. */
struct listing *pending_apply(struct pending *pending, struct share *share,
                              const struct walk_visitor *visitor, struct listing *from);
