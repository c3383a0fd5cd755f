#include "common/multi_hash.h"

#include <assert.h>
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

/* The library's manager by another name: all that is needed is in there. */
static IMB_MGR *manager_of(struct multi_hash *multi)
{
    return (IMB_MGR *)multi;
}

struct multi_hash *multi_hash_new(void)
{
    IMB_MGR *manager = alloc_mb_mgr(0);

    if (!manager)
        return NULL;
    init_mb_mgr_auto(manager, NULL);
    if (imb_get_errno(manager) != 0) { /* a processor that it does not support */
        free_mb_mgr(manager);
        return NULL;
    }
    return (struct multi_hash *)manager;
}

void multi_hash_free(struct multi_hash *multi)
{
    if (multi)
        free_mb_mgr(manager_of(multi));
}

static void describe(const struct sha256_message *message, IMB_JOB *job)
{
    memset(job, 0, sizeof *job);
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = IMB_AUTH_SHA_256;
    job->src = message->data;
    job->msg_len_to_hash_in_bytes = message->length;
    job->auth_tag_output = message->hash;
    job->auth_tag_output_len_in_bytes = SHA256_BYTES;
}

/* Jobs come back in order, some while others are submitted. */
static size_t count_done(IMB_MGR *manager, IMB_JOB *job)
{
    size_t done = 0;

    for (; job; job = IMB_GET_COMPLETED_JOB(manager))
        done += job->status == IMB_STATUS_COMPLETED;
    return done;
}

void multi_hash_run(struct multi_hash *multi, const struct sha256_message *messages, size_t count)
{
    IMB_MGR *manager = manager_of(multi);
    IMB_JOB *job;
    size_t done = 0;

    assert(count <= SHA256_LANES);
    for (size_t i = 0; i < count; i++) {
        describe(&messages[i], IMB_GET_NEXT_JOB(manager));
        done += count_done(manager, IMB_SUBMIT_JOB(manager));
    }
    while ((job = IMB_FLUSH_JOB(manager)))
        done += count_done(manager, job);
    if (done != count) /* it refuses only what is no such job */
        abort();
}
