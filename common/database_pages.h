/*
 * A part of common/database: pages of a file that all connections of this process share. SQLite
 * keeps pages for each connection, and forgets all of them whenever somebody commits; mapping the
 * file instead counts as memory of ours for each connection, and the system maps 16 pages where one
 * is wanted, at the price of reading several. So what SQLite takes for a mapping of the file
 * (xFetch) is memory of ours with the pages that are asked for most: as much of it as the first
 * connection's PRAGMA mmap_size says, for all of them together. A connection without one does not
 * take part.
 *
 * It relies on what SQLite's own mapping relies on: with a write-ahead log a page of the file
 * changes only in a checkpoint, while nobody reads it there. Whoever writes has the file open here,
 * too, in this process: it is told by that. Another program that writes meanwhile, or puts another
 * file in its place, would not be noticed.
 */
#pragma once

#include "common/error.h"

/* SQLite's own, with that difference; the name for sqlite3_open_v2. Any thread. */
MUST_CHECK enum error_code database_pages_name(const char **name, struct error *error);
