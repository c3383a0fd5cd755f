#include "peer/terminal/commands/get_private.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/rate.h"
#include "peer/terminal/commands/job_news.h"
#include "peer/terminal/commands/want_list.h"
#include "peer/terminal/ctrl_c.h"
#include "peer/terminal/job_board.h"
#include "peer/terminal/job_list.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/units.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDRAW_MS  100   /* a window that changes its size is drawn anew so soon */
#define SILENCE_MS 30000 /* without news the daemon is asked how things are */
#define BUSY_MS    1000  /* its line is full with others' downloads: tried again */

#define MANY 50

#define LINE_MAX_BYTES ((size_t)64 * 1024)

struct fetch {
    struct command_context *context;
    struct want_list list;
    size_t next; /* the first that is WANT_NEW */
    size_t open;
    struct job_news *news;
    struct job_board *board;
    bool many;               /* more than anybody would read a line each of */
    int64_t heard_ms;        /* since when there is silence */
    int64_t busy_ms;         /* when the daemon was last too busy; 0: it was not */
    int64_t timeout_ms;      /* so long nothing may come; 0: without a limit */
    int64_t moved_ms;        /* when something came last */
    enum exit_status status; /* of the first that failed */

    int64_t start_ms;
    size_t done;
    size_t failed;
    int64_t bytes; /* of those that are done */
    struct rate rate;
    char *note; /* that was told last; NULL: none */
};

/* ---- what is wanted ---- */

static void note_status(struct fetch *fetch, enum exit_status status)
{
    if (fetch->status == EXIT_DONE)
        fetch->status = status;
}

struct matches {
    struct want_list *list;
    size_t count;
};

static enum error_code take_matches(void *context, ProtobufCMessage **message, bool *stop,
                                    struct error *error)
{
    struct matches *matches = context;
    const P2p__Control__MatchReply *reply = (const P2p__Control__MatchReply *)*message;

    (void)stop;
    (void)error;
    for (size_t i = 0; i < reply->n_names; i++)
        want_list_add(matches->list, reply->names[i]);
    matches->count += reply->n_names;
    return ERROR_NONE;
}

/* As in a shell, a pattern that matches nothing stands for itself; but a folder is no file. */
static enum error_code add_matches(struct fetch *fetch, const char *pattern, struct error *error)
{
    const char *from = fetch->context->arguments.from;
    struct matches matches = {.list = &fetch->list};
    struct control_taker taker = {.take = take_matches, .context = &matches};

    enum error_code code =
        control_match(fetch->context->client, pattern, from ? from : "", &taker, error);
    if (code == ERROR_NONE && matches.count == 0 && get_is_folder(pattern))
        code = error_set(error, ERROR_NOT_FOUND, "No hay archivos en esa carpeta");
    else if (code == ERROR_NONE && matches.count == 0)
        want_list_add(&fetch->list, pattern);
    return code;
}

static void add_words(struct fetch *fetch)
{
    const struct arguments *arguments = &fetch->context->arguments;
    struct error error = {0};

    for (size_t i = 0; i < arguments->word_count; i++) {
        const char *word = arguments->words[i];
        if (!get_is_pattern(word))
            want_list_add(&fetch->list, word);
        else if (add_matches(fetch, word, &error) != ERROR_NONE)
            note_status(fetch, command_fail_one(fetch->context, word, 0, &error));
    }
    fetch->many = fetch->list.count > MANY;
}

/* ---- beginning ---- */

static void fail(struct fetch *fetch, struct want *want, const struct error *error)
{
    fetch->open -= want->state == WANT_OPEN;
    fetch->failed++;
    want->state = WANT_OVER;
    job_board_clear(fetch->board);
    note_status(fetch, command_fail_one(fetch->context, want->name, 0, error));
}

/* What the daemon made of the next ones. */
static void take_begun(struct fetch *fetch, const P2p__Control__BeginReply *reply, size_t asked)
{
    for (size_t i = 0; i < reply->n_jobs && i < asked; i++) {
        struct want *want = fetch->list.wants[fetch->next++];
        struct error error = {0};
        if (control_failure_error(reply->jobs[i]->failure, &error) != ERROR_NONE) {
            fail(fetch, want, &error);
            continue;
        }
        want_list_begin(&fetch->list, want, reply->jobs[i]->id);
        fetch->open++;
    }
    if (reply->n_jobs < asked)
        fetch->busy_ms = clock_boot_ms();
}

/* As many of the next ones as go into one question. */
static enum error_code begin_some(struct fetch *fetch, struct error *error)
{
    auto_reply P2p__Control__BeginReply *reply = NULL;
    P2p__Control__BeginRequest request = P2P__CONTROL__BEGIN_REQUEST__INIT;
    struct get_request common;
    char *names[CONTROL_BEGIN_MAX];

