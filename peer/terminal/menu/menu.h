/*
 * The interactive menu: its entries, their prompts and texts. What it asks and where it prints is
 * passed in. Prompts and texts are the reference's, word for word, but of the entries that it has
 * not.
 */
#pragma once

#include "common/error.h"
#include "peer/terminal/control_client.h"
#include "peer/terminal/job_list.h"
#include "peer/terminal/menu/line_input.h"

#include <stddef.h>

#define MENU_LINE_BYTES 4097 /* a path (PATH_MAX) */

struct menu_terminal {
    /* Shows the prompt and reads a line, without its end. */
    enum line_result (*ask)(void *context, const char *prompt, char *line, size_t size);
    /* Prints a line; text is clean. */
    void (*say)(void *context, const char *text);
    void *context;
};

/* The daemon; as in control_client.h. */
struct menu_peer {
    enum error_code (*search)(void *context, const char *name, P2p__Control__SearchReply **reply,
                              struct error *error);
    /* Starts the download and does not wait for its end. */
    enum error_code (*get)(void *context, const P2p__Control__GetRequest *request,
                           struct error *error);
    enum error_code (*put)(void *context, const char *path, const char *address,
                           P2p__Control__PutReply **reply, struct error *error);
    enum error_code (*list)(void *context, const char *address, const struct control_taker *taker,
                            struct error *error);
    enum error_code (*words)(void *context, const P2p__Control__WordsRequest *request,
                             const struct control_taker *taker, struct error *error);
    /* The list is the menu's (job_list_done). */
    enum error_code (*downloads)(void *context, struct job_list *list, struct error *error);
    /* What the user should know before the menu, or NULL; the menu's. */
    char *(*notice)(void *context);
    void *context;
};

/* Until "0", the end of input (LINE_END), or an interruption. */
enum line_result menu_run(const struct menu_terminal *terminal, const struct menu_peer *peer);
