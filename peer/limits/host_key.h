/*
 * Who is one peer to all limits: the host of an address, whatever its port. Pure.
 *
 * An IPv6 host counts by its /64, which is what a single customer or machine has to choose from
 * (RFC 6177, RFC 7934): with all 128 bits anybody could be as many peers as wanted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct host_key {
    uint8_t bytes[16];
};

/* Of "host:port", "[ipv6]:port" or a host alone; of anything else a key that is its own. */
struct host_key host_key_of(const char *address);

bool host_key_equal(const struct host_key *a, const struct host_key *b);
unsigned host_key_hash(const struct host_key *key); /* for tables */
