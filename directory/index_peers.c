#include "directory/index_peers.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum statement { STORE_PEER, STORE_STATE, STORE_SEEN, STATEMENT_COUNT };

static const char *const statement_sql[STATEMENT_COUNT] = {
    [STORE_PEER] = "INSERT INTO peers(id, name, token, mark, seen_ms, epoch, sequence, away_ms)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                   " ON CONFLICT(id) DO UPDATE SET token=?3, mark=?4, seen_ms=?5, epoch=?6,"
                   " sequence=?7, away_ms=?8",
    [STORE_STATE] = "INSERT INTO state VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value=?2",
    [STORE_SEEN] = "INSERT INTO seen VALUES(?1, ?2, ?3)"
                   " ON CONFLICT(block) DO UPDATE SET now_ms=?2, ages=?3",
};

struct index_peers {
    struct database *database;
    struct database_statement *statements[STATEMENT_COUNT];
    int64_t epoch; /* of this start */
};

static enum error_code get_state(struct index_peers *peers, const char *key, int64_t *value,
                                 struct error *error)
{
    auto_free char *sql = memory_format("SELECT value FROM state WHERE key='%s'", key);

    return database_get_number(peers->database, sql, value, error);
}

enum error_code index_peers_open(struct database *database, struct index_peers **peers,
                                 struct error *error)
{
    struct index_peers *made = memory_new(1, sizeof *made);

    made->database = database;
    enum error_code code = get_state(made, "epoch", &made->epoch, error);
    made->epoch++;
    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code = database_prepare(database, statement_sql[i], &made->statements[i], error);
    if (code) {
        index_peers_close(made);
        return code;
    }
    *peers = made;
    return ERROR_NONE;
}

void index_peers_close(struct index_peers *peers)
{
    if (!peers)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        database_statement_free(peers->statements[i]);
    free(peers);
}

enum error_code index_peers_clocks(struct index_peers *peers, struct index_clocks *clocks,
                                   struct error *error)
{
    enum error_code code = get_state(peers, "written_ms", &clocks->written_ms, error);

    return code ? code : get_state(peers, "run_ms", &clocks->run_ms, error);
}

/* ---- loading ---- */

/* The blocks, which are read beside the peers. */
struct blocks {
    struct database_statement *statement;
    bool at_row;
    int64_t block, now_ms; /* of the row */
};

static void next_block(struct blocks *blocks)
{
    blocks->at_row = database_next(blocks->statement);
    if (!blocks->at_row)
        return;
    blocks->block = database_number(blocks->statement, 0);
    blocks->now_ms = database_number(blocks->statement, 1);
}

/* False: it has none, or one of somebody who is away. */
static bool find_seen(struct blocks *blocks, int64_t id, int64_t *now_ms, int64_t *seen_ms)
{
    int64_t block = (id - 1) / REGISTRY_BLOCK_PEERS;
    uint32_t age_ms = REGISTRY_AGE_AWAY;
    size_t bytes = 0;

    *now_ms = INT64_MIN;
    while (blocks->at_row && blocks->block < block)
        next_block(blocks);
    if (!blocks->at_row || blocks->block != block)
        return false;
    *now_ms = blocks->now_ms;
    const char *ages = database_bytes(blocks->statement, 2, &bytes);
    size_t place = (size_t)((id - 1) % REGISTRY_BLOCK_PEERS) * sizeof age_ms;
    if (ages && place + sizeof age_ms <= bytes)
        memcpy(&age_ms, ages + place, sizeof age_ms);
    *seen_ms = blocks->now_ms - age_ms;
    return age_ms != REGISTRY_AGE_AWAY;
}

static const char *text_or_empty(const struct database_statement *statement, int column)
{
    const char *text = database_text(statement, column);

    return text ? text : "";
}

enum column {
    ID,
    NAME,
    TOKEN,
    MARK,
    SEEN_MS,
    EPOCH,
    SEQUENCE,
    AWAY_MS,
    URLS,
    ETAG,
    HOST,
};
#define PEER_ID_MAX "1000000000"
#define SELECT_PEERS                                                                               \
    "SELECT id, name, token, mark, seen_ms, epoch, sequence, away_ms, urls, etag, host FROM peers" \
    " WHERE id BETWEEN 1 AND " PEER_ID_MAX " ORDER BY id"

/* Whose time is not known is away by the first sweep at the latest. */
static int64_t decide_seen(const struct index_peers *peers, const struct database_statement *row,
                           struct blocks *blocks)
{
    int64_t row_ms = database_number(row, SEEN_MS);
    int64_t now_ms;
    int64_t seen_ms = INT64_MIN / 2;
    bool found = find_seen(blocks, database_number(row, ID), &now_ms, &seen_ms);
    bool is_current = database_number(row, EPOCH) == peers->epoch - 1;

