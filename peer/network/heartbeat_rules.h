/*
 * When a peer logs in again, and whether with its index: the decisions of the heartbeat. Pure: the
 * time and the random numbers are passed in.
 *
 *                     success                      failure
 *   NEW ───────────▶ LISTED ◀──────────────▶ AWAY  (no answer, or no sense in it)
 *                       ▲  ◀──────────────▶ REFUSED (wrong user or password)
 */
#pragma once

#include "peer/network/directory_client.h"

#include <stdbool.h>
#include <stdint.h>

/* Logins that carry an index are at least so far apart, and four times as long as the last one
 * took: a folder that changes all the time must not keep the directory busy. With the watch's
 * settling time that is within the two seconds until a change must be known. */
#define HEARTBEAT_INDEX_GAP_MS   1000
#define HEARTBEAT_INDEX_GAP_COST 4

/* After a failure: a random time up to a limit that doubles from here to half the heartbeat, so
 * that with the time for connecting we are back within one heartbeat of the directory's return. A
 * directory that says when to come again says so to all: then up to half a heartbeat later. */
#define HEARTBEAT_BACKOFF_MS     500
#define HEARTBEAT_BACKOFF_MIN_MS 100

/* A wrong password does not become right by itself. */
#define HEARTBEAT_REFUSED_MS 30000

enum heartbeat_state { HEARTBEAT_NEW, HEARTBEAT_LISTED, HEARTBEAT_AWAY, HEARTBEAT_REFUSED };

struct heartbeat_rules {
    enum heartbeat_state state;
    bool wants_index;     /* the directory does not have what is shared now */
    unsigned failures;    /* in a row */
    int64_t retry_ms;     /* of the last */
    int64_t heartbeat_ms; /* as the directory told, or the default */
    int64_t index_end_ms; /* when the last login with an index ended, and how long it took */
    int64_t index_cost_ms;
    char token[sizeof((struct directory_session *)0)->token];
    bool told_of_loss;
    bool is_held; /* the list stays here while it lasts (name_rival.h); set from outside */
};

/* What the operator should hear of an attempt; each is said once. */
enum heartbeat_news {
    HEARTBEAT_NO_NEWS,
    HEARTBEAT_IS_LISTED,     /* for the first time */
    HEARTBEAT_IS_BACK,       /* after a failure */
    HEARTBEAT_IS_AWAY,       /* the directory has gone */
    HEARTBEAT_IS_REFUSED,    /* user or password are wrong */
    HEARTBEAT_INDEX_REFUSED, /* the peer is listed, its files are not */
    HEARTBEAT_INDEX_LOST,    /* it had taken our list, and has another one under our name */
};

struct heartbeat_attempt {
    int64_t start_ms, end_ms; /* boot clock */
    bool with_index;
    int64_t retry_ms; /* the directory does not want to hear of us so long (Retry-After); 0 */
};

void heartbeat_rules_init(struct heartbeat_rules *rules);

/* The names of the shared files are other ones than those that the directory was told. */
void heartbeat_rules_changed(struct heartbeat_rules *rules);

/* Whether the next login carries the index; one that does not says with its sum which index the
 * directory should have, and its answer whether it has (index_needed). A directory that knows no
 * sums and gives another token took us for gone, or is another one. Not to a directory that may
 * still be away: a long one would be made and sent for nothing again and again. It follows at once
 * when it is back. */
bool heartbeat_rules_with_index(const struct heartbeat_rules *rules);

enum heartbeat_news heartbeat_rules_success(struct heartbeat_rules *rules,
                                            const struct heartbeat_attempt *attempt,
                                            const struct directory_session *session);
enum heartbeat_news heartbeat_rules_failure(struct heartbeat_rules *rules,
                                            const struct heartbeat_attempt *attempt,
                                            enum error_code code);

/* How long to wait from now on before the next login, the last having ended at last_ms. A share
 * change matters at once only while we are listed: a directory that is away stays so. */
int64_t heartbeat_rules_wait_ms(const struct heartbeat_rules *rules, int64_t last_ms,
                                int64_t now_ms, uint32_t random);
