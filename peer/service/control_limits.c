/* Limit: the rates as they are, after what the request changes. */
#include "common/byte_rate.h"
#include "peer/service/control_private.h"

void control_limits_fill(P2p__Control__Limits *message, struct limits *limits)
{
    struct limits_rates rates = limits_read_rates(limits);

    p2p__control__limits__init(message);
    message->upload = rates.total[LIMITS_UPLOAD];
    message->download = rates.total[LIMITS_DOWNLOAD];
    message->upload_per_peer = rates.per_peer[LIMITS_UPLOAD];
    message->download_per_peer = rates.per_peer[LIMITS_DOWNLOAD];
}

/* All changes or none. */
static enum error_code change(struct limits *limits, const P2p__Control__LimitRequest *request,
                              struct error *error)
{
    struct limits_rates rates = limits_read_rates(limits);
    const struct {
        const P2p__Control__LimitChange *change;
        int64_t *rate;
    } changes[] = {{request->upload, &rates.total[LIMITS_UPLOAD]},
                   {request->download, &rates.total[LIMITS_DOWNLOAD]},
                   {request->upload_per_peer, &rates.per_peer[LIMITS_UPLOAD]},
                   {request->download_per_peer, &rates.per_peer[LIMITS_DOWNLOAD]}};

    for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
        if (!changes[i].change)
            continue;
        if (byte_rate_check(changes[i].change->bytes_per_second, NULL))
            return error_set(error, ERROR_INVALID, "El límite es 0 (ninguno) o al menos %d bytes/s",
                             BYTE_RATE_MIN);
        *changes[i].rate = changes[i].change->bytes_per_second;
    }
    limits_set_rates(limits, &rates);
    return ERROR_NONE;
}

enum error_code control_limit_call(void *context, const ProtobufCMessage *request,
                                   struct rpc_reply *reply, struct error *error)
{
    struct control_service *service = context;
    P2p__Control__LimitReply message = P2P__CONTROL__LIMIT_REPLY__INIT;
    P2p__Control__Limits limits;
    P2p__Control__Failure failure;
    struct error refusal = {.code = ERROR_NONE};

    (void)change(service->options.limits, (const P2p__Control__LimitRequest *)request, &refusal);
    control_limits_fill(&limits, service->options.limits);
    message.limits = &limits;
    message.failure = control_failure(&failure, &refusal);
    return rpc_reply_pack(reply, &message.base, error);
}
