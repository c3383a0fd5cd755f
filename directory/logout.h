/*
 * POST /logout: a peer says that it goes, and by its token who it is. It is away at once, and the
 * reply comes when that is stored.
 */
#pragma once

#include "directory/login.h"

/* As login_handle. */
bool logout_handle(const struct login_services *services, struct http_exchange *exchange,
                   struct http_reply *reply);
