#include "peer/locate/client_rates.h"

#define TOKEN 1000

static struct client_bucket *find_bucket(struct client_rates *rates, const struct host_key *host,
                                         int64_t now_ms)
{
    struct client_bucket *oldest = &rates->clients[0];

    for (size_t i = 0; i < CLIENT_RATES_CLIENTS; i++) {
        struct client_bucket *bucket = &rates->clients[i];
        if (bucket->used && host_key_equal(&bucket->host, host))
            return bucket;
        if (oldest->used && (!bucket->used || bucket->time_ms < oldest->time_ms))
            oldest = bucket;
    }
    *oldest = (struct client_bucket){.host = *host,
                                     .time_ms = now_ms,
                                     .tokens = (int64_t)CLIENT_RATES_BURST * TOKEN,
                                     .used = true};
    return oldest;
}

static void fill(struct client_bucket *bucket, int64_t now_ms, int64_t burst, int64_t second)
{
    int64_t passed = now_ms - bucket->time_ms;

    bucket->time_ms = now_ms;
    if (passed >= burst * TOKEN / second)
        bucket->tokens = burst * TOKEN;
    else if (passed > 0)
        bucket->tokens += passed * second;
    if (bucket->tokens > burst * TOKEN)
        bucket->tokens = burst * TOKEN;
}

bool client_rates_take(struct client_rates *rates, const char *client, int64_t now_ms)
{
    struct host_key host = host_key_of(client);

    if (!rates->all.used)
        rates->all = (struct client_bucket){
            .time_ms = now_ms, .tokens = (int64_t)CLIENT_RATES_ALL_BURST * TOKEN, .used = true};
    struct client_bucket *bucket = find_bucket(rates, &host, now_ms);
    fill(bucket, now_ms, CLIENT_RATES_BURST, CLIENT_RATES_SECOND);
    fill(&rates->all, now_ms, CLIENT_RATES_ALL_BURST, CLIENT_RATES_ALL);
    if (bucket->tokens < TOKEN || rates->all.tokens < TOKEN)
        return false;
    bucket->tokens -= TOKEN;
    rates->all.tokens -= TOKEN;
    return true;
}
