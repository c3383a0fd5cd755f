#include "peer/downloads/swarm/session.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/liveness.h"
#include "peer/downloads/swarm/availability.h"
#include "peer/limits/limits.h"
#include "peer/network/chunk.h"
#include "proto/peer.pb-c.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_SPANS 64

/* A message is kept as it came if that much of it is data; smaller ones are copied, or a piece of
 * a million messages would take a thousand times its size. */
#define HOLD_MIN_BYTES ((size_t)16 << 10)

/* A source that sends the file from its start is asked for pieces of so many ahead. */
#define WINDOW_PIECES 16

/* In a row; then the source has failed. */
#define REFUSALS_MAX 3

/* One DownloadFile call. */
struct stream {
    struct swarm_source *source;
    struct swarm *swarm;
    struct rpc_client_call *call;
    struct pieces_run run; /* what is fetched now */
    struct intake_piece *piece;
    int64_t asked;     /* the offset */
    int64_t asked_end; /* the offset after the last byte */
    int64_t position;  /* in the file, of the next byte */
    struct liveness liveness;
    int64_t place; /* that it told us in its line */
    bool begun;
    bool from_start;   /* it did not understand the offset */
    size_t window_end; /* from_start: up to there the plan was asked, and wanted nothing */
    bool over;         /* the rest of the stream is not needed */
    bool may_choose;   /* it was told which other pieces it may send */
    struct rpc_channel *channel;
    struct stream *next; /* its call is opened when this one is about to end */
};

static size_t run_end(const struct pieces_run *run)
{
    return run->first + run->count;
}

/* ---- what is to be fetched next ---- */

/* A source that sends from the start: which of the pieces that come now are wanted. */
static void look_ahead(struct stream *stream, size_t index)
{
    size_t left = stream->swarm->manifest.piece_count - index;
    size_t count = left < WINDOW_PIECES ? left : WINDOW_PIECES;

    stream->window_end = index + count;
    swarm_has_only(stream->source, index, count);
    stream->run = swarm_try_run(stream->source);
}

/* The run is done: the next one. Pieces in the intake belong to the old one. Those who exchange
 * pieces may choose, and are asked again. */
static void change_run(struct stream *stream, size_t index)
{
    swarm_drain(stream->source);
    if (stream->from_start) {
        look_ahead(stream, index);
        return;
    }
    if (stream->next->call) { /* that has the next one */
        stream->over = true;
        return;
    }
    stream->run = swarm_try_run(stream->source);
    stream->over =
        stream->run.count == 0 || stream->run.first != index || swarm_exchanges(stream->source);
}

/* Whether the piece that begins now is wanted; asks for another run at the end of one. */
static bool wants_piece(struct stream *stream, size_t index)
{
    bool nothing_ahead = stream->from_start && stream->run.count == 0 && index < stream->window_end;

    if (!nothing_ahead && !swarm_wants(stream->source, index, run_end(&stream->run)))
        change_run(stream, index);
    return !stream->over && index >= stream->run.first &&
           swarm_wants(stream->source, index, index + 1);
}

/* ---- bytes ---- */

static size_t piece_left(const struct stream *stream, size_t index)
{
    int64_t end = (int64_t)(index * PIECE_BYTES) +
                  (int64_t)content_piece_bytes(stream->swarm->manifest.size_bytes, index);

    return (size_t)(end - stream->position);
}

/* A message on its way into pieces. */
struct parcel {
    struct rpc_response response;
    struct chunk_part data;
    struct intake_message *message; /* NULL: is copied */
};

static void add_bytes(struct stream *stream, const struct parcel *parcel, size_t offset,
                      size_t length)
{
    struct iovec spans[WRITE_SPANS];
    size_t covered;

    for (size_t done = 0; done < length; done += covered) {
        size_t count = spans_slice(parcel->response.spans, parcel->response.span_count,
                                   parcel->data.offset + offset + done, length - done, spans,
                                   WRITE_SPANS, &covered);
        if (parcel->message)
            intake_add(stream->piece, parcel->message, spans, count);
        else
            intake_copy(stream->piece, spans, count);
    }
}