    if (fetch->busy_ms > 0 && clock_boot_ms() - fetch->busy_ms < BUSY_MS)
        return ERROR_NONE;
    fetch->busy_ms = 0;
    for (size_t i = fetch->next; i < fetch->list.count && request.n_names < CONTROL_BEGIN_MAX; i++)
        names[request.n_names++] = fetch->list.wants[i]->name;
    if (request.n_names == 0)
        return ERROR_NONE;
    get_request_fill(&common, fetch->context, "");
    request.names = names;
    request.peer = common.message.peer;
    request.addresses = common.message.addresses;
    request.n_addresses = common.message.n_addresses;
    request.priority = common.message.priority;
    enum error_code code = control_begin(fetch->context->client, &request, &reply, error);
    get_request_done(&common);
    if (code == ERROR_NONE)
        take_begun(fetch, reply, request.n_names);
    return code;
}

/* ---- going on ---- */

/* Where sources came from while no directory answers. Each text once, of many only the first. */
static void tell_note(struct fetch *fetch, const char *note)
{
    char clean[CLEAN_BYTES];

    if (fetch->context->arguments.json || note[0] == '\0' ||
        (fetch->note && (fetch->many || strcmp(fetch->note, note) == 0)))
        return;
    free(fetch->note);
    fetch->note = memory_copy_string(note);
    fprintf(stderr, "%s\n", command_clean(note, clean));
}

/* Nobody reads thousands of lines that say that all is well. */
static bool is_told(const struct fetch *fetch, const P2p__Control__Job *job)
{
    return !fetch->many || fetch->context->arguments.json || !isatty(STDOUT_FILENO) ||
           strcmp(job->stored_name, job->name) != 0;
}

static void tell_end(struct fetch *fetch, struct want *want,
                     const P2p__Control__DownloadsReply *reply)
{
    struct error error = {0};
    const P2p__Control__Job *job = reply->job;

    if (control_failure_error(job->failure, &error) != ERROR_NONE) {
        fail(fetch, want, &error);
        return;
    }
    fetch->open--;
    fetch->done++;
    fetch->bytes += job->bytes;
    want->state = WANT_OVER;
    if (reply->note[0] || is_told(fetch, job))
        job_board_clear(fetch->board);
    tell_note(fetch, reply->note);
    if (is_told(fetch, job))
        note_status(fetch, get_print_done(fetch->context, job, job->path, reply->note));
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

static void take_change(struct fetch *fetch, struct want *want,
                        const P2p__Control__DownloadsReply *reply)
{
    if (job_is_over(reply->job))
        tell_end(fetch, want, reply);
    else if (fetch->context->arguments.json)
        tell_progress(fetch, reply->job);
    else if (!fetch->many) /* nobody reads thousands of lines */
        get_tell_wait(reply->job, &want->wait_told);
}

static enum error_code take_news(struct fetch *fetch, struct error *error)
{
    enum error_code code = ERROR_NONE;

    for (;;) {
        P2p__Control__DownloadsReply *reply = job_news_take(fetch->news, &code, error);
        if (!reply)
            return code;
        fetch->heard_ms = clock_boot_ms();
        struct want *want = want_list_find(&fetch->list, reply->job->id);
        if (want) {
            if (get_moves(reply->job))
                fetch->moved_ms = fetch->heard_ms;
            take_change(fetch, want, reply);
            job_board_put(fetch->board, reply);
        } else {
            protobuf_c_message_free_unpacked(&reply->base, NULL);
        }
    }
}

/* The daemon forgets what ended long ago: should it have forgotten one before we heard of its end,
 * no news will ever come. */
static enum error_code ask_how_it_is(struct fetch *fetch, struct error *error)
{
    struct job_list list;

    enum error_code code = job_list_get(fetch->context->client, &list, error);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < fetch->next; i++) {
        struct want *want = fetch->list.wants[i];
        const P2p__Control__DownloadsReply *reply =
            want->state == WANT_OPEN ? job_list_find_reply(&list, want->id) : NULL;
        struct error missing = {0};
        if (reply && job_is_over(reply->job))
            take_change(fetch, want, reply);
        else if (want->state == WANT_OPEN && !reply && job_list_missing(want->id, &missing))
            fail(fetch, want, &missing);
    }
    fetch->heard_ms = clock_boot_ms();
    job_list_done(&list);
    return ERROR_NONE;
}

