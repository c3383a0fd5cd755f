/* Locate: who has a file, as far as we know or can find out. What is here is answered at once; for
 * what others have to be asked the call waits, while a thread of the locator asks. */
#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The call and the thread hold one reference each. */
struct locate_call {
    struct locator *locator;
    struct interrupt *interrupt;
    struct question question;         /* constant once the thread runs */
    struct directory_sources sources; /* of the thread until finished, then of the call */
    bool replied;

    pthread_mutex_t lock;  /* guards what follows */
    struct rpc_call *call; /* NULL once it is closed */
    bool finished;
    unsigned references;
};

void *peer_locate_open(void *context, struct rpc_call *call)
{
    struct peer_service *service = context;
    struct locate_call *state = memory_new(1, sizeof *state);

    state->locator = atomic_load(&service->locator);
    state->interrupt = interrupt_new();
    state->call = call;
    state->references = 1;
    pthread_mutex_init(&state->lock, NULL);
    return state;
}

static void release(struct locate_call *state)
{
    pthread_mutex_lock(&state->lock);
    bool last = --state->references == 0;
    pthread_mutex_unlock(&state->lock);
    if (!last)
        return;
    directory_sources_done(&state->sources);
    interrupt_free(state->interrupt);
    pthread_mutex_destroy(&state->lock);
    free(state);
}

/* On a thread of the locator. */
static void ask_wide(void *context)
{
    struct locate_call *state = context;

    if (!interrupt_raised(state->interrupt))
        locator_answer_wide(state->locator, &state->question, state->interrupt, &state->sources);
    pthread_mutex_lock(&state->lock);
    state->finished = true;
    if (state->call)
        rpc_call_wake(state->call);
    pthread_mutex_unlock(&state->lock);
    release(state);
}

static enum error_code parse(const Peer__LocateRequest *message, struct question *question,
                             struct error *error)
{
    enum error_code code = file_name_parse_path((const char *)message->filename.data,
                                                message->filename.len, &question->name, error);

    if (code)
        return code;
    if (message->question_id.len != sizeof question->id)
        return error_set(error, ERROR_INVALID, "El identificador de la pregunta tiene %zu bytes",
                         message->question_id.len);
    memcpy(question->id, message->question_id.data, sizeof question->id);
    question->hops = message->hops < LOCATE_HOPS ? message->hops : LOCATE_HOPS;
    question->wait_ms = message->wait_ms > 0 && message->wait_ms < LOCATE_WAIT_MS ? message->wait_ms
                                                                                  : LOCATE_WAIT_MS;
    return ERROR_NONE;
}

/* Answers from here; when others have to be asked, a thread does. When none has time, what is here
 * must do. */
static void begin(struct locate_call *state)
{
    bool will_do = locator_answer_here(state->locator, &state->question, &state->sources);

    state->finished = will_do;
    if (will_do)
        return;
    state->references++; /* no thread has it yet */
    if (locator_run(state->locator, ask_wide, state)) {
        state->references--;
        state->finished = true;
    }
}

enum error_code peer_locate_message(void *context, const struct rpc_request *request,
                                    struct error *error)
{
    struct locate_call *state = context;
    bool is_new = false;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    if (!state->locator)
        return error_set(error, ERROR_UNSUPPORTED, "Este peer no busca para otros");
    enum error_code code =
        parse((const Peer__LocateRequest *)request->message, &state->question, error);
    if (!code)
        code = locator_admit(state->locator, rpc_call_peer(state->call), &state->question, &is_new,
                             error);
    if (code)
        return code;
    if (is_new)
        begin(state);
    else
        state->finished = true; /* it has been answered, on another way */
    return ERROR_NONE;
}

/* A source as a message, and the memory for what it points to. */
struct located {
    Peer__LocatedSource message;
    char texts[LOCATED_ADDRESSES_MAX][ADDRESS_TEXT_BYTES];
    char *addresses[LOCATED_ADDRESSES_MAX];
};

static void fill(struct located *located, struct directory_source *source)
{
    Peer__LocatedSource *message = &located->message;

    peer__located_source__init(message);
    message->peer =
        (ProtobufCBinaryData){.data = (uint8_t *)source->peer, .len = strlen(source->peer)};
    message->addresses = located->addresses;
    for (size_t i = 0; i < source->address_count && i < LOCATED_ADDRESSES_MAX; i++) {
        address_format(&source->addresses[i], located->texts[i]);
        located->addresses[i] = located->texts[i];
        message->n_addresses++;
    }
    message->has_size = source->size_bytes >= 0;
    message->size_bytes = message->has_size ? source->size_bytes : 0;
    if (source->has_content)
        message->content_id =
            (ProtobufCBinaryData){.data = source->content.bytes, .len = HASH_BYTES};
    message->age_ms = source->age_ms;
}

static enum error_code pack(struct locate_call *state, struct rpc_reply *reply, struct error *error)
{
    size_t count =
        state->sources.count < LOCATED_SOURCES_MAX ? state->sources.count : LOCATED_SOURCES_MAX;
    auto_free struct located *items = memory_new(count, sizeof *items);
    auto_free Peer__LocatedSource **pointers = memory_new(count, sizeof(Peer__LocatedSource *));
    Peer__LocateResponse response = PEER__LOCATE_RESPONSE__INIT;

    for (size_t i = 0; i < count; i++) {
        fill(&items[i], &state->sources.items[i]);
        pointers[i] = &items[i].message;
    }
    response.sources = pointers;
    response.n_sources = count;
    return rpc_reply_pack(reply, &response.base, error);
}

enum rpc_step peer_locate_next(void *context, struct rpc_reply *reply, struct error *error)
{
    struct locate_call *state = context;

    if (state->replied)
        return RPC_END;
    pthread_mutex_lock(&state->lock);
    bool finished = state->finished;
    pthread_mutex_unlock(&state->lock);
    if (!finished)
        return RPC_WAIT;
    state->replied = true;
    return pack(state, reply, error) ? RPC_END : RPC_SEND;
}

void peer_locate_close(void *context)
{
    struct locate_call *state = context;

    pthread_mutex_lock(&state->lock);
    state->call = NULL;
    pthread_mutex_unlock(&state->lock);
    interrupt_raise(state->interrupt);
    release(state);
}