/* Up to the end of the piece. Returns how many bytes that were. */
static size_t take_part(struct stream *stream, const struct parcel *parcel, size_t offset)
{
    size_t index = (size_t)stream->position / PIECE_BYTES;

    if ((size_t)stream->position % PIECE_BYTES == 0 && wants_piece(stream, index))
        stream->piece = swarm_begin_piece(stream->source, index);
    size_t left = piece_left(stream, index);
    size_t here = parcel->data.bytes - offset;
    if (here > left)
        here = left;
    if (stream->piece) {
        add_bytes(stream, parcel, offset, here);
        swarm_received(stream->source, here, true);
        if (here == left)
            intake_submit(take_pointer(&stream->piece));
    } else {
        swarm_received(stream->source, here, false);
    }
    stream->position += (int64_t)here;
    return here;
}

static enum error_code take_data(struct stream *stream, struct parcel *parcel, struct error *error)
{
    int64_t size = stream->swarm->manifest.size_bytes;

    if ((int64_t)parcel->data.bytes > size - stream->position)
        return error_set(error, ERROR_CHANGED, "envía más de %" PRId64 " bytes: es otro contenido",
                         size);
    if (parcel->data.bytes >= HOLD_MIN_BYTES && parcel->data.bytes >= parcel->response.bytes / 2)
        parcel->message = intake_message_new(rpc_client_hold(stream->call, &parcel->response));
    for (size_t done = 0; done < parcel->data.bytes && !stream->over;)
        done += take_part(stream, parcel, done);
    intake_message_drop(parcel->message);
    return ERROR_NONE;
}

/* The source sends these, of what it was told that it may. */
static enum error_code take_choice(struct stream *stream, const struct chunk *chunk,
                                   struct error *error)
{
    const int64_t size = stream->swarm->manifest.size_bytes;
    const struct pieces_run run = {.first = (size_t)chunk->offset / PIECE_BYTES,
                                   .count = content_piece_count(chunk->length)};

    if ((size_t)chunk->offset % PIECE_BYTES != 0 || chunk->length > size - chunk->offset ||
        run.count > PIECES_RUN_MAX)
        return error_set(error, ERROR_CORRUPT, "envía otra parte que la que se le pidió");
    if (run.first != stream->run.first || run.count != stream->run.count)
        swarm_move_run(stream->source, run);
    stream->position = stream->asked = chunk->offset;
    stream->asked_end = chunk->offset + chunk->length;
    stream->run = run;
    return ERROR_NONE;
}

/* The first message says how the stream is to be read. */
static enum error_code begin(struct stream *stream, const struct chunk *chunk, struct error *error)
{
    stream->begun = true;
    if (chunk->total_bytes > 0 && chunk->total_bytes != stream->swarm->manifest.size_bytes)
        return error_set(error, ERROR_CHANGED, "el archivo tiene %" PRId64 " bytes allí",
                         chunk->total_bytes);
    stream->position = stream->asked;
    bool chosen = stream->may_choose && chunk->length > 0;
    if (chunk->total_bytes > 0 && (chosen || chunk->offset == stream->asked)) {
        swarm_promised(stream->source, !stream->source->unhashed);
        return chosen ? take_choice(stream, chunk, error) : ERROR_NONE;
    }
    swarm_promised(stream->source, false);
    stream->from_start = true;
    stream->asked_end = stream->swarm->manifest.size_bytes;
    stream->position = 0;
    stream->run = (struct pieces_run){0};
    return ERROR_NONE;
}

/* What came is paid for before more is read: the sender's window fills meanwhile. */
static enum error_code pay(const struct stream *stream, size_t bytes, struct error *error)
{
    char peer[ADDRESS_TEXT_BYTES];

