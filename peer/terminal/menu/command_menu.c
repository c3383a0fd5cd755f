/* The menu as a command: a terminal or a pipe on one side, the daemon on the other. */
#include "peer/terminal/commands/command_private.h"

#include "common/memory.h"
#include "peer/network/interrupt.h"
#include "peer/terminal/menu/line_editor.h"
#include "peer/terminal/menu/line_plain.h"
#include "peer/terminal/menu/menu.h"
#include "peer/terminal/menu/menu_events.h"
#include "peer/terminal/menu/menu_follow.h"
#include "peer/terminal/menu/menu_signals.h"
#include "peer/terminal/rival_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_BY_SIGNAL 128 /* plus its number, as shells do */

/* Built in order, taken down backwards; safe half-built. */
struct session {
    struct menu_events *events;
    struct interrupt *interrupt;   /* of what the menu itself asks the daemon */
    struct line_editor *editor;    /* on a terminal, else ... */
    struct line_plain *plain;      /* ... this */
    struct menu_signals *signals;  /* with the editor only */
    struct control_client *client; /* of the main thread */
    struct job_follow *follow;
};

/* ---- the terminal ---- */

static enum line_result session_ask(void *context, const char *prompt, char *line, size_t size)
{
    struct session *session = context;

    if (session->editor)
        return line_editor_read(session->editor, prompt, line, size);
    return line_plain_read(session->plain, prompt, line, size);
}

static void session_say(void *context, const char *text)
{
    (void)context;
    puts(text);
    fflush(stdout);
}

/* ---- the daemon ---- */

static enum error_code session_search(void *context, const char *name,
                                      P2p__Control__SearchReply **reply, struct error *error)
{
    struct session *session = context;

    return control_search(session->client, name, reply, error);
}

/* The first word on a job says that it has begun; it goes on without us. */
static enum error_code take_first(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    (void)context;
    (void)message;
    (void)error;
    *stop = true;
    return ERROR_NONE;
}

static enum error_code session_get(void *context, const P2p__Control__GetRequest *request,
                                   struct error *error)
{
    struct session *session = context;
    struct control_taker taker = {.take = take_first};

    menu_events_expect(session->events, request->name, true);
    enum error_code code = control_get(session->client, request, &taker, error);
    if (code != ERROR_NONE)
        menu_events_expect(session->events, request->name, false);
    return code;
}

static enum error_code take_outcome(void *context, ProtobufCMessage **message, bool *stop,
                                    struct error *error)
{
    P2p__Control__PutReply **reply = context;

    (void)stop;
    (void)error;
    if (((const P2p__Control__PutReply *)*message)->done)
        *reply = (P2p__Control__PutReply *)take_pointer(message);
    return ERROR_NONE;
}

static enum error_code session_put(void *context, const char *path, const char *address,
                                   P2p__Control__PutReply **reply, struct error *error)
{
    struct session *session = context;
    struct control_taker taker = {.take = take_outcome, .context = reply};

    enum error_code code = control_put(session->client, path, address, &taker, error);
    if (code == ERROR_NONE && !*reply)
        code = error_set(error, ERROR_UNREACHABLE, "El peer local no dijo cómo terminó");
    return code;
}

static enum error_code session_list(void *context, const char *address,
                                    const struct control_taker *taker, struct error *error)
{
    struct session *session = context;

    return control_list(session->client, address, taker, error);
}

static enum error_code session_words(void *context, const P2p__Control__WordsRequest *request,
                                     const struct control_taker *taker, struct error *error)
{
    struct session *session = context;

    return control_words(session->client, request, taker, error);
}

static enum error_code session_downloads(void *context, struct job_list *list, struct error *error)
{
    struct session *session = context;

    return job_list_get(session->client, list, error);
}

/* Nobody finds our files then, and searches find little. NULL: some directory is there. */
static char *away_notice(const P2p__Control__StatusReply *status)
{
    const P2p__Control__Directory *failed = NULL;

    for (size_t i = 0; status->directory_enabled && i < status->n_directories; i++) {
        const P2p__Control__Directory *directory = status->directories[i];
        if (directory->connected)
            return NULL;
        if (!failed && directory->error[0])
            failed = directory;
    }
    return failed ? memory_format("Aviso: este peer no está en el directorio %s: %s.", failed->url,
                                  failed->error)
                  : NULL;
}

static char *session_notice(void *context)
{
    struct session *session = context;
    auto_reply P2p__Control__StatusReply *reply = NULL;

    if (control_status(session->client, &reply, NULL) != ERROR_NONE)
        return NULL; /* the next question says what is wrong */
    char *notice = away_notice(reply);
    return notice ? notice : rival_notice(reply);
}

/* ---- the session ---- */

static void open_input(struct session *session)
{
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        session->editor = line_editor_new(session->events);
    if (!session->editor) {
        session->plain = line_plain_new(STDIN_FILENO, session->events);
        return;
    }
    menu_signals_block(); /* before gRPC starts threads */
    session->signals = menu_signals_start(session->events, session->interrupt);
}

static enum error_code session_open(struct session *session, const struct command_context *context,
                                    struct error *error)
{
    session->events = menu_events_new();
    session->interrupt = interrupt_new();
    open_input(session);
    session->client =
        control_client_open(context->socket_path, context->start_hint, session->interrupt);
    return menu_follow_start(context->socket_path, context->start_hint, session->events,
                             &session->follow, error);
}

/* What came while the menu was leaving. */
static void print_rest(const struct session *session)
{
    menu_events_end(session->events);
    for (char *line = menu_events_take_line(session->events); line;
         line = menu_events_take_line(session->events)) {
        puts(line);
        free(line);
    }
    fflush(stdout);
}

static void session_close(struct session *session)
{
    job_follow_stop(session->follow);
    if (session->follow)
        print_rest(session);
    control_client_close(session->client);
    menu_signals_stop(session->signals);
    line_editor_free(session->editor);
    line_plain_free(session->plain);
    interrupt_free(session->interrupt);
    menu_events_free(session->events);
}

static enum exit_status run(struct session *session)
{
    const struct menu_terminal terminal = {
        .ask = session_ask, .say = session_say, .context = session};
    const struct menu_peer peer = {.search = session_search,
                                   .get = session_get,
                                   .put = session_put,
                                   .list = session_list,
                                   .words = session_words,
                                   .downloads = session_downloads,
                                   .notice = session_notice,
                                   .context = session};

    if (menu_run(&terminal, &peer) != LINE_INTERRUPTED)
        return EXIT_DONE;
    return (enum exit_status)(EXIT_BY_SIGNAL + line_editor_signal(session->editor));
}

enum exit_status command_menu(struct command_context *context)
{
    struct session session = {0};
    struct error error = {0};
    enum exit_status status;

    if (session_open(&session, context, &error) == ERROR_NONE)
        status = run(&session);
    else
        status = command_fail(context, &error, "Error");
    session_close(&session);
    return status;
}
