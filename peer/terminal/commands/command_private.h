/*
 * What the files of the commands share. Used inside terminal/commands/ and by the menu, which is
 * one of them.
 */
#pragma once

#include "common/buffer.h"
#include "common/json_writer.h"
#include "peer/terminal/commands/arguments.h"
#include "peer/terminal/commands/commands.h"
#include "peer/terminal/control_client.h"

#include <stdio.h>

#define CLEAN_BYTES 1024 /* of one cleaned text on the screen */

struct command_context {
    struct arguments arguments;
    char *socket_path;
    char *start_hint;
    struct control_client *client; /* NULL for the menu */
};

/* Prints the error (and with --json an object to stdout). Returns the exit status for it. */
enum exit_status command_fail(const struct command_context *context, const struct error *error,
                              const char *what);

/* Likewise of one file (or with NULL of one download) among several; the others go on. */
enum exit_status command_fail_one(const struct command_context *context, const char *name,
                                  uint64_t id, const struct error *error);

/* Prints what was written, and a newline. */
enum exit_status command_print(const struct buffer *out);

/* What a source has as members "peer" and "addresses". */
void command_source_json(struct json_writer *json, const P2p__Control__Source *source);

/* Text of others for the screen. */
const char *command_clean(const char *text, char out[CLEAN_BYTES]);

/* The same in JSON: exact, unless it holds control characters. */
void command_json_text(struct json_writer *json, const char *key, const char *text);

/* The limits as the member "limits". NULL: none. */
void command_limits_json(struct json_writer *json, const P2p__Control__Limits *limits);

/* The same as lines; also_none: also where there is no limit. */
void command_limits_print(const P2p__Control__Limits *limits, bool also_none);

enum exit_status command_search(struct command_context *context);
/* Files by words; part of search. missing (may be NULL): why the one that is called so was not
 * found, which is the outcome when nothing else is found either. */
enum exit_status command_words(struct command_context *context, const struct error *missing);
enum exit_status command_get(struct command_context *context);
enum exit_status command_downloads(struct command_context *context);
enum exit_status command_explain(struct command_context *context);
enum exit_status command_put(struct command_context *context);
enum exit_status command_list(struct command_context *context);
enum exit_status command_verify(struct command_context *context);
enum exit_status command_status(struct command_context *context);
enum exit_status command_limit(struct command_context *context);
enum exit_status command_menu(struct command_context *context);