    if (bytes == 0 || limits_take(stream->swarm->limits, LIMITS_DOWNLOAD,
                                  address_format(&stream->source->address, peer), (int64_t)bytes,
                                  stream->source->interrupt))
        return ERROR_NONE;
    return error_set(error, ERROR_CANCELLED, "cancelado");
}

/* What the source has; NULL: all. One that nothing changes at is asked ever less often. */
static void note_has(struct swarm_source *source, const uint8_t *have)
{
    size_t bytes = (source->swarm->manifest.piece_count + 7) / 8;
    int64_t now_ms = clock_boot_ms();
    size_t count = 0;

    for (size_t i = 0; have && i < bytes; i++)
        count += (size_t)__builtin_popcount(have[i]);
    if (count != source->had)
        source->news_ms = now_ms;
    source->had = count;
    int64_t wait_ms = (now_ms - source->news_ms - SWARM_QUIET_MS) / SWARM_LOOK_PART;
    if (wait_ms < SWARM_LOOK_MS)
        wait_ms = SWARM_LOOK_MS;
    source->look_ms = now_ms + (wait_ms < SWARM_LOOK_MAX_MS ? wait_ms : SWARM_LOOK_MAX_MS);
    swarm_source_has(source, have);
}

/* A partial source says what it has by now. */
static enum error_code note_pieces(struct stream *stream, const struct rpc_response *response,
                                   const struct chunk_part *part, struct error *error)
{
    struct swarm_source *source = stream->source;
    size_t bytes = (stream->swarm->manifest.piece_count + 7) / 8;

    if (part->bytes == 0 || !source->partial)
        return ERROR_NONE;
    if (part->bytes != bytes)
        return error_set(error, ERROR_CORRUPT, "lo que dice que tiene no se entiende");
    auto_free uint8_t *have = memory_new(bytes + 1, 1);
    spans_copy(response->spans, response->span_count, part, have);
    note_has(source, have);
    return ERROR_NONE;
}

static enum error_code take_message(struct stream *stream, const struct rpc_response *response,
                                    struct error *error)
{
    struct parcel parcel = {.response = *response};
    struct chunk chunk;

    enum error_code code = chunk_parse(response->spans, response->span_count, &chunk, error);
    if (code == ERROR_NONE)
        code = liveness_note(&stream->liveness, &chunk, stream->swarm->stall_ms, clock_boot_ms(),
                             error);
    if (code == ERROR_NONE && chunk.queue_position != stream->place)
        swarm_note_place(stream->source, stream->place = chunk.queue_position);
    if (code == ERROR_NONE && chunk.queue_position > 0)
        return ERROR_NONE; /* others may fetch its pieces meanwhile: the plan sees that none come */
    if (code == ERROR_NONE && !stream->begun)
        code = begin(stream, &chunk, error);
    if (code == ERROR_NONE)
        code = note_pieces(stream, response, &chunk.pieces, error);
    parcel.data = chunk.data;
    if (code == ERROR_NONE)
        code = take_data(stream, &parcel, error);
    return code == ERROR_NONE ? pay(stream, chunk.data.bytes, error) : code;
}

/* The source has no more. That is right at the end of what was asked for only. */
static enum error_code check_end(const struct stream *stream, struct error *error)
{
    if (stream->begun && stream->position >= stream->asked_end)
        return ERROR_NONE;
    return error_set(error, ERROR_CORRUPT, "terminó antes del final del archivo");
}

static bool is_done(const struct stream *stream)
{
    return stream->over || (stream->begun && stream->position >= stream->asked_end);
}

/* ---- the call ---- */

/* Who is alone is asked for all up to what is there already: at the end of a run the next one
 * follows in the same stream, without a pause. */
static enum error_code ask(struct stream *stream, struct error *error)
{
    struct swarm *swarm = stream->swarm;
    Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;
    uint8_t others[SWARM_ALTERNATIVES_BYTES];
    size_t from = 0;

