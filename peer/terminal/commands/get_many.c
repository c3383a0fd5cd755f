#include "peer/terminal/commands/get_private.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/terminal/ctrl_c.h"
#include "peer/terminal/job_board.h"
#include "peer/terminal/job_follow.h"
#include "peer/terminal/job_list.h"
#include "peer/terminal/job_text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define REDRAW_MS  100  /* a window that changes its size is drawn anew so soon */
#define SILENCE_MS 3000 /* without news the daemon is asked how things are */
#define BUSY_MS    1000 /* its line is full with others' downloads: tried again */

#define LINE_MAX_BYTES ((size_t)64 * 1024)

enum want_state { WANT_NEW, WANT_OPEN, WANT_OVER };

/* A file that is wanted. */
struct want {
    char *name;
    enum want_state state;
    uint64_t id; /* of its job, from WANT_OPEN on */
};

struct fetch {
    struct command_context *context;
    struct want *wants;
    size_t count;
    size_t next; /* the first that is WANT_NEW */
    size_t open;
    struct job_follow *follow;
    struct job_board *board;
    int64_t heard_ms;        /* since when there is silence */
    int64_t busy_ms;         /* when the daemon was last too busy; 0: it was not */
    enum exit_status status; /* of the first that failed */
};

/* ---- what is wanted ---- */

static void add_want(struct fetch *fetch, const char *name)
{
    for (size_t i = 0; i < fetch->count; i++)
        if (strcmp(fetch->wants[i].name, name) == 0)
            return;
    fetch->wants = memory_resize(fetch->wants, fetch->count + 1, sizeof *fetch->wants);
    fetch->wants[fetch->count++] = (struct want){.name = memory_copy_string(name)};
}

static void note_status(struct fetch *fetch, enum exit_status status)
{
    if (fetch->status == EXIT_DONE)
        fetch->status = status;
}

/* As in a shell, a pattern that matches nothing stands for itself. */
static enum error_code add_matches(struct fetch *fetch, const char *pattern, struct error *error)
{
    const char *from = fetch->context->arguments.from;
    auto_reply P2p__Control__MatchReply *reply = NULL;

    enum error_code code =
        control_match(fetch->context->client, pattern, from ? from : "", &reply, error);
    if (code != ERROR_NONE)
        return code;
    if (reply->n_names == 0)
        add_want(fetch, pattern);
    for (size_t i = 0; i < reply->n_names; i++)
        add_want(fetch, reply->names[i]);
    return ERROR_NONE;
}

static void add_words(struct fetch *fetch)
{
    const struct arguments *arguments = &fetch->context->arguments;
    struct error error = {0};

    for (size_t i = 0; i < arguments->word_count; i++) {
        const char *word = arguments->words[i];
        if (!get_is_pattern(word))
            add_want(fetch, word);
        else if (add_matches(fetch, word, &error) != ERROR_NONE)
            note_status(fetch, command_fail_one(fetch->context, word, 0, &error));
    }
}

/* ---- beginning ---- */

static enum error_code take_first(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct want *want = context;
    const P2p__Control__GetReply *reply = (const P2p__Control__GetReply *)*message;

    (void)error;
    if (!reply->job)
        return ERROR_NONE;
    want->id = reply->job->id;
    want->state = WANT_OPEN;
    *stop = true; /* it goes on without this call */
    return ERROR_NONE;
}

static enum error_code begin(struct fetch *fetch, struct want *want, struct error *error)
{
    struct control_taker taker = {.take = take_first, .context = want};
    struct get_request request;

    get_request_fill(&request, fetch->context, want->name);
    enum error_code code = control_get(fetch->context->client, &request.message, &taker, error);
    get_request_done(&request);
    if (code == ERROR_NONE && want->state != WANT_OPEN)
        code = error_set(error, ERROR_UNREACHABLE, "El peer local no dijo cómo terminó");
    return code;
}

static void fail(struct fetch *fetch, struct want *want, const struct error *error)
{
    fetch->open -= want->state == WANT_OPEN;
    want->state = WANT_OVER;
    job_board_clear(fetch->board);
    note_status(fetch, command_fail_one(fetch->context, want->name, 0, error));
}

/* All, or as many as the daemon takes now. */
static void begin_some(struct fetch *fetch)
{
    struct error error = {0};

    if (fetch->busy_ms > 0 && clock_boot_ms() - fetch->busy_ms < BUSY_MS)
        return;
    fetch->busy_ms = 0;
    while (fetch->next < fetch->count && !ctrl_c_came()) {
        struct want *want = &fetch->wants[fetch->next];
        enum error_code code = begin(fetch, want, &error);
        if (code == ERROR_BUSY) {
            fetch->busy_ms = clock_boot_ms();
            return;
        }
        fetch->next++;
        fetch->open += code == ERROR_NONE;
        if (code != ERROR_NONE)
            fail(fetch, want, &error);
    }
}

/* ---- going on ---- */

static struct want *find_want(const struct fetch *fetch, uint64_t id)
{
    for (size_t i = 0; i < fetch->next; i++)
        if (fetch->wants[i].state == WANT_OPEN && fetch->wants[i].id == id)
            return &fetch->wants[i];
    return NULL;
}

