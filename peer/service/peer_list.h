/*
 * ListFiles: what this peer shares. A folder of many files takes long to look through, so neither
 * an event loop does it nor is it done once for each who asks: one thread does, and everybody who
 * asked before it began gets the same reply, which is in memory once. Any thread.
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue.h"
#include "peer/rpc/server.h"
#include "peer/share/share.h"

struct lister;

/* Both are borrowed until lister_stop; catalogue may be NULL. */
MUST_CHECK enum error_code lister_start(struct share *share, struct catalogue *catalogue,
                                        struct lister **lister, struct error *error);
void lister_stop(struct lister *lister); /* no call is left; joins and frees. NULL is fine */

/* The functions of the row; the service of peer_list_open is struct peer_service. */
void *peer_list_open(void *service, struct rpc_call *call);
enum error_code peer_list_message(void *state, const struct rpc_request *request,
                                  struct error *error);
enum rpc_step peer_list_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_list_close(void *state);