    size_t end = swarm_run_limit(stream->source, &stream->run);
    stream->asked = (int64_t)(stream->run.first * PIECE_BYTES);
    stream->asked_end = swarm->manifest.size_bytes;
    request.filename.data = (uint8_t *)stream->source->name.text;
    request.filename.len = strlen(stream->source->name.text);
    request.offset = stream->asked;
    request.accepts_queue_position = true;
    if (end < swarm->manifest.piece_count) {
        stream->asked_end = (int64_t)(end * PIECE_BYTES);
        request.length = stream->asked_end - stream->asked;
    }
    if (!stream->source->unhashed) {
        request.content_id = (ProtobufCBinaryData){.data = swarm->manifest.id.bytes,
                                                   .len = sizeof swarm->manifest.id.bytes};
        request.alternatives.len =
            end == run_end(&stream->run)
                ? swarm_alternatives(stream->source, &stream->run, &from, others)
                : 0;
        request.alternatives.data = others;
        request.alternatives_from = (int64_t)from;
        request.exchanges = swarm_exchanges(stream->source);
        stream->may_choose = request.alternatives.len > 0;
    }
    return rpc_client_send_only(stream->call, &request.base, error);
}

/* Of what the stream was before only its surroundings stay. The call is the one that an interrupt
 * breaks off. */
static enum error_code open_stream(struct stream *stream, const struct pieces_run *run,
                                   struct error *error)
{
    struct swarm *swarm = stream->source->swarm;

    *stream = (struct stream){.source = stream->source,
                              .swarm = swarm,
                              .channel = stream->channel,
                              .next = stream->next,
                              .run = *run};
    enum error_code code = rpc_client_start(stream->channel, "/peer.PeerService/DownloadFile",
                                            swarm->stall_ms, &stream->call, error);
    if (code != ERROR_NONE)
        return code;
    interrupt_attach(stream->source->interrupt, stream->call);
    return ask(stream, error);
}

static void close_stream(struct stream *stream)
{
    rpc_client_free(take_pointer(&stream->call));
}

/* When the end is near, the next run is asked for: it comes right behind. */
static void open_ahead(struct stream *stream)
{
    if (!stream->begun || stream->from_start || stream->next->call ||
        run_end(&stream->run) < content_piece_count(stream->asked_end)) /* it goes on by itself */
        return;
    struct pieces_run run = swarm_next_ahead(stream->source, stream->asked_end - stream->position);
    if (run.count == 0)
        return;
    enum error_code code = open_stream(stream->next, &run, NULL);
    interrupt_attach(stream->source->interrupt, stream->call);
    if (code != ERROR_NONE)
        close_stream(stream->next); /* the run is given back with the present one */
}

static enum error_code receive(struct stream *stream, struct error *error)
{
    liveness_begin(&stream->liveness, clock_boot_ms());
    while (!is_done(stream)) {
        struct rpc_response response;
        bool end = false;
        enum error_code code = rpc_client_receive(stream->call, &response, &end, error);
        if (code == ERROR_NONE && end)
            return check_end(stream, error);
        if (code == ERROR_NONE)
            code = take_message(stream, &response, error);
        if (code != ERROR_NONE)
            return code;
        if (!is_done(stream))
            open_ahead(stream);
    }
    return ERROR_NONE;
}

/* The stream, to its end. */
static enum error_code use_stream(struct stream *stream, struct error *error)
{
    struct swarm_source *source = stream->source;

    interrupt_attach(source->interrupt, stream->call);
    enum error_code code = receive(stream, error);
    interrupt_detach(source->interrupt);
    close_stream(stream);
    if (stream->piece)
        swarm_drop_piece(source, stream->piece);
    swarm_drain(source);
    if (stream->from_start)
        swarm_has_only(source, 0, source->swarm->manifest.piece_count);
    return code;
}

