/* limit: how fast this peer may send and receive. */
#include "peer/terminal/commands/command_private.h"

#include "common/byte_rate.h"
#include "peer/terminal/units.h"

#define JSON_BYTES ((size_t)16 * 1024)

static void rate_json(struct json_writer *json, const char *key, int64_t rate)
{
    if (rate > 0)
        json_write_integer(json, key, rate);
    else
        json_write_null(json, key);
}

void command_limits_json(struct json_writer *json, const P2p__Control__Limits *limits)
{
    static const P2p__Control__Limits none;

    limits = limits ? limits : &none;
    json_begin_object(json, "limits");
    rate_json(json, "upload", limits->upload);
    rate_json(json, "download", limits->download);
    rate_json(json, "upload_per_peer", limits->upload_per_peer);
    rate_json(json, "download_per_peer", limits->download_per_peer);
    json_end_object(json);
}

/* One flag; *change points to memory when it is given. */
static enum error_code take(const char *flag, const char *text, P2p__Control__LimitChange *memory,
                            P2p__Control__LimitChange **change, struct error *error)
{
    if (!text)
        return ERROR_NONE;
    p2p__control__limit_change__init(memory);
    if (byte_rate_parse(text, &memory->bytes_per_second, error))
        return error_context(error, "--%s", flag);
    *change = memory;
    return ERROR_NONE;
}

static enum error_code take_all(const struct arguments *arguments,
                                P2p__Control__LimitChange changes[4],
                                P2p__Control__LimitRequest *request, struct error *error)
{
    const struct {
        const char *flag;
        const char *text;
        P2p__Control__LimitChange **change;
    } rows[] = {
        {"upload", arguments->upload, &request->upload},
        {"download", arguments->download, &request->download},
        {"upload-per-peer", arguments->upload_per_peer, &request->upload_per_peer},
        {"download-per-peer", arguments->download_per_peer, &request->download_per_peer},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (take(rows[i].flag, rows[i].text, &changes[i], rows[i].change, error))
            return error->code;
    return ERROR_NONE;
}

static const char *rate_text(int64_t rate, char out[UNITS_TEXT_BYTES + 2])
{
    char bytes[UNITS_TEXT_BYTES];

    if (rate <= 0)
        return "sin límite";
    snprintf(out, UNITS_TEXT_BYTES + 2, "%s/s", units_bytes(rate, bytes));
    return out;
}

void command_limits_print(const P2p__Control__Limits *limits, bool also_none)
{
    static const P2p__Control__Limits none;
    char total[UNITS_TEXT_BYTES + 2];
    char each[UNITS_TEXT_BYTES + 2];

    limits = limits ? limits : &none;
    if (also_none || limits->upload > 0 || limits->upload_per_peer > 0)
        printf("Límite subida %s; por peer: %s\n", rate_text(limits->upload, total),
               rate_text(limits->upload_per_peer, each));
    if (also_none || limits->download > 0 || limits->download_per_peer > 0)
        printf("Límite bajada %s; por peer: %s\n", rate_text(limits->download, total),
               rate_text(limits->download_per_peer, each));
}

enum exit_status command_limit(struct command_context *context)
{
    P2p__Control__LimitRequest request = P2P__CONTROL__LIMIT_REQUEST__INIT;
    P2p__Control__LimitChange changes[4];
    auto_reply P2p__Control__LimitReply *reply = NULL;
    struct error error = {0};
    struct json_writer json;
    char clean[CLEAN_BYTES];
    auto_buffer out;

    buffer_init(&out, JSON_BYTES);
    if (take_all(&context->arguments, changes, &request, &error) != ERROR_NONE) {
        fprintf(stderr, "p2p-peer limit: %s\n", command_clean(error.text, clean));
        return EXIT_USAGE;
    }
    if (control_limit(context->client, &request, &reply, &error) != ERROR_NONE)
        return command_fail(context, &error, "Error");
    if (!context->arguments.json) {
        command_limits_print(reply->limits, true);
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    json_writer_init(&json, &out);
    json_begin_object(&json, NULL);
    command_limits_json(&json, reply->limits);
    json_end_object(&json);
    return command_print(&out);
}
