/*
 * One question to one peer: Locate, or for a peer that does not know it (the reference's) its list
 * of files. What comes back is checked: names, addresses, sizes of everything.
 */
#pragma once

#include "common/address.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/locate/questions.h"
#include "peer/network/directory_client.h"
#include "peer/network/interrupt.h"
#include "proto/peer.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

#define LOCATE_HOPS    2    /* how often ours may be passed on: with us, three in all */
#define LOCATE_WAIT_MS 3000 /* for a whole question */

/* 64 sources have a tenth of it. */
#define LOCATE_RESPONSE_MAX_BYTES ((size_t)256 << 10)

/* A list of about 20,000 files: longer ones are not looked through. */
#define LOCATE_LIST_MAX_BYTES ((size_t)1 << 20)

struct question {
    struct file_name name;
    uint8_t id[QUESTION_ID_BYTES];
    unsigned hops; /* at most LOCATE_HOPS */
    int64_t wait_ms;
};

/* Blocks for the question's wait_ms at most, or until the interrupt is raised. *sources: those that
 * it knows, SOURCE_LOCATED, owned by the caller; may be none. Errors as of calls. */
MUST_CHECK enum error_code ask_peer(const struct address *address, const struct question *question,
                                    struct interrupt *interrupt, struct directory_sources *sources,
                                    struct error *error);

/* Pure. What is good of a response of the peer at `asked`; owned by the caller. */
void ask_take_response(const Peer__LocateResponse *response, const struct address *asked,
                       struct directory_sources *sources);
