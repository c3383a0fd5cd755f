/*
 * Looks at the shared folder itself: at all that is shared, at what is in one folder of it, at one
 * name. Not for others than the share: they take the list (share_listing).
 *
 * Any thread may call.
 */
#pragma once

#include "common/error.h"
#include "peer/share/list/listing.h"
#include "peer/share/share.h"

/* Told of each folder in the folder before it is read: its path in it. Borrowed for the call. */
struct walk_visitor {
    void (*visit)(void *context, const char *path);
    void *context;
};

/* All that is shared. Names in the folder that are no good names are left out. The visitor may be
 * NULL, and like, too: as in listing_builder_finish. ERROR_NOT_FOUND: the folder is gone; other
 * errors: it cannot be told what is shared. The list is owned by the caller. */
MUST_CHECK enum error_code walk_share(struct share *share, const struct walk_visitor *visitor,
                                      struct listing *like, struct listing **listing,
                                      struct error *error);

/* Whether that can be the path of a shared file, or of a folder in the shared one: its names are
 * good and not hidden, and it is not beyond the limits. */
bool walk_is_path(const char *path);

enum walk_kind { WALK_NOTHING, WALK_FILE, WALK_FOLDER };

/* What is at paths in the shared folder now. One place after another: those in the same folder are
 * cheap when they follow each other. */
struct walk_places {
    struct share *share;
    int top; /* the shared folder; borrowed */
    int folder;
    char path[FILE_PATH_MAX_BYTES + 1]; /* of that folder with a '/' at its end; "" is the top */
};
void walk_places_init(struct walk_places *places, struct share *share, int top);
void walk_places_done(struct walk_places *places);

struct walk_found {
    enum walk_kind kind;
    struct share_identity identity; /* of a file */
    bool linked;                    /* it has several names */
};
/* The path is one by walk_is_path. False: it cannot be told (no descriptors, no memory). */
bool walk_look_at(struct walk_places *places, const char *path, struct walk_found *found);

/* Adds all files in the folder at that path. False: it cannot be told, or something is beyond the
 * limits. *folders grows by the folders that were read. */
bool walk_folder(struct walk_places *places, const char *path, const struct walk_visitor *visitor,
                 struct listing_builder *builder, size_t *folders);
