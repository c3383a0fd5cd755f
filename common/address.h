/*
 * Addresses of peers and listeners, "host:port". Pure.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_HOST_BYTES 254 /* a DNS name has at most 253 (RFC 1035) */
#define ADDRESS_TEXT_BYTES (ADDRESS_HOST_BYTES + 8 + 2)

struct address {
    char host[ADDRESS_HOST_BYTES]; /* name, IPv4, or IPv6 without brackets */
    uint16_t port;
};

/* Takes "host:port", "[ipv6]:port", and the reference's "http://host:port" with or without a '/' at
 * the end. Port 0 is allowed only with allow_port_0. ERROR_INVALID with the reason otherwise. */
MUST_CHECK enum error_code address_parse(const char *text, bool allow_port_0,
                                         struct address *address, struct error *error);

/* "host:port", with brackets round an IPv6 host. Returns out. */
const char *address_format(const struct address *address, char out[ADDRESS_TEXT_BYTES]);

/* Whether the host means "every address of this machine": 0.0.0.0 or [::]. */
bool address_is_wildcard(const struct address *address);
