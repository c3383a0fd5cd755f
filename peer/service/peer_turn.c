#include "peer/service/peer_turn.h"

#include "common/clock.h"
#include "peer/service/peer_service_private.h"

#define EVICT_TEXT "El receptor no lee los datos"

void peer_turn_wake(void *context)
{
    struct peer_turn *turn = context;

    rpc_call_wake(turn->call);
}

/* Its memory is wanted by others. */
static void evict(void *context)
{
    struct peer_turn *turn = context;

    rpc_call_abort(turn->call, ERROR_TIMEOUT, EVICT_TEXT);
}

void peer_turn_join(struct peer_turn *turn, struct peer_service *service, struct rpc_call *call)
{
    *turn = (struct peer_turn){.service = service, .call = call};
    turn->place.context = turn;
    turn->stream = (struct limits_stream){.limits = service->limits,
                                          .direction = LIMITS_UPLOAD,
                                          .serving = true,
                                          .wake = peer_turn_wake,
                                          .evict = evict,
                                          .context = turn};
    limits_join(&turn->stream, rpc_call_peer(call));
    atomic_fetch_add(&service->streams, 1);
}

void peer_turn_leave(struct peer_turn *turn)
{
    deadline_clear(turn->service->places, &turn->place);
    limits_leave(&turn->stream);
    atomic_fetch_sub(&turn->service->streams, 1);
}

void peer_turn_begin(struct peer_turn *turn, bool wants_place)
{
    turn->wants_place = wants_place;
    peer_turn_told(turn);
}

void peer_turn_sent(struct peer_turn *turn)
{
    if (turn->granted)
        limits_done(&turn->stream);
    turn->granted = false;
}

/* The place, if it is time to tell it. */
static int64_t place_to_tell(struct peer_turn *turn)
{
    if (!turn->wants_place)
        return 0;
    if (clock_boot_ms() - turn->told_ms >= PEER_PLACE_MS)
        return (int64_t)limits_place(&turn->stream); /* 0: granted meanwhile, it is woken */
    deadline_set(turn->service->places, &turn->place);
    return 0;
}

bool peer_turn_ask(struct peer_turn *turn, int64_t bytes, int64_t *granted, int64_t *place)
{
    *place = 0;
    if (!limits_ask(&turn->stream, bytes, granted)) {
        *place = place_to_tell(turn);
        return false;
    }
    deadline_clear(turn->service->places, &turn->place);
    turn->granted = true;
    return true;
}

void peer_turn_told(struct peer_turn *turn)
{
    turn->told_ms = clock_boot_ms();
}
