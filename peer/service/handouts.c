#include "peer/service/handouts.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct given {
    struct content_id content;
    uint64_t used;  /* the higher, the later; 0: free */
    uint8_t *times; /* of each piece */
    size_t piece_count;
};

struct handouts {
    pthread_mutex_t lock; /* guards all */
    uint64_t uses;
    struct given given[HANDOUTS_CONTENTS_MAX];
};

struct handouts *handouts_new(void)
{
    struct handouts *handouts = memory_new(1, sizeof *handouts);

    pthread_mutex_init(&handouts->lock, NULL);
    return handouts;
}

void handouts_free(struct handouts *handouts)
{
    if (!handouts)
        return;
    for (size_t i = 0; i < HANDOUTS_CONTENTS_MAX; i++)
        free(handouts->given[i].times);
    pthread_mutex_destroy(&handouts->lock);
    free(handouts);
}

static struct given *find_locked(struct handouts *handouts, const struct content_id *content)
{
    for (size_t i = 0; i < HANDOUTS_CONTENTS_MAX; i++) {
        struct given *given = &handouts->given[i];
        if (given->used > 0 && content_id_equal(&given->content, content))
            return given;
    }
    return NULL;
}

/* The one that was used longest ago makes room. */
static struct given *get_locked(struct handouts *handouts, const struct handout_wish *wish)
{
    struct given *given = find_locked(handouts, wish->content);

    if (!given) {
        given = &handouts->given[0];
        for (size_t i = 1; i < HANDOUTS_CONTENTS_MAX; i++)
            if (handouts->given[i].used < given->used)
                given = &handouts->given[i];
        free(given->times);
        *given = (struct given){.content = *wish->content,
                                .times = memory_new(wish->piece_count, 1),
                                .piece_count = wish->piece_count};
    }
    given->used = ++handouts->uses;
    return given;
}

static bool is_wished(const struct handout_wish *wish, size_t index)
{
    if (index >= wish->asked.first && index - wish->asked.first < wish->asked.count)
        return true;
    if (index < wish->from || (index - wish->from) / 8 >= wish->bytes)
        return false;
    return wish->alternatives[(index - wish->from) / 8] >> (index - wish->from) % 8 & 1;
}

/* The first of those that were given least, from what was asked upwards and round the end. */
static size_t find_least(const struct given *given, const struct handout_wish *wish)
{
    size_t begin = wish->from < wish->asked.first ? wish->from : wish->asked.first;
    size_t end = wish->from + wish->bytes * 8;
    size_t least = wish->asked.first;

    if (end > given->piece_count)
        end = given->piece_count;
    if (end < wish->asked.first + wish->asked.count)
        end = wish->asked.first + wish->asked.count;
    for (size_t step = 0; step < end - begin; step++) {
        size_t index = begin + (wish->asked.first - begin + step) % (end - begin);
        if (is_wished(wish, index) && given->times[index] < given->times[least])
            least = index;
    }
    return least;
}

struct handout handouts_choose(struct handouts *handouts, const struct handout_wish *wish)
{
    struct handout handout = wish->asked;
    size_t count = wish->piece_count;

    if (count > HANDOUTS_PIECES_MAX || wish->from >= count || wish->asked.count == 0 ||
        wish->asked.count > count || wish->asked.first > count - wish->asked.count)
        return handout;
    pthread_mutex_lock(&handouts->lock);
    struct given *given = get_locked(handouts, wish);
    size_t first = find_least(given, wish);
    uint8_t times = given->times[first];
    for (handout = (struct handout){.first = first}; handout.count < wish->asked.count;
         handout.count++) {
        size_t index = first + handout.count;
        if (index >= count || !is_wished(wish, index) || given->times[index] != times)
            break;
        if (times < UINT8_MAX)
            given->times[index]++;
    }
    pthread_mutex_unlock(&handouts->lock);
    return handout;
}

void handouts_return(struct handouts *handouts, const struct content_id *content,
                     struct handout handout)
{
    pthread_mutex_lock(&handouts->lock);
    struct given *given = find_locked(handouts, content);
    for (size_t i = 0; given && i < handout.count && handout.first + i < given->piece_count; i++)
        if (given->times[handout.first + i] > 0)
            given->times[handout.first + i]--;
    pthread_mutex_unlock(&handouts->lock);
}
