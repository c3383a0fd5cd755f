#include "peer/service/peer_list.h"

#include "common/memory.h"
#include "common/thread_pool.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct list_call {
    struct lister *lister;
    struct rpc_call *call;
    /* ---- guarded by the lister's lock */
    struct list_call *next, **link; /* link NULL: it waits for nothing */
    bool finished;
    bool folders; /* are known to the asker */
    /* ---- the thread's until finished, then the call's */
    struct rpc_packed *packed; /* NULL: outcome says why */
    struct error outcome;
    bool replied;
};

struct lister {
    struct share *share;
    struct catalogue *catalogue;
    struct thread_pool *pool; /* one thread */
    /* The thread's: while nothing changes all replies are the second of these for who knows
     * folders, the first for all others. */
    struct rpc_packed *last[2];
    pthread_mutex_t lock; /* guards what follows, and the calls */
    struct list_call *waiting;
    struct list_call *served; /* by the look that goes on */
    bool running;
};

/* ---- the calls in their lists, with the lock ---- */

static void put_in(struct list_call **list, struct list_call *call)
{
    call->next = *list;
    call->link = list;
    if (call->next)
        call->next->link = &call->next;
    *list = call;
}

static void take_out(struct list_call *call)
{
    if (!call->link)
        return;
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->link = NULL;
}

/* ---- the list ---- */

static void fill(Peer__FileInfo *info, struct share_file *file)
{
    peer__file_info__init(info);
    info->filename.data = (uint8_t *)(uintptr_t)file->name;
    info->filename.len = strlen(file->name);
    info->size_bytes = file->size_bytes;
    if (file->has_content)
        info->content_id = (ProtobufCBinaryData){.data = file->content.bytes, .len = HASH_BYTES};
}

static enum error_code pack_list(struct share_list *list, struct rpc_packed **packed,
                                 struct error *error)
{
    auto_free Peer__FileInfo *infos = memory_new(list->count, sizeof *infos);
    auto_free Peer__FileInfo **pointers = memory_new(list->count, sizeof *pointers);
    Peer__ListFilesResponse response = PEER__LIST_FILES_RESPONSE__INIT;

    for (size_t i = 0; i < list->count; i++) {
        fill(&infos[i], &list->files[i]);
        pointers[i] = &infos[i];
    }
    response.n_files = list->count;
    response.files = pointers;
    return rpc_packed_new(&response.base, PEER_LIST_MAX_BYTES, packed, error);
}

/* A list that does not fit into a message is an error: a part of it would look like the whole. */
static enum error_code pack(struct share_list *list, struct rpc_packed **packed,
                            struct error *error)
{
    enum error_code code = pack_list(list, packed, error);

    if (code == ERROR_TOO_LARGE)
        (void)error_set(error, code,
                        "La lista de %zu archivos es demasiado larga para un solo mensaje",
                        list->count);
    return code;
}

/* Who does not read its reply keeps it in memory: let all of them keep the same one. */
static void remember(struct rpc_packed **last, struct rpc_packed **packed)
{
    if (*last && rpc_packed_equal(*last, *packed)) {
        rpc_packed_free(*packed);
        *packed = rpc_packed_share(*last);
        return;
    }
    rpc_packed_free(*last);
    *last = rpc_packed_share(*packed);
}

/* One reply of a look, or why there is none. */
struct outcome {
    bool wanted;
    struct rpc_packed *packed;
    struct error error;
};

/* Both replies out of one list; without those in folders is what the reference's clients get. */
static void look(struct lister *lister, struct outcome outcomes[2])
{
    struct share_list list = {.count = 0};
    struct error error = {0};
    enum error_code code = share_list_files(lister->share, &list, &error);

    if (!code && lister->catalogue) {
        catalogue_fill_list(lister->catalogue, &list);
        catalogue_leave_out_withdrawn(lister->catalogue, &list);
    }
    for (int folders = 1; folders >= 0; folders--) {
        struct outcome *outcome = &outcomes[folders];
        if (!folders)
            share_list_leave_out_folders(&list);
        outcome->error = error;
        if (!code && outcome->wanted &&
            pack(&list, &outcome->packed, &outcome->error) == ERROR_NONE)
            remember(&lister->last[folders], &outcome->packed);
    }
    share_list_done(&list);
}

