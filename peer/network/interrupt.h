/*
 * How an operation that waits for the network is broken off from another thread: one flag for what
 * waits on a stop event (HTTP) and for the gRPC call that is running, if any.
 *
 * raise and raised may be called by any thread; attach and detach by the thread that runs the
 * operation.
 */
#pragma once

#include "common/stop_event.h"
#include "peer/rpc/client.h"

#include <stdbool.h>

struct interrupt;

struct interrupt *interrupt_new(void); /* owned by the caller; never NULL */
void interrupt_free(struct interrupt *interrupt);

void interrupt_raise(struct interrupt *interrupt);
bool interrupt_raised(const struct interrupt *interrupt);

/* For what takes a stop event. Borrowed. */
struct stop_event *interrupt_event(const struct interrupt *interrupt);

/* From now until detach, raising cancels the call; at once if it is raised already. One call at a
 * time; detach before the call is freed. */
void interrupt_attach(struct interrupt *interrupt, struct rpc_client_call *call);
void interrupt_detach(struct interrupt *interrupt);
