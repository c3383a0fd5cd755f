/*
 * What the writing and the reading connections of the index share.
 */
#pragma once

#include "common/database.h"
#include "directory/files_index.h"

extern const struct database_form index_form;

/* Of the columns size, content and partial; borrowed until the statement's next row. */
struct file_content index_read_content(const struct database_statement *statement, int column);
