/*
 * A part of common/database: files that stay mapped. SQLite unmaps a file at the first read after
 * each change, since another program might have cut it and made it longer again in between: then
 * its beginning is mapped anew, page by page, whenever somebody commits. Who is sure that a file
 * never becomes shorter is spared that; it is mapped anew when it has grown enough.
 */
#pragma once

#include "common/error.h"

/* SQLite's own, with that difference; the name for sqlite3_open_v2. Any thread. */
MUST_CHECK enum error_code database_mapping_name(const char **name, struct error *error);