/* ---- the thread ---- */

static void finish(struct list_call *call, const struct outcome *outcome)
{
    take_out(call);
    if (outcome->packed)
        call->packed = rpc_packed_share(outcome->packed);
    else
        call->outcome = outcome->error;
    call->finished = true;
    rpc_call_wake(call->call);
}

/* False: nobody waits. */
static bool take_waiting(struct lister *lister, struct outcome outcomes[2])
{
    pthread_mutex_lock(&lister->lock);
    while (lister->waiting) {
        struct list_call *call = lister->waiting;
        take_out(call);
        put_in(&lister->served, call);
        outcomes[call->folders].wanted = true;
    }
    lister->running = lister->served != NULL;
    bool running = lister->running;
    pthread_mutex_unlock(&lister->lock);
    return running;
}

static void run(void *context)
{
    struct lister *lister = context;

    for (;;) {
        struct outcome outcomes[2] = {{.packed = NULL}, {.packed = NULL}};

        if (!take_waiting(lister, outcomes))
            return;
        look(lister, outcomes);
        pthread_mutex_lock(&lister->lock);
        while (lister->served)
            finish(lister->served, &outcomes[lister->served->folders]);
        pthread_mutex_unlock(&lister->lock);
        rpc_packed_free(outcomes[false].packed);
        rpc_packed_free(outcomes[true].packed);
    }
}

enum error_code lister_start(struct share *share, struct catalogue *catalogue,
                             struct lister **lister_out, struct error *error)
{
    struct lister *lister = memory_new(1, sizeof *lister);

    lister->share = share;
    lister->catalogue = catalogue;
    pthread_mutex_init(&lister->lock, NULL);
    enum error_code code = thread_pool_start("list", 1, 1, &lister->pool, error);
    if (code)
        lister_stop(lister);
    else
        *lister_out = lister;
    return code;
}

void lister_stop(struct lister *lister)
{
    if (!lister)
        return;
    thread_pool_free(lister->pool);
    rpc_packed_free(lister->last[false]);
    rpc_packed_free(lister->last[true]);
    pthread_mutex_destroy(&lister->lock);
    free(lister);
}

/* ---- the call ---- */

void *peer_list_open(void *context, struct rpc_call *call)
{
    struct peer_service *service = context;
    struct list_call *state = memory_new(1, sizeof *state);

    state->lister = service->lister;
    state->call = call;
    return state;
}

enum error_code peer_list_message(void *context, const struct rpc_request *request,
                                  struct error *error)
{
    struct list_call *state = context;
    struct lister *lister = state->lister;
    enum error_code code = ERROR_NONE;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    pthread_mutex_lock(&lister->lock);
    state->folders = ((const Peer__Empty *)request->message)->accepts_folders;
    put_in(&lister->waiting, state);
    if (!lister->running) {
        code = thread_pool_submit(lister->pool, run, lister, error);
        lister->running = code == ERROR_NONE;
    }
    pthread_mutex_unlock(&lister->lock);
    return code; /* after an error it waits for nothing: close takes it out */
}

enum rpc_step peer_list_next(void *context, struct rpc_reply *reply, struct error *error)
{
    struct list_call *state = context;

    if (state->replied)
        return RPC_END;
    pthread_mutex_lock(&state->lister->lock);
    bool finished = state->finished;
    pthread_mutex_unlock(&state->lister->lock);
    if (!finished)
        return RPC_WAIT;
    state->replied = true;
    if (!state->packed) {
        *error = state->outcome;
        return RPC_END;
    }
    rpc_reply_set_packed(reply, state->packed);
    return RPC_SEND;
}

void peer_list_close(void *context)
{
    struct list_call *state = context;

    pthread_mutex_lock(&state->lister->lock);
    take_out(state);
    pthread_mutex_unlock(&state->lister->lock);
    rpc_packed_free(state->packed);
    free(state);
}
