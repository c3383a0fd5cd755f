/* How fast sources are, as the plan of pieces sees it. */
#include "peer/downloads/swarm/pieces_state.h"

#define FIRST_RUN      2    /* pieces, from a source of unknown rate; then RUN_GROWTH times more */
#define RATE_WINDOW_MS 3000 /* what is older weighs little */
#define RATE_KNOWN_MS  50   /* or a whole piece */

bool pieces_is_stalled(const struct piece_source *source, int64_t now_ms)
{
    return source->todo != 0 && now_ms - source->last_ms >= PIECES_STALL_MS;
}

static bool rate_known(const struct pieces *pieces, const struct piece_source *source)
{
    return source->rate_ms >= RATE_KNOWN_MS || source->rate_bytes >= (double)pieces->piece_bytes;
}

static double silence_ms(const struct piece_source *source, int64_t now_ms)
{
    return now_ms > source->last_ms ? (double)(now_ms - source->last_ms) : 0;
}

static double rate_of(const struct piece_source *source, double extra_ms)
{
    double ms = source->rate_ms + extra_ms;
    return source->rate_bytes / (ms > 1 ? ms : 1);
}

double pieces_rates_expected(const struct pieces *pieces, int64_t now_ms,
                             double rates[PIECES_SOURCES_MAX])
{
    double sum = 0;
    unsigned known = 0;

    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++) {
        const struct piece_source *source = &pieces->sources[i];
        rates[i] = 0;
        if (!source->used || pieces_is_stalled(source, now_ms) || !rate_known(pieces, source))
            continue;
        rates[i] = rate_of(source, source->todo != 0 ? silence_ms(source, now_ms) : 0);
        sum += rates[i];
        known++;
    }
    double mean = known > 0 ? sum / known : 1;
    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++) {
        const struct piece_source *source = &pieces->sources[i];
        if (!source->used || pieces_is_stalled(source, now_ms) || rate_known(pieces, source))
            continue;
        double silence = source->todo != 0 ? silence_ms(source, now_ms) : 0;
        double most = (double)pieces->piece_bytes / (silence > 1 ? silence : 1);
        rates[i] = mean < most ? mean : most;
        sum += rates[i];
    }
    return sum;
}

void pieces_rate_forget(struct piece_source *source)
{
    source->rate_bytes = source->rate_ms = 0;
    source->limit = FIRST_RUN;
}

void pieces_received(struct pieces *pieces, unsigned number, size_t bytes, int64_t now_ms)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source)
        return;
    double ms = silence_ms(source, now_ms);
    double weight = RATE_WINDOW_MS / (RATE_WINDOW_MS + ms);
    source->rate_bytes = source->rate_bytes * weight + (double)bytes;
    source->rate_ms = source->rate_ms * weight + ms;
    source->got_bytes += bytes;
    source->last_ms = now_ms;
}

int64_t pieces_rate(const struct pieces *pieces, unsigned number, int64_t now_ms)
{
    const struct piece_source *source;

    if (number >= PIECES_SOURCES_MAX || !pieces->sources[number].used)
        return 0;
    source = &pieces->sources[number];
    if (!rate_known(pieces, source) || now_ms - source->last_ms >= PIECES_STALL_MS)
        return 0;
    return (int64_t)(rate_of(source, silence_ms(source, now_ms)) * 1000);
}
