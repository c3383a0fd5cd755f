/*
 * Which questions we have handled already: each is handled once, so that friends who are friends of
 * each other do not pass it round. Pure; whoever shares one locks.
 *
 * Ids are kept for QUESTIONS_KEEP_MS, far longer than a question lives, and at most QUESTIONS_MAX
 * of them: with more in that time the oldest is forgotten, and hops alone (at most three) end it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUESTION_ID_BYTES 16
#define QUESTIONS_MAX     4096
#define QUESTIONS_KEEP_MS 60000

struct questions {
    struct {
        uint8_t id[QUESTION_ID_BYTES];
        int64_t time_ms;
    } items[QUESTIONS_MAX]; /* a ring, in the order of time */
    size_t first;
    size_t count;
};

/* True, and from now on known: the question is new. Time on the boot clock. */
bool questions_take(struct questions *questions, const uint8_t id[QUESTION_ID_BYTES],
                    int64_t now_ms);
