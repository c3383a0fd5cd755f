/*
 * The ids of the files that are shared now, in memory: a hash table by device and inode. About 100
 * bytes a file. One thread at a time.
 */
#pragma once

#include "common/content.h"
#include "peer/share/share.h"

#include <stddef.h>

struct known_file {
    struct share_identity identity;
    struct content_id content;
    int64_t number; /* of the row in the store; 0: it could not be stored */
    uint64_t scan;  /* the last one that saw the file */
    uint64_t named; /* known_hash_name of the name in that row; 0: not known */
    /* When its bytes were last read and compared, on the wall clock. */
    int64_t checked_s;
    bool damaged;   /* there is a struct damage of it */
    bool withdrawn; /* damaged, and nobody could repair it: nobody is told of it */
    bool used;      /* of the table */
};

struct known {
    struct known_file *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

void known_done(struct known *known);

/* A folder that is renamed leaves its files as they are: that they have other names now shows here
 * only. Never 0. */
uint64_t known_hash_name(const struct file_name *name);

/* What is known of that inode, in whatever state; NULL. Borrowed until the next put or keep. It was
 * seen in that scan. */
const struct known_file *known_see(struct known *known, const struct share_identity *identity,
                                   uint64_t scan);

/* Whether it is known of that inode that the scan has not seen it. */
bool known_unseen(const struct known *known, const struct share_identity *identity, uint64_t scan);

/* What is known of the file in that very state; NULL. Borrowed likewise. */
const struct known_file *known_find(const struct known *known,
                                    const struct share_identity *identity);

/* Takes the place of what was known of that inode. */
void known_put(struct known *known, const struct known_file *file);

/* Drops what that scan has not seen. */
void known_keep(struct known *known, uint64_t scan);
