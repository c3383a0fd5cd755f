/* What the database is made of (directory/index.h says what it means), and how it became so. */
#include "directory/index.h"
#include "directory/index_private.h"
#include "directory/trigrams.h"

#define PEERS_TABLE                                                                              \
    "CREATE TABLE peers(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token TEXT NOT NULL," \
    " seen_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, urls TEXT NOT NULL DEFAULT '[]',"     \
    " etag BLOB, host TEXT NOT NULL DEFAULT '', mark INTEGER NOT NULL DEFAULT 0,"                \
    " epoch INTEGER NOT NULL DEFAULT 0, away_ms INTEGER NOT NULL DEFAULT 0);"
#define SEEN_TABLE \
    "CREATE TABLE seen(block INTEGER PRIMARY KEY, now_ms INTEGER NOT NULL, ages BLOB NOT NULL);"
#define NAMES_TABLE "CREATE TABLE names(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);"
#define FILES_TABLE                                                                     \
    "CREATE TABLE files(name_id INTEGER NOT NULL, peer_id INTEGER NOT NULL, urls TEXT," \
    " size INTEGER, content BLOB, partial INTEGER, PRIMARY KEY(name_id, peer_id)) WITHOUT ROWID;"
#define FILES_INDEX "CREATE INDEX files_by_peer ON files(peer_id, name_id);"
/* Of each name only the tokens are kept. */
#define WORDS_TABLE                                                                      \
    "CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, detail=none," \
    " tokenize='" TRIGRAMS_TOKENIZER "');"

#define UNUSED_TABLE "CREATE TABLE unused(id INTEGER PRIMARY KEY);"

static const char schema[] =
    PEERS_TABLE SEEN_TABLE NAMES_TABLE FILES_TABLE FILES_INDEX WORDS_TABLE UNUSED_TABLE
    "CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

static const char from_version_1[] =
    "ALTER TABLE files ADD COLUMN size INTEGER;"
    "ALTER TABLE files ADD COLUMN content BLOB;"
    "DROP INDEX files_by_peer;"
    "CREATE INDEX files_by_peer ON files(peer_id, name, urls, size, content);";

static const char from_version_2[] =
    "ALTER TABLE files ADD COLUMN partial INTEGER;"
    "DROP INDEX files_by_peer;"
    "CREATE INDEX files_by_peer ON files(peer_id, name, urls, size, content, partial);";

/* The digests were others: each peer's next list is compared, file by file. */
static const char from_version_3[] = "ALTER TABLE peers RENAME COLUMN digest TO etag;"
                                     "ALTER TABLE peers ADD COLUMN host TEXT NOT NULL DEFAULT '';"
                                     "UPDATE peers SET etag=NULL;";

/* The ids rise with the names, so that all is written from the beginning to the end. */
static const char from_version_4[] =
    "ALTER TABLE peers ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE peers ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE peers ADD COLUMN away_ms INTEGER NOT NULL DEFAULT 0;" SEEN_TABLE
    "DROP INDEX files_by_peer;"
    "ALTER TABLE files RENAME TO named_files;" NAMES_TABLE FILES_TABLE
    "INSERT INTO names(name) SELECT DISTINCT name FROM named_files ORDER BY name;"
    "INSERT INTO files(name_id, peer_id, urls, size, content, partial)"
    " SELECT names.id, peer_id, urls, size, content, partial"
    " FROM named_files CROSS JOIN names USING(name) ORDER BY named_files.name, peer_id;"
    "DROP TABLE named_files;" FILES_INDEX;

/* names_open fills it. */
static const char from_version_5[] = WORDS_TABLE;

static const char from_version_6[] =
    UNUSED_TABLE "INSERT OR REPLACE INTO state SELECT 'worded', ifnull(max(id), 0) FROM names;";

static const char *const upgrades[] = {from_version_1, from_version_2, from_version_3,
                                       from_version_4, from_version_5, from_version_6};

/* Never ERROR_INVALID or ERROR_DENIED once it is open: those say what a request did wrong, and
 * would tell a user that his password is wrong when the database has become read-only. */
const struct database_form index_form = {
    .name = "database",
    .owner = "directory",
    .application_id = 0x50325044, /* "P2PD" */
    .version = 7,
    .schema = schema,
    .upgrades = upgrades,
    .pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
               "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16384;"
               "PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=FAST;",
    .tokenizer = &trigrams_tokenizer,
    .check_max_bytes = INDEX_CHECK_MAX_BYTES,
    .shares_pages = true,
    .denied = ERROR_IO,
};
