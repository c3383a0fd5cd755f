/*
 * The ids of names, in memory: what an exact search asks first, instead of going through the tree
 * of all names in the database, which is half of its way there.
 *
 * 16 bytes a name: of a keyed hash of it (SipHash-2-4, 128 bits) 88 bits, and the id. The key is
 * drawn at each start, so nobody can make two names look alike, and that it happens by itself, once
 * in 10^19 questions among ten million names, is less likely than a broken memory. The database has
 * the last word on all else: what is here is committed there, and what is not here may be there,
 * until all that is there has been put in (name_ids_complete).
 *
 * One thread writes, any thread asks. In parts with a lock each; none is held for longer than a
 * part takes to grow, some 0.2 ms.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name_ids;

/* No more than so many are kept: the others are always asked of the database. */
struct name_ids *name_ids_new(size_t max);
void name_ids_free(struct name_ids *ids); /* NULL is allowed */

enum name_ids_answer { NAME_IDS_FOUND, NAME_IDS_NONE, NAME_IDS_UNKNOWN };
/* Any thread. NONE: no name that anybody was told of as committed is that one; UNKNOWN: only the
 * database knows. */
enum name_ids_answer name_ids_find(struct name_ids *ids, const char *name, int64_t *id);

/* Of committed names; an id is above 0, and never given to another name. */
void name_ids_put(struct name_ids *ids, const char *name, int64_t id);
void name_ids_remove(struct name_ids *ids, const char *name);

/* All names of the database have been put. */
void name_ids_complete(struct name_ids *ids);
bool name_ids_is_complete(const struct name_ids *ids);