static void tell_end(struct fetch *fetch, struct want *want, const P2p__Control__Job *job)
{
    struct error error = {0};

    if (control_failure_error(job->failure, &error) != ERROR_NONE) {
        fail(fetch, want, &error);
        return;
    }
    fetch->open--;
    want->state = WANT_OVER;
    job_board_clear(fetch->board);
    note_status(fetch, get_print_done(fetch->context, job, job->path, ""));
}

static void tell_progress(struct fetch *fetch, const P2p__Control__Job *job)
{
    struct json_writer json;
    auto_buffer out;

    buffer_init(&out, LINE_MAX_BYTES);
    json_writer_init(&json, &out);
    job_json(&json, job);
    note_status(fetch, command_print(&out));
}

static void take_job(struct fetch *fetch, const P2p__Control__Job *job)
{
    struct want *want = find_want(fetch, job->id);

    if (want && job_is_over(job))
        tell_end(fetch, want, job);
    else if (want && fetch->context->arguments.json)
        tell_progress(fetch, job);
}

static enum error_code take_news(struct fetch *fetch, struct error *error)
{
    enum error_code code = ERROR_NONE;

    for (;;) {
        P2p__Control__DownloadsReply *reply = job_follow_take(fetch->follow, &code, error);
        if (!reply)
            return code;
        fetch->heard_ms = clock_boot_ms();
        bool ours = find_want(fetch, reply->job->id) != NULL;
        take_job(fetch, reply->job);
        if (ours)
            job_board_put(fetch->board, reply);
        else
            protobuf_c_message_free_unpacked(&reply->base, NULL);
    }
}

/* The daemon forgets old downloads: of one that it forgot before we heard of its end, no news will
 * ever come. */
static enum error_code ask_how_it_is(struct fetch *fetch, struct error *error)
{
    struct job_list list;

    enum error_code code = job_list_get(fetch->context->client, &list, error);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < fetch->next; i++) {
        struct want *want = &fetch->wants[i];
        const P2p__Control__Job *job =
            want->state == WANT_OPEN ? job_list_find(&list, want->id) : NULL;
        struct error missing = {0};
        if (job && job_is_over(job))
            take_job(fetch, job);
        else if (want->state == WANT_OPEN && !job && job_list_missing(want->id, &missing))
            fail(fetch, want, &missing);
    }
    fetch->heard_ms = clock_boot_ms();
    job_list_done(&list);
    return ERROR_NONE;
}

/* Until all is over, or Ctrl-C. */
static enum error_code go_on(struct fetch *fetch, int ctrl_c, struct error *error)
{
    struct pollfd polled[] = {
        {.fd = job_follow_descriptor(fetch->follow), .events = POLLIN},
        {.fd = ctrl_c, .events = POLLIN},
    };
    enum error_code code = ERROR_NONE;

    while (code == ERROR_NONE && !ctrl_c_came() && !ferror(stdout)) {
        begin_some(fetch);
        code = take_news(fetch, error);
        if (fetch->open == 0 && fetch->next == fetch->count)
            return ERROR_NONE;
        job_board_draw(fetch->board);
        if (code == ERROR_NONE && poll(polled, ARRAY_LENGTH(polled), REDRAW_MS) < 0 &&
            errno != EINTR)
            return error_set_errno(error, errno, "no se puede esperar");
        if (code == ERROR_NONE && fetch->open > 0 &&
            clock_boot_ms() - fetch->heard_ms >= SILENCE_MS)
            code = ask_how_it_is(fetch, error);
    }
    return code;
}

/* ---- the end ---- */

static void tell_left(const struct fetch *fetch)
{
    auto_free uint64_t *ids = memory_new(fetch->count + 1, sizeof *ids);
    size_t count = 0;
    size_t never = fetch->count - fetch->next;

    for (size_t i = 0; i < fetch->next; i++)
        if (fetch->wants[i].state == WANT_OPEN)
            ids[count++] = fetch->wants[i].id;
    get_print_left(ids, count);
    if (never > 0)
        fprintf(stderr, "Sin empezar: %zu\n", never);
}

static enum exit_status follow_all(struct fetch *fetch)
{
    struct error error = {0};

    enum error_code code = job_follow_start(fetch->context->socket_path, fetch->context->start_hint,
                                            &fetch->follow, &error);
    if (code != ERROR_NONE)
        return command_fail(fetch->context, &error, "Error al descargar");
    add_words(fetch);
    fetch->heard_ms = clock_boot_ms();
    code = go_on(fetch, ctrl_c_catch(), &error);
    job_board_clear(fetch->board);
    if (code != ERROR_NONE)
        return command_fail(fetch->context, &error, "Error al descargar");
    if (fetch->open == 0 && fetch->next == fetch->count)
        return fetch->status;
    if (!ctrl_c_came())
        return EXIT_FAILED; /* nobody reads us any more */
    tell_left(fetch);
    return (enum exit_status)(EXIT_BY_SIGNAL + SIGINT);
}

enum exit_status get_many(struct command_context *context)
{
    struct fetch fetch = {.context = context, .board = job_board_new()};

    enum exit_status status = follow_all(&fetch);
    job_follow_stop(fetch.follow);
    job_board_free(fetch.board);
    for (size_t i = 0; i < fetch.count; i++)
        free(fetch.wants[i].name);
    free(fetch.wants);
    return status;
}
