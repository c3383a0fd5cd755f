/* downloads: the list, following it, and orders to some of them. */
#include "peer/terminal/commands/command_private.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/job_board.h"
#include "peer/terminal/job_list.h"
#include "peer/terminal/job_table.h"
#include "peer/terminal/job_text.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TABLE_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define LINE_MAX_BYTES  ((size_t)64 * 1024)

static const struct order_kind {
    const char *name;
    const char *said;
    bool is_priority; /* its last word says which; else: */
    enum control_order order;
} kinds[] = {
    {.name = "pause", .order = CONTROL_PAUSE, .said = "en pausa"},
    {.name = "resume", .order = CONTROL_RESUME, .said = "reanudada"},
    {.name = "cancel", .order = CONTROL_CANCEL, .said = "cancelada"},
    {.name = "priority", .is_priority = true, .said = "con prioridad"},
};

/* One as it was given: to all, or to the downloads of words[1] up to words[end - 1]. */
struct order {
    const struct order_kind *kind;
    enum download_priority priority;
    size_t end;
};

/* ---- the list ---- */

/* On a terminal the table fits the window; elsewhere nothing is cut. */
static size_t table_columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return JOB_TABLE_ANY_WIDTH;
    return size.ws_col;
}

static enum exit_status print_job_json(const P2p__Control__Job *job)
{
    auto_buffer out;
    struct json_writer json;

    buffer_init(&out, LINE_MAX_BYTES);
    json_writer_init(&json, &out);
    job_json(&json, job);
    return command_print(&out);
}

static enum exit_status show_list(const struct command_context *context)
{
    struct job_list list;
    struct error error = {0};
    enum exit_status status = EXIT_DONE;
    auto_buffer out;

    buffer_init(&out, TABLE_MAX_BYTES);
    if (job_list_get(context->client, &list, &error) != ERROR_NONE)
        return command_fail(context, &error, "Error");
    for (size_t i = 0; i < list.count && context->arguments.json && status == EXIT_DONE; i++)
        status = print_job_json(list.jobs[i]);
    if (!context->arguments.json && list.count == 0)
        puts("No hay descargas.");
    if (!context->arguments.json && list.count > 0) {
        job_table_format(list.jobs, list.count, table_columns(), &out);
        fwrite(out.data, 1, out.length, stdout);
    }
    job_list_done(&list);
    return fflush(stdout) == 0 && !out.failed ? status : EXIT_FAILED;
}

/* ---- following ---- */

struct following {
    bool as_json;
    bool listed; /* what comes is news */
    bool failed; /* to print */
    struct job_board *board;
};

/* A line for each end; the others are bars. */
static void tell(struct following *following, const P2p__Control__Job *job)
{
    char clean[CLEAN_BYTES];
    char why[CLEAN_BYTES];
    const char *colon = job_why(job)[0] ? ": " : "";

    job_board_clear(following->board);
    printf("%" PRIu64 "  %s  %s%s%s\n", job->id, command_clean(job->name, clean),
           job_state_text(job), colon, command_clean(job_why(job), why));
    following->failed = fflush(stdout) != 0;
}

static enum error_code take_change(void *context, ProtobufCMessage **message, bool *stop,
                                   struct error *error)
{
    struct following *following = context;
    P2p__Control__DownloadsReply *reply = (P2p__Control__DownloadsReply *)*message;

    (void)error;
    following->listed |= reply->listed;
    if (!reply->job)
        return ERROR_NONE;
    if (following->as_json) {
        following->failed = print_job_json(reply->job) != EXIT_DONE;
    } else {
        if (following->listed && job_is_over(reply->job))
            tell(following, reply->job);
        job_board_put(following->board, reply);
        *message = NULL;
        job_board_draw(following->board, NULL);
    }
    *stop = following->failed;
    return ERROR_NONE;
}

static enum exit_status follow(const struct command_context *context)
{
    struct following following = {.as_json = context->arguments.json, .board = job_board_new()};
    struct control_taker taker = {.take = take_change, .context = &following};
    struct error error = {0};
    enum exit_status status = EXIT_FAILED; /* it ends only when something is wrong */

    enum error_code code = control_downloads(context->client, true, &taker, &error);
    job_board_clear(following.board);
    job_board_free(following.board);
    if (code == ERROR_NONE && !following.failed)
        code = error_set(&error, ERROR_UNREACHABLE, "Se perdió la conexión con el peer local");
    if (code != ERROR_NONE)
        status = command_fail(context, &error, "Error");
    return status;
}

/* ---- orders ---- */

static enum exit_status order_json(const struct order *order, uint64_t id)
{
    struct json_writer json;
    auto_buffer out;

