/*
 * The core's names of connections as people write addresses. Pure.
 */
#pragma once

#include <stddef.h>

#define PEER_NAME_BYTES 128 /* a Unix socket's path has at most 107 */

/* "ipv4:172.28.0.3:51234" is "172.28.0.3:51234", "ipv6:%5B::1%5D:80" is "[::1]:80", "unix:/path"
 * stays. NULL is "". Returns out. */
const char *peer_name_format(const char *core_name, char out[PEER_NAME_BYTES]);
