#include "peer/locate/client_rates.h"

#include "common/address.h"

#include <arpa/inet.h>
#include <string.h>

#define TOKEN 1000

static void find_key(const char *client, uint8_t key[CLIENT_KEY_BYTES])
{
    struct address address;
    struct in6_addr six;
    struct in_addr four;

    memset(key, 0, CLIENT_KEY_BYTES);
    if (address_parse(client, true, &address, NULL))
        return;
    if (inet_pton(AF_INET, address.host, &four) == 1) {
        key[0] = 4;
        memcpy(key + 1, &four, sizeof four);
    } else if (inet_pton(AF_INET6, address.host, &six) == 1) {
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&six);
        key[0] = is_mapped ? 4 : 6;
        memcpy(key + 1, is_mapped ? &six.s6_addr[12] : six.s6_addr, is_mapped ? 4 : 8);
    }
}

static struct client_bucket *find_bucket(struct client_rates *rates,
                                         const uint8_t key[CLIENT_KEY_BYTES], int64_t now_ms)
{
    struct client_bucket *oldest = &rates->clients[0];

    for (size_t i = 0; i < CLIENT_RATES_CLIENTS; i++) {
        struct client_bucket *bucket = &rates->clients[i];
        if (bucket->used && memcmp(bucket->key, key, CLIENT_KEY_BYTES) == 0)
            return bucket;
        if (oldest->used && (!bucket->used || bucket->time_ms < oldest->time_ms))
            oldest = bucket;
    }
    *oldest = (struct client_bucket){
        .time_ms = now_ms, .tokens = (int64_t)CLIENT_RATES_BURST * TOKEN, .used = true};
    memcpy(oldest->key, key, CLIENT_KEY_BYTES);
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
    uint8_t key[CLIENT_KEY_BYTES];

    find_key(client, key);
    if (!rates->all.used)
        rates->all = (struct client_bucket){
            .time_ms = now_ms, .tokens = (int64_t)CLIENT_RATES_ALL_BURST * TOKEN, .used = true};
    struct client_bucket *bucket = find_bucket(rates, key, now_ms);
    fill(bucket, now_ms, CLIENT_RATES_BURST, CLIENT_RATES_SECOND);
    fill(&rates->all, now_ms, CLIENT_RATES_ALL_BURST, CLIENT_RATES_ALL);
    if (bucket->tokens < TOKEN || rates->all.tokens < TOKEN)
        return false;
    bucket->tokens -= TOKEN;
    rates->all.tokens -= TOKEN;
    return true;
}