    buffer_init(&out, LINE_MAX_BYTES);
    json_writer_init(&json, &out);
    json_begin_object(&json, NULL);
    json_write_integer(&json, "id", (int64_t)id);
    json_write_string(&json, "order", order->kind->name);
    if (order->kind->is_priority)
        json_write_string(&json, "priority", download_priority_name(order->priority));
    json_end_object(&json);
    return command_print(&out);
}

static enum exit_status tell_order(const struct command_context *context, const struct order *order,
                                   uint64_t id)
{
    bool is_priority = order->kind->is_priority;

    if (context->arguments.json)
        return order_json(order, id);
    printf("Descarga %" PRIu64 " %s%s%s\n", id, order->kind->said, is_priority ? " " : "",
           is_priority ? job_priority_text(order->priority) : "");
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static enum error_code send_order(struct control_client *client, const struct order *order,
                                  uint64_t id, struct error *error)
{
    if (order->kind->is_priority)
        return control_prioritize(client, id, order->priority, error);
    return control_order(client, order->kind->order, id, error);
}

/* One that is over is left alone by the daemon: that is told, not hidden. */
static enum exit_status give_order(const struct command_context *context, const struct order *order,
                                   const struct job_list *list, uint64_t id)
{
    const P2p__Control__Job *job = job_list_find(list, id);
    struct error error = {0};
    enum error_code code = ERROR_NONE;

    if (!job)
        code = job_list_missing(id, &error);
    else if (job_is_over(job))
        code = error_set(&error, ERROR_INVALID, "La descarga %" PRIu64 " ya está %s", id,
                         job_state_text(job));
    else
        code = send_order(context->client, order, id, &error);
    if (code != ERROR_NONE)
        return command_fail_one(context, NULL, id, &error);
    return tell_order(context, order, id);
}

/* The first that fails gives the status; the others are tried all the same. Those that wait come
 * first: else each would have its turn for a moment, when the one before it has gone. */
static enum exit_status order_all(const struct command_context *context, const struct order *order,
                                  const struct job_list *list)
{
    enum exit_status status = EXIT_DONE;
    size_t count = 0;

    for (size_t i = 0; i < 2 * list->count; i++) {
        const P2p__Control__Job *job = list->jobs[i % list->count];
        bool waits = job->state == DOWNLOAD_QUEUED;
        if (job_is_over(job) || waits != (i < list->count))
            continue;
        enum exit_status one = give_order(context, order, list, job->id);
        status = status == EXIT_DONE ? one : status;
        count++;
    }
    if (count == 0 && !context->arguments.json)
        puts("No hay descargas en curso.");
    return status;
}

static enum exit_status order_some(const struct command_context *context, const struct order *order,
                                   const struct job_list *list)
{
    enum exit_status status = EXIT_DONE;

    for (size_t i = 1; i < order->end; i++) {
        long long id = 0;
        (void)text_to_integer(context->arguments.words[i], 1, LLONG_MAX, &id); /* checked before */
        enum exit_status one = give_order(context, order, list, (uint64_t)id);
        status = status == EXIT_DONE ? one : status;
    }
    return status;
}

static bool wants_all(const struct arguments *arguments, const struct order *order)
{
    return order->end == 2 && strcmp(arguments->words[1], "all") == 0;
}

/* What is wrong with the words; NULL: nothing. */
static const char *parse_order(const struct arguments *arguments, struct order *order)
{
    long long id;

    *order = (struct order){.end = arguments->word_count};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        if (strcmp(arguments->words[0], kinds[i].name) == 0)
            order->kind = &kinds[i];
    if (!order->kind)
        return "pause, resume, cancel or priority is expected";
    if (arguments->follow)
        return "--follow goes with the list only";
    if (order->kind->is_priority &&
        !download_priority_parse(arguments->words[--order->end], &order->priority))
        return "high, normal or low is expected after the IDs";
    if (order->end < 2)
        return "which downloads? IDs, or all";
    if (wants_all(arguments, order))
        return NULL;
    for (size_t i = 1; i < order->end; i++)
        if (!text_to_integer(arguments->words[i], 1, LLONG_MAX, &id))
            return "an ID is a number";
    return NULL;
}

enum exit_status command_downloads(struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    struct order order;
    struct job_list list;
    struct error error = {0};

    if (arguments->word_count == 0)
        return arguments->follow ? follow(context) : show_list(context);
    const char *wrong = parse_order(arguments, &order);
    if (wrong) {
        fprintf(stderr, "p2p-peer downloads: %s\n", wrong);
        return EXIT_USAGE;
    }
    if (job_list_get(context->client, &list, &error) != ERROR_NONE)
        return command_fail(context, &error, "Error");
    enum exit_status status = wants_all(arguments, &order) ? order_all(context, &order, &list)
                                                           : order_some(context, &order, &list);
    job_list_done(&list);
    return status;
}
