#include "peer/rpc/tuning.h"

#include "common/compiler.h"
#include "peer/rpc/client.h"
#include "peer/rpc/server.h"

#include <assert.h>
#include <grpc/compression.h>

/* Largest HTTP/2 frame that we are willing to receive. The protocol's 16 KiB cost a frame header,
 * a slice and a pass through the parser each; with 1 MiB a chunk is one or two frames. */
#define FRAME_BYTES (1024 * 1024)

/* How far a sender may run ahead of the reader of one stream. It is the memory that a stalled
 * upload holds here, and on a long path the bandwidth is at most this a round trip. The core's
 * 64 KiB would stop the sender several times a chunk. */
#define WINDOW_BYTES (1024 * 1024)

/* Bytes asked from the socket at once: the core's 8 KiB make a 256 KiB chunk 32 slices. */
#define READ_BYTES (256 * 1024)

/* Streams of one connection: a peer that wants more opens another, a hostile one is bounded. */
#define STREAMS_MAX 1024

/* A machine that went away without a word is noticed after time + time-out; the time-out has to
 * outlast what slow lines keep in the kernel's buffers before the ping (4 MiB at 64 KiB/s). The
 * server alone pings: servers of others answer clients' pings with too_many_pings. */
#define KEEPALIVE_MS         60000
#define KEEPALIVE_TIMEOUT_MS 90000

/* We are not strict with the pings of others. */
#define PING_INTERVAL_MIN_MS 5000

/* A connection that no call uses is dropped: it is kept for calls that follow each other, and holds
 * a place at the other side. */
#define IDLE_MS 10000

#define COMPRESSION_NONE (1 << GRPC_COMPRESS_NONE)

struct setting {
    const char *key;
    int value;
};

static const struct setting both[] = {
    {GRPC_ARG_HTTP2_MAX_FRAME_SIZE, FRAME_BYTES},
    {GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, WINDOW_BYTES},
    /* The window is fixed above: the probe would let it grow without a bound that we know. */
    {GRPC_ARG_HTTP2_BDP_PROBE, 0},
    {GRPC_ARG_TCP_READ_CHUNK_SIZE, READ_BYTES},
    /* The core checks the limit of a message before it decompresses it: 2 MiB of zeroes could
     * become 2 GiB. Nobody needs compression here; it is refused as gRPC says (UNIMPLEMENTED). */
    {GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, COMPRESSION_NONE},
    {GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0},
    /* Statistics that nobody reads, kept for every call. */
    {GRPC_ARG_ENABLE_CHANNELZ, 0},
};

static const struct setting server_only[] = {
    {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MAX_MESSAGE_BYTES + RPC_MESSAGE_SLACK_BYTES},
    {GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
    {GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS},
    {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS},
    {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_INTERVAL_MIN_MS},
};

static const struct setting client_only[] = {
    {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MAX_RESPONSE_BYTES},
    /* Peers are reached directly, whatever http_proxy says. */
    {GRPC_ARG_ENABLE_HTTP_PROXY, 0},
    /* Retries are ours to decide, and the core's keep copies of what was sent. */
    {GRPC_ARG_ENABLE_RETRIES, 0},
    /* A channel's failures are its own: a shared pool would let a new channel inherit the
     * back-off of an old one. */
    {GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1},
    {GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1}, /* no TXT look-ups */
    {GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, IDLE_MS},
};

static void add(struct tuning *tuning, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert(tuning->args.num_args < TUNING_MAX_ARGS);
        tuning->items[tuning->args.num_args++] =
            (grpc_arg){.type = GRPC_ARG_INTEGER,
                       .key = (char *)(uintptr_t)settings[i].key, /* the core only reads it */
                       .value.integer = settings[i].value};
    }
}

void tuning_for_server(struct tuning *tuning)
{
    tuning->args = (grpc_channel_args){.args = tuning->items};
    add(tuning, both, ARRAY_LENGTH(both));
    add(tuning, server_only, ARRAY_LENGTH(server_only));
}

void tuning_for_client(struct tuning *tuning)
{
    tuning->args = (grpc_channel_args){.args = tuning->items};
    add(tuning, both, ARRAY_LENGTH(both));
    add(tuning, client_only, ARRAY_LENGTH(client_only));
}