    if (is_current && row_ms >= now_ms)
        return row_ms;
    return found ? seen_ms : INT64_MIN / 2;
}

static void read_peer(const struct index_peers *peers, const struct database_statement *row,
                      struct blocks *blocks, struct registry_record *record)
{
    size_t etag_bytes;
    const void *etag = database_bytes(row, ETAG, &etag_bytes);
    const char *token = text_or_empty(row, TOKEN);

    *record = (struct registry_record){
        .id = database_number(row, ID),
        .name = text_or_empty(row, NAME),
        .mark = (uint64_t)database_number(row, MARK),
        .sequence = (uint64_t)database_number(row, SEQUENCE),
        .away_ms = database_number(row, AWAY_MS),
        .urls = text_or_empty(row, URLS),
        .host = text_or_empty(row, HOST),
        .has_etag = etag && etag_bytes == sizeof record->etag,
    };
    if (record->sequence != 0)
        record->seen_ms = decide_seen(peers, row, blocks);
    memcpy(record->token, token, strnlen(token, sizeof record->token - 1));
    if (record->has_etag)
        memcpy(&record->etag, etag, sizeof record->etag);
}

enum error_code index_peers_last_id(struct index_peers *peers, int64_t *id, struct error *error)
{
    struct database_statement *row = NULL;
    enum error_code code = database_prepare(
        peers->database, "SELECT max(id) FROM peers WHERE id <= " PEER_ID_MAX, &row, error);

    *id = 0;
    if (!code && database_next(row))
        *id = database_number(row, 0);
    if (!code)
        code = database_finish(row, error);
    database_statement_free(row);
    return code;
}

enum error_code index_peers_load(struct index_peers *peers, index_peer_fn *take, void *context,
                                 struct error *error)
{
    struct database_statement *rows = NULL;
    struct blocks blocks = {0};
    struct error ignored;
    enum error_code code =
        database_prepare(peers->database, "SELECT block, now_ms, ages FROM seen ORDER BY block",
                         &blocks.statement, error);

    if (!code)
        code = database_prepare(peers->database, SELECT_PEERS, &rows, error);
    if (!code)
        next_block(&blocks);
    while (!code && database_next(rows)) {
        struct registry_record record;
        read_peer(peers, rows, &blocks, &record);
        take(context, &record);
    }
    if (!code)
        code = database_finish(rows, error);
    if (blocks.statement) {
        enum error_code other = database_finish(blocks.statement, code ? &ignored : error);
        code = code ? code : other;
    }
    database_statement_free(rows);
    database_statement_free(blocks.statement);
    return code;
}

/* ---- storing ---- */

static enum error_code store_state(struct index_peers *peers, const char *key, int64_t value,
                                   struct error *error)
{
    struct database_statement *statement = peers->statements[STORE_STATE];

    database_bind_text(statement, 1, key);
    database_bind_number(statement, 2, value);
    return database_run(statement, error);
}

enum error_code index_peers_store_clocks(struct index_peers *peers,
                                         const struct index_clocks *clocks, struct error *error)
{
    enum error_code code = store_state(peers, "written_ms", clocks->written_ms, error);

    return code ? code : store_state(peers, "run_ms", clocks->run_ms, error);
}

enum error_code index_peers_begin_epoch(struct index_peers *peers, struct error *error)
{
    enum error_code code = database_execute(peers->database, "DELETE FROM seen", error);

    return code ? code : store_state(peers, "epoch", peers->epoch, error);
}

enum error_code index_peers_store(struct index_peers *peers, const struct registry_record *record,
                                  struct error *error)
{
    struct database_statement *statement = peers->statements[STORE_PEER];

    database_bind_number(statement, 1, record->id);
    database_bind_text(statement, 2, record->name);
    database_bind_text(statement, 3, record->token);
    database_bind_number(statement, 4, (int64_t)record->mark);
    database_bind_number(statement, 5, record->seen_ms);
    database_bind_number(statement, 6, peers->epoch);
    database_bind_number(statement, 7, (int64_t)record->sequence);
    database_bind_number(statement, 8, record->away_ms);
    return database_run(statement, error);
}

enum error_code index_peers_store_seen(struct index_peers *peers, const struct registry_seen *seen,
                                       struct error *error)
{
    struct database_statement *statement = peers->statements[STORE_SEEN];

    database_bind_number(statement, 1, seen->block);
    database_bind_number(statement, 2, seen->now_ms);
    database_bind_bytes(statement, 3, seen->ages_ms, sizeof seen->ages_ms);
    return database_run(statement, error);
}
