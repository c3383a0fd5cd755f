#include "peer/locate/questions.h"

#include <string.h>

static void forget_first(struct questions *questions)
{
    questions->first = (questions->first + 1) % QUESTIONS_MAX;
    questions->count--;
}

bool questions_take(struct questions *questions, const uint8_t id[QUESTION_ID_BYTES],
                    int64_t now_ms)
{
    while (questions->count > 0 &&
           now_ms - questions->items[questions->first].time_ms > QUESTIONS_KEEP_MS)
        forget_first(questions);
    for (size_t i = 0; i < questions->count; i++) {
        size_t at = (questions->first + i) % QUESTIONS_MAX;
        if (memcmp(questions->items[at].id, id, QUESTION_ID_BYTES) == 0)
            return false;
    }
    if (questions->count == QUESTIONS_MAX)
        forget_first(questions);
    size_t last = (questions->first + questions->count) % QUESTIONS_MAX;
    memcpy(questions->items[last].id, id, QUESTION_ID_BYTES);
    questions->items[last].time_ms = now_ms;
    questions->count++;
    return true;
}
