/*
 * The table of routes: paths, methods, handlers. The dispatcher answers what no handler should see
 * (what could not be read whole, unknown paths, wrong methods, broken encoding).
 */
#pragma once

#include "directory/health.h"
#include "directory/http.h"
#include "directory/index.h"
#include "directory/index_reader.h"
#include "directory/login.h"

/* What every request needs of the daemon; borrowed for as long as requests are served. */
struct routes {
    struct login_services login;
    const struct health *health;
    const struct index *index;
    int64_t started_ms; /* since 1970 UTC */
    const atomic_int_least64_t *stalled_ms;
};

/* The path of a row of the table, from 0 on, and its method (HEAD goes with GET); NULL where the
 * table ends. */
const char *routes_describe(size_t row, const char **method);

/* An http_handler: context is a struct routes, thread the loop's struct index_reader. */
bool routes_handle(void *context, void *thread, struct http_exchange *exchange,
                   struct http_reply *reply);
