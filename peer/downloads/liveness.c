#include "peer/downloads/liveness.h"

#include <inttypes.h>

void liveness_begin(struct liveness *liveness, int64_t now_ms)
{
    *liveness = (struct liveness){.data_ms = now_ms, .word_ms = now_ms};
}

enum error_code liveness_note(struct liveness *liveness, const struct chunk *chunk,
                              int64_t stall_ms, int64_t now_ms, struct error *error)
{
    if (chunk->data.bytes > 0)
        liveness->data_ms = now_ms;
    if (chunk->data.bytes > 0 || chunk->queue_position > 0)
        liveness->word_ms = now_ms;
    if (now_ms - liveness->data_ms > LIVENESS_QUEUE_MS && chunk->queue_position > 0)
        return error_set(error, ERROR_TIMEOUT, "está ocupado: puesto %" PRId64 " de su cola",
                         chunk->queue_position);
    if (now_ms - liveness->word_ms > stall_ms)
        return error_set(error, ERROR_TIMEOUT, "no envía datos");
    return ERROR_NONE;
}
