/*
 * A download in words and figures, for tables, bars, sentences and programs. Pure; texts are
 * Spanish, and those of others are not cleaned here.
 */
#pragma once

#include "common/json_writer.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

/* "en cola", "descargando", ...; "?" for a state that this program does not know. */
const char *job_state_text(const P2p__Control__Job *job);
bool job_is_over(const P2p__Control__Job *job);
/* "alta", "normal", "baja"; "?" for one that this program does not know. */
const char *job_priority_text(int priority);

/* 0 to 100; -1 while the size is not known. 100 only when all is there. */
int job_percent(const P2p__Control__Job *job);
/* Until it is done, at the rate of now; -1 when nothing can be said. */
int64_t job_seconds_left(const P2p__Control__Job *job);

/* Why it waits, or why it failed; else "". Borrowed from the job. */
const char *job_why(const P2p__Control__Job *job);

/* "45 % de 100.0 MiB, 4.5 MiB/s, quedan 0:11, 3 fuentes", and before it the state; or why it does
 * not go on. */
void job_describe(const P2p__Control__Job *job, struct buffer *out);

/* The object of a download, and its keys without the braces. */
void job_json(struct json_writer *json, const P2p__Control__Job *job);
void job_json_keys(struct json_writer *json, const P2p__Control__Job *job);

/* Text of others: exact, unless it holds control characters. */
void job_json_text(struct json_writer *json, const char *key, const char *text);