/* Of many, how far all of them are. */
static void draw(struct fetch *fetch)
{
    struct get_totals totals = {.files = fetch->list.count,
                                .done = fetch->done,
                                .failed = fetch->failed,
                                .bytes = fetch->bytes + job_board_bytes(fetch->board)};
    char text[JOB_LINE_BYTES];

    if (!job_board_due(fetch->board))
        return;
    totals.bytes_per_second = rate_add(&fetch->rate, clock_boot_ms(), totals.bytes);
    job_board_draw(fetch->board, fetch->many ? get_totals_format(&totals, text) : NULL);
}

static bool is_over(const struct fetch *fetch)
{
    return fetch->open == 0 && fetch->next == fetch->list.count;
}

static bool is_overdue(const struct fetch *fetch)
{
    return fetch->timeout_ms > 0 && clock_boot_ms() - fetch->moved_ms >= fetch->timeout_ms;
}

/* Until all is over, or Ctrl-C, or nothing has come for too long. */
static enum error_code go_on(struct fetch *fetch, int ctrl_c, struct error *error)
{
    struct pollfd polled[] = {
        {.fd = job_news_descriptor(fetch->news), .events = POLLIN},
        {.fd = ctrl_c, .events = POLLIN},
    };
    enum error_code code = ERROR_NONE;

    while (code == ERROR_NONE && !ctrl_c_came() && !ferror(stdout) && !is_overdue(fetch)) {
        code = begin_some(fetch, error);
        if (code == ERROR_NONE)
            code = take_news(fetch, error);
        if (code != ERROR_NONE || is_over(fetch))
            return code;
        draw(fetch);
        bool more = fetch->next < fetch->list.count && fetch->busy_ms == 0;
        if (poll(polled, ARRAY_LENGTH(polled), more ? 0 : REDRAW_MS) < 0 && errno != EINTR)
            return error_set_errno(error, errno, "no se puede esperar");
        if (fetch->open > 0 && clock_boot_ms() - fetch->heard_ms >= SILENCE_MS)
            code = ask_how_it_is(fetch, error);
    }
    return code;
}

/* ---- the end ---- */

static void tell_left(const struct fetch *fetch)
{
    auto_free uint64_t *ids = memory_new(fetch->next + 1, sizeof *ids);
    size_t count = 0;
    size_t never = fetch->list.count - fetch->next;

    for (size_t i = 0; i < fetch->next; i++)
        if (fetch->list.wants[i]->state == WANT_OPEN)
            ids[count++] = fetch->list.wants[i]->id;
    get_print_left(ids, count);
    if (never > 0)
        fprintf(stderr, "Sin empezar: %zu\n", never);
}

/* Of many, where no line was told of each. */
static void tell_all(const struct fetch *fetch)
{
    char bytes[UNITS_TEXT_BYTES];
    char time[UNITS_TEXT_BYTES];

    if (!fetch->many || fetch->context->arguments.json || !isatty(STDOUT_FILENO))
        return;
    printf("Archivos descargados: %zu de %zu, %s en %s\n", fetch->done, fetch->list.count,
           units_bytes(fetch->bytes, bytes),
           units_duration((clock_boot_ms() - fetch->start_ms + 999) / 1000, time));
}

/* Not all is over: what goes on without us. */
static enum exit_status leave(const struct fetch *fetch)
{
    enum exit_status status = (enum exit_status)(EXIT_BY_SIGNAL + SIGINT);

    if (ctrl_c_came())
        fputc('\n', stderr);
    else
        status = get_print_timeout(fetch->context, "");
    tell_left(fetch);
    return status;
}

static enum exit_status follow_all(struct fetch *fetch)
{
    struct error error = {0};

    enum error_code code = job_news_start(fetch->context->socket_path, fetch->context->start_hint,
                                          &fetch->news, &error);
    if (code != ERROR_NONE)
        return command_fail(fetch->context, &error, "Error al descargar");
    add_words(fetch);
    fetch->start_ms = fetch->heard_ms = fetch->moved_ms = clock_boot_ms();
    rate_init(&fetch->rate, fetch->start_ms, 0);
    code = go_on(fetch, ctrl_c_catch(), &error);
    job_board_clear(fetch->board);
    if (code != ERROR_NONE)
        return command_fail(fetch->context, &error, "Error al descargar");
    if (!is_over(fetch) && ferror(stdout))
        return EXIT_FAILED; /* nobody reads us any more */
    tell_all(fetch);
    return is_over(fetch) ? fetch->status : leave(fetch);
}

enum exit_status get_many(struct command_context *context)
{
    struct fetch fetch = {.context = context,
                          .board = job_board_new(),
                          .timeout_ms = get_timeout_ms(&context->arguments)};

    enum exit_status status = follow_all(&fetch);
    job_news_stop(fetch.news);
    job_board_free(fetch.board);
    want_list_done(&fetch.list);
    free(fetch.note);
    return status;
}
