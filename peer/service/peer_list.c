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
    /* ---- the thread's until finished, then the call's */
    struct rpc_packed *packed; /* NULL: outcome says why */
    struct error outcome;
    bool replied;
};

struct lister {
    struct share *share;
    struct catalogue *catalogue;
    struct thread_pool *pool; /* one thread */
    struct rpc_packed *last;  /* the thread's: while nothing changes all replies are this one */
    pthread_mutex_t lock;     /* guards what follows, and the calls */
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
    info->filename.data = (uint8_t *)file->name.text;
    info->filename.len = strlen(file->name.text);
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
static enum error_code look(struct lister *lister, struct rpc_packed **packed, struct error *error)
{
    struct share_list list = {.count = 0};
    enum error_code code = share_list_files(lister->share, &list, error);

    share_list_leave_out_folders(&list);
    if (!code && lister->catalogue) {
        catalogue_fill_list(lister->catalogue, &list);
        catalogue_leave_out_withdrawn(lister->catalogue, &list);
    }
    if (!code)
        code = pack_list(&list, packed, error);
    if (code == ERROR_TOO_LARGE)
        (void)error_set(error, code,
                        "La lista de %zu archivos es demasiado larga para un solo mensaje",
                        list.count);
    share_list_done(&list);
    return code;
}

/* Who does not read its reply keeps it in memory: let all of them keep the same one. */
static void remember(struct lister *lister, struct rpc_packed **packed)
{
    if (lister->last && rpc_packed_equal(lister->last, *packed)) {
        rpc_packed_free(*packed);
        *packed = rpc_packed_share(lister->last);
        return;
    }
    rpc_packed_free(lister->last);
    lister->last = rpc_packed_share(*packed);
}

/* ---- the thread ---- */

static void finish(struct list_call *call, const struct rpc_packed *packed,
                   const struct error *outcome)
{
    take_out(call);
    if (packed)
        call->packed = rpc_packed_share(packed);
    else
        call->outcome = *outcome;
    call->finished = true;
    rpc_call_wake(call->call);
}

static bool take_waiting(struct lister *lister)
{
    pthread_mutex_lock(&lister->lock);
    while (lister->waiting) {
        struct list_call *call = lister->waiting;
        take_out(call);
        put_in(&lister->served, call);
    }
    lister->running = lister->served != NULL;
    bool running = lister->running;
    pthread_mutex_unlock(&lister->lock);
    return running;
}

static void run(void *context)
{
    struct lister *lister = context;

    while (take_waiting(lister)) {
        struct rpc_packed *packed = NULL;
        struct error error = {0};

        if (look(lister, &packed, &error) == ERROR_NONE)
            remember(lister, &packed);
        pthread_mutex_lock(&lister->lock);
        while (lister->served)
            finish(lister->served, packed, &error);
        pthread_mutex_unlock(&lister->lock);
        rpc_packed_free(packed);
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
    rpc_packed_free(lister->last);
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
