#include "peer/network/heartbeat_rules.h"

#include <stdio.h>
#include <string.h>

void heartbeat_rules_init(struct heartbeat_rules *rules)
{
    *rules = (struct heartbeat_rules){.wants_index = true, .heartbeat_ms = DIRECTORY_EXPIRY_MS / 3};
}

void heartbeat_rules_changed(struct heartbeat_rules *rules)
{
    rules->wants_index = true;
}

bool heartbeat_rules_with_index(const struct heartbeat_rules *rules)
{
    return rules->wants_index && !rules->is_held &&
           (rules->state == HEARTBEAT_NEW || rules->state == HEARTBEAT_LISTED);
}

/* A random number from 0 to limit. */
static int64_t scale(int64_t limit, uint32_t random)
{
    return (int64_t)((double)limit * random / UINT32_MAX);
}

enum heartbeat_news heartbeat_rules_success(struct heartbeat_rules *rules,
                                            const struct heartbeat_attempt *attempt,
                                            const struct directory_session *session)
{
    enum heartbeat_state before = rules->state;
    bool same_token = rules->token[0] && strcmp(rules->token, session->token) == 0;
    bool lost = false;

    rules->state = HEARTBEAT_LISTED;
    rules->failures = 0;
    rules->heartbeat_ms = session->heartbeat_ms;
    if (attempt->with_index) {
        rules->wants_index = false;
        rules->index_end_ms = attempt->end_ms;
        rules->index_cost_ms = attempt->end_ms - attempt->start_ms;
    } else if (rules->wants_index && before == HEARTBEAT_LISTED) {
        rules->index_end_ms = attempt->end_ms; /* the folder could not be read: not at once again */
    } else if (session->says_index) {
        lost = before == HEARTBEAT_LISTED && session->index_needed && same_token &&
               !rules->told_of_loss && !rules->is_held;
        rules->told_of_loss |= lost;
        rules->wants_index = session->index_needed;
    } else if (rules->token[0] && !same_token) {
        rules->wants_index = true; /* it took us for gone, or is another one with another memory */
    }
    snprintf(rules->token, sizeof rules->token, "%s", session->token);
    if (before == HEARTBEAT_LISTED)
        return lost ? HEARTBEAT_INDEX_LOST : HEARTBEAT_NO_NEWS;
    rules->told_of_loss = false;
    return before == HEARTBEAT_NEW ? HEARTBEAT_IS_LISTED : HEARTBEAT_IS_BACK;
}

enum heartbeat_news heartbeat_rules_failure(struct heartbeat_rules *rules,
                                            const struct heartbeat_attempt *attempt,
                                            enum error_code code)
{
    enum heartbeat_state before = rules->state;

    if (attempt->with_index && (code == ERROR_INVALID || code == ERROR_TOO_LARGE)) {
        /* The same list would be refused again; without it we can still be listed. */
        rules->wants_index = false;
        rules->index_end_ms = attempt->end_ms;
        return HEARTBEAT_INDEX_REFUSED;
    }
    rules->wants_index = true; /* what the directory has of us is not certain any more */
    rules->failures++;
    rules->retry_ms = attempt->retry_ms;
    rules->state = code == ERROR_DENIED ? HEARTBEAT_REFUSED : HEARTBEAT_AWAY;
    if (rules->state == before)
        return HEARTBEAT_NO_NEWS;
    return rules->state == HEARTBEAT_REFUSED ? HEARTBEAT_IS_REFUSED : HEARTBEAT_IS_AWAY;
}

static int64_t backoff_ms(const struct heartbeat_rules *rules, uint32_t random)
{
    int64_t limit = HEARTBEAT_BACKOFF_MS;

    if (rules->retry_ms > 0)
        return rules->retry_ms + scale(rules->heartbeat_ms / 2, random);
    for (unsigned i = 1; i < rules->failures && limit < rules->heartbeat_ms / 2; i++)
        limit *= 2;
    if (limit > rules->heartbeat_ms / 2)
        limit = rules->heartbeat_ms / 2;
    int64_t wait = scale(limit, random);
    return wait < HEARTBEAT_BACKOFF_MIN_MS ? HEARTBEAT_BACKOFF_MIN_MS : wait;
}

/* When the next login is due. */
static int64_t due_ms(const struct heartbeat_rules *rules, int64_t last_ms, uint32_t random)
{
    int64_t gap = rules->index_cost_ms * HEARTBEAT_INDEX_GAP_COST;

    switch (rules->state) {
    case HEARTBEAT_NEW:
        return last_ms;
    case HEARTBEAT_AWAY:
        return last_ms + backoff_ms(rules, random);
    case HEARTBEAT_REFUSED:
        return last_ms + HEARTBEAT_REFUSED_MS - scale(HEARTBEAT_REFUSED_MS / 5, random);
    case HEARTBEAT_LISTED:
        break;
    }
    int64_t beat = last_ms + rules->heartbeat_ms - scale(rules->heartbeat_ms / 5, random);
    int64_t index =
        rules->index_end_ms + (gap > HEARTBEAT_INDEX_GAP_MS ? gap : HEARTBEAT_INDEX_GAP_MS);
    return rules->wants_index && !rules->is_held && index < beat ? index : beat;
}

int64_t heartbeat_rules_wait_ms(const struct heartbeat_rules *rules, int64_t last_ms,
                                int64_t now_ms, uint32_t random)
{
    int64_t due = due_ms(rules, last_ms, random);

    return due > now_ms ? due - now_ms : 0;
}