/* Fetches the run and what follows it in the same stream, and runs that were asked for ahead; *run
 * is the next one, if the plan has given one already. */
static enum error_code fetch(struct swarm_source *source, struct rpc_channel *channel,
                             struct pieces_run *run, struct error *error)
{
    struct stream streams[2] = {{.source = source, .channel = channel, .next = &streams[1]},
                                {.source = source, .channel = channel, .next = &streams[0]}};
    struct stream *stream = &streams[0];

    enum error_code code = open_stream(stream, run, error);
    bool ahead = false;
    while (code == ERROR_NONE) {
        code = use_stream(stream, error);
        ahead = stream->next->call != NULL;
        if (code != ERROR_NONE || !ahead || !swarm_begin_ahead(source))
            break;
        stream = stream->next;
    }
    interrupt_detach(source->interrupt);
    close_stream(&streams[0]);
    close_stream(&streams[1]);
    *run = stream->over && !stream->from_start && !ahead ? stream->run : (struct pieces_run){0};
    return code;
}

/* One of ours that has not hashed the file yet sends it when no id is asked for. */
static bool may_ask_without_id(struct swarm_source *source, enum error_code code)
{
    if (code != ERROR_BUSY || source->unhashed)
        return false;
    source->unhashed = true;
    return true;
}

/* ---- partial sources ---- */

/* Asks what the source has. */
static enum error_code look(struct swarm_source *source, struct rpc_channel *channel,
                            struct error *error)
{
    struct availability_request request = {.channel = channel,
                                           .manifest = &source->swarm->manifest,
                                           .name = &source->name,
                                           .interrupt = source->interrupt,
                                           .timeout_ms = source->swarm->stall_ms};
    struct availability answer;

    enum error_code code = availability_ask(&request, &answer, error);
    if (code != ERROR_NONE)
        return code;
    if (answer.named)
        source->name = answer.name;
    note_has(source, answer.have);
    free(answer.have);
    return ERROR_NONE;
}

/* A source that has not got what was asked for may have a part of the content, or all of it under
 * another name. A few times: it could say so for ever. */
static bool has_other_part(struct swarm_source *source, struct rpc_channel *channel,
                           enum error_code code)
{
    struct file_name asked = source->name;
    bool was_partial = source->partial;

    if ((code != ERROR_NOT_FOUND && code != ERROR_CHANGED) || source->unhashed ||
        ++source->refusals > REFUSALS_MAX || look(source, channel, NULL) != ERROR_NONE)
        return false;
    return source->partial || was_partial || strcmp(asked.text, source->name.text) != 0;
}

/* Waits for a run. What a partial source has is looked at again and again. */
static enum error_code next_run(struct swarm_source *source, struct rpc_channel *channel,
                                struct pieces_run *run, struct error *error)
{
    enum error_code code = ERROR_NONE;

    do {
        bool news = swarm_take_news(source);
        if (source->partial && (news || clock_boot_ms() >= source->look_ms))
            code = look(source, channel, error);
        if (code == ERROR_NONE)
            *run = swarm_next_run(source, source->partial ? source->look_ms : INT64_MAX);
    } while (code == ERROR_NONE && run->count == 0 && !swarm_is_over(source));
    return code;
}

enum error_code session_run(struct swarm_source *source, struct error *error)
{
    char target[ADDRESS_TEXT_BYTES];
    struct rpc_channel *channel = rpc_channel_open(address_format(&source->address, target));
    struct pieces_run run = {0};
    enum error_code code = next_run(source, channel, &run, error);

    while (run.count > 0 && code == ERROR_NONE) {
        code = fetch(source, channel, &run, error);
        if (code == ERROR_NONE)
            source->refusals = 0;
        else if (may_ask_without_id(source, code) || has_other_part(source, channel, code))
            code = ERROR_NONE;
        if (code == ERROR_NONE && run.count == 0)
            code = next_run(source, channel, &run, error);
    }
    rpc_channel_close(channel);
    return code;
}
