/*
 * SQLite: the only module that knows it. A database is one file with a schema of its user's; here
 * is how it is opened, made, brought up to date and asked, and what SQLite's results mean to us.
 *
 * Failures are ERROR_NO_SPACE, ERROR_BUSY, ERROR_CORRUPT, ERROR_CANCELLED (database_watch), the
 * form's code for a missing permission, and ERROR_IO for all else; database_open has more.
 *
 * A connection and its statements are used by one thread at a time. Whoever else has the file
 * locked is waited for, a second at most.
 */
#pragma once

#include "common/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A tokenizer for full-text search (FTS5): hands each token of the text, or of a part of a query,
 * to take, and returns what that returns as soon as it is not 0. Pure. */
typedef int database_token_fn(void *context, const char *token, size_t length);
struct database_tokenizer {
    const char *name;
    int (*tokenize)(void *context, bool is_query, const char *text, size_t length,
                    database_token_fn *take);
};

/* What a program's database is like. Borrowed for as long as a connection is open. */
struct database_form {
    const char *name;            /* errors begin with it */
    const char *owner;           /* whose file it is: "… not a OWNER's" */
    int32_t application_id;      /* PRAGMA application_id of every such file */
    int version;                 /* PRAGMA user_version of the newest schema; the first is 1 */
    const char *schema;          /* makes the newest, in a transaction that is not its own */
    const char *const *upgrades; /* [N - 1] makes version N + 1 of version N, likewise */
    const char *pragmas;         /* of the connection that database_open makes */
    const struct database_tokenizer *tokenizer; /* NULL: none */
    int64_t check_max_bytes; /* a larger file is not checked whole when it is opened; 0: any is */
    bool shares_pages;       /* with mmap_size: bytes of pages that all connections share; nobody
                              * else writes to the file meanwhile */
    bool is_frugal;          /* without the 120 KiB that SQLite pools for each connection */
    enum error_code denied;  /* for what may not be written */
};

struct database;

/* Opens or makes the file; a path of NULL is one in memory. A file with nothing in it gets the
 * schema. One of ours is checked whole (database_check), unless that would take long (the form's
 * check_max_bytes; database_is_checked tells), and brought up to date, a version at a time, each in
 * a transaction that leaves all as it was when it fails. ERROR_INVALID: of another program, or of a
 * version that we do not know, and nothing was changed; ERROR_CORRUPT: damaged, or no database.
 * *database is the caller's. */
MUST_CHECK enum error_code database_open(const struct database_form *form, const char *path,
                                         struct database **database, struct error *error);
/* False: nobody has, what database_open leaves to the caller for a large file. */
bool database_is_checked(const struct database *database);
/* Reads all of it (SQLite's quick_check, at some 200 MB a second). Meanwhile the log cannot be
 * folded back. ERROR_CORRUPT: damaged. */
MUST_CHECK enum error_code database_check(struct database *database, struct error *error);
/* One more connection to a file that database_open has opened, with other pragmas. */
MUST_CHECK enum error_code database_connect(const struct database_form *form, const char *path,
                                            const char *pragmas, struct database **database,
                                            struct error *error);

/* A file that cannot be written now (its file system, its folder or itself is read-only, or there
 * is no room): read as of its last commit, which a write-ahead log may hold. Nothing of it is
 * changed, made or locked: nobody may change it meanwhile, and no connection for writing may commit
 * before these are closed. It must be up to date; errors as of database_open. */
MUST_CHECK enum error_code database_open_to_read(const struct database_form *form, const char *path,
                                                 struct database **database, struct error *error);
/* The same without any look at what it is. */
MUST_CHECK enum error_code database_connect_to_read(const struct database_form *form,
                                                    const char *path, const char *pragmas,
                                                    struct database **database,
                                                    struct error *error);

/* Its statements are freed before. NULL is allowed. */
void database_close(struct database *database);

/* From now on, what is long on this connection fails with ERROR_CANCELLED once the flag is set, by
 * any thread. The flag is borrowed until the connection is closed. */
void database_watch(struct database *database, const atomic_bool *cancelled);

/* Statements that give nothing, several with ';' between them. */
MUST_CHECK enum error_code database_execute(struct database *database, const char *sql,
                                            struct error *error);
/* The first column of a query's first row; 0 when there is none. */
MUST_CHECK enum error_code database_get_number(struct database *database, const char *sql,
                                               int64_t *number, struct error *error);
/* The number of the row that was inserted last. */
int64_t database_last_row(const struct database *database);
/* From now on each commit of this connection tells how many pages the write-ahead log has then. The
 * counter is borrowed until the connection is closed. */
void database_watch_log(struct database *database, atomic_int *pages);
/* Gives memory that is not needed between uses back. */
void database_rest(struct database *database);

/* A part of one value, read without the rest of it. */
struct database_part {
    const char *table;
    const char *column;
    int64_t row;
    size_t first_bytes;
    size_t length_bytes;
};
/* ERROR_NOT_FOUND: there is no such row, or its value ends before. */
MUST_CHECK enum error_code database_read_part(struct database *database,
                                              const struct database_part *part, void *out,
                                              struct error *error);

/* ---- statements ---- */

struct database_statement;

/* *statement is the caller's; it stays NULL on failure. */
MUST_CHECK enum error_code database_prepare(struct database *database, const char *sql,
                                            struct database_statement **statement,
                                            struct error *error);
void database_statement_free(struct database_statement *statement); /* NULL is allowed */

/* Places count from 1. What is bound stays so, and text and bytes (NULL: the SQL NULL) are borrowed
 * until the statement is finished. */
void database_bind_number(struct database_statement *statement, int place, int64_t number);
void database_bind_text(struct database_statement *statement, int place, const char *text);
void database_bind_bytes(struct database_statement *statement, int place, const void *bytes,
                         size_t length);
void database_bind_null(struct database_statement *statement, int place);

/* True: there is a (next) row. Then, or to stop before the last one, database_finish: it ends the
 * statement so that it holds no lock, and says whether the last step failed. */
bool database_next(struct database_statement *statement);
/* The same, but given up (ERROR_CANCELLED) where it takes more than so many steps of SQLite's
 * machine. Full-text search is steps only where it reads a page of its index: three or four. Not
 * on a connection that is watched. */
bool database_next_within(struct database_statement *statement, int steps);
MUST_CHECK enum error_code database_finish(struct database_statement *statement,
                                           struct error *error);
/* Both, for a statement that gives no rows. */
MUST_CHECK enum error_code database_run(struct database_statement *statement, struct error *error);

/* A prepared ROLLBACK, whatever is cancelled, when a transaction is open: some failures have ended
 * it already, and none is worse than it was. */
void database_roll_back(struct database_statement *rollback);

/* Columns of the row count from 0. Text and bytes are borrowed until the next row or the finish;
 * NULL for the SQL NULL. Bytes of a length of 0 are NULL too. */
bool database_is_number(const struct database_statement *statement, int column);
int64_t database_number(const struct database_statement *statement, int column);
const char *database_text(const struct database_statement *statement, int column);
const void *database_bytes(const struct database_statement *statement, int column, size_t *length);
