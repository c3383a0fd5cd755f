/*
 * How SQLite reads a file that cannot be written now: a VFS that opens nothing for writing, makes
 * and removes no file and takes no lock, for connections that say so (PRAGMA
 * locking_mode=EXCLUSIVE) before they read. A write-ahead log with something in it is read, its
 * index is made in memory; without one the file is taken for one that nobody changes. Whoever
 * connects so sees to it that nobody does.
 */
#pragma once

#include "common/error.h"

MUST_CHECK enum error_code database_reading_name(const char **name, struct error *error);
