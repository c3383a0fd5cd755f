/*
 * Addresses of connections as people write them. Pure.
 */
#pragma once

#include <sys/socket.h>

#define PEER_NAME_BYTES 64 /* an IPv6 address has at most 45 */

/* "172.28.0.3:51234", "[::1]:80"; an IPv4 address that came in by IPv6 is one of IPv4. A Unix
 * socket's other side is "unix:": it has no name. Returns out. */
const char *peer_name_format(const struct sockaddr_storage *address, char out[PEER_NAME_BYTES]);
