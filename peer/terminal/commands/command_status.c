#include "peer/terminal/commands/command_private.h"

#include "common/memory.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/rival_text.h"
#include "peer/terminal/units.h"

#include <inttypes.h>

#define JSON_MAX_BYTES ((size_t)16 * 1024 * 1024) /* some thousands of jobs */

static void directory_json(struct json_writer *json, const char *key,
                           const P2p__Control__Directory *directory, bool enabled)
{
    json_begin_object(json, key);
    json_write_string(json, "url", directory->url);
    json_write_boolean(json, "enabled", enabled);
    json_write_boolean(json, "connected", directory->connected);
    if (directory->age_ms >= 0)
        json_write_integer(json, "last_login_ms_ago", directory->age_ms);
    else
        json_write_null(json, "last_login_ms_ago");
    command_json_text(json, "error", directory->error);
    if (directory->rival) {
        json_begin_object(json, "name_also_used");
        command_json_text(json, "address", directory->rival_address);
        json_write_boolean(json, "listed", directory->rival_listed);
        json_end_object(json);
    } else {
        json_write_null(json, "name_also_used");
    }
    json_end_object(json);
}

/* The first that is connected (else the first) by itself too: to most it is the only one. */
static void directories_json(struct json_writer *json, const P2p__Control__StatusReply *reply)
{
    size_t chosen = 0;

    while (chosen < reply->n_directories && !reply->directories[chosen]->connected)
        chosen++;
    if (reply->n_directories > 0)
        directory_json(json, "directory",
                       reply->directories[chosen < reply->n_directories ? chosen : 0],
                       reply->directory_enabled);
    else
        json_write_null(json, "directory");
    json_begin_array(json, "directories");
    for (size_t i = 0; i < reply->n_directories; i++)
        directory_json(json, NULL, reply->directories[i], reply->directory_enabled);
    json_end_array(json);
}

static void status_json(const P2p__Control__StatusReply *reply, struct buffer *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    json_write_string(&json, "version", reply->version);
    json_write_string(&json, "peer_name", reply->peer_name);
    json_write_string(&json, "address", reply->address);
    json_write_integer(&json, "uptime_ms", reply->uptime_ms);
    json_begin_object(&json, "share");
    json_write_string(&json, "folder", reply->folder);
    json_write_integer(&json, "files", reply->shared_files);
    json_write_integer(&json, "bytes", reply->shared_bytes);
    json_write_integer(&json, "damaged", reply->damaged_files);
    json_end_object(&json);
    directories_json(&json, reply);
    json_begin_object(&json, "connections");
    json_write_integer(&json, "open", reply->connections);
    json_write_integer(&json, "max", reply->connections_max);
    json_end_object(&json);
    json_write_integer(&json, "uploads_running", reply->uploads_running);
    json_write_integer(&json, "uploads_waiting", reply->uploads_waiting);
    command_limits_json(&json, reply->limits);
    json_begin_object(&json, "downloads");
    json_write_integer(&json, "queued", reply->downloads_queued);
    json_write_integer(&json, "paused", reply->downloads_paused);
    json_write_integer(&json, "running", reply->downloads_running);
    json_write_integer(&json, "done", reply->downloads_done);
    json_write_integer(&json, "failed", reply->downloads_failed);
    json_begin_array(&json, "jobs");
    for (size_t i = 0; i < reply->n_jobs; i++)
        job_json(&json, reply->jobs[i]);
    json_end_array(&json);
    json_end_object(&json);
    json_end_object(&json);
}

static void print_rival(const P2p__Control__Directory *directory)
{
    auto_free char *text = rival_text(directory);
    char clean[CLEAN_BYTES];

    if (text)
        printf("              %s\n", command_clean(text, clean));
}

static void print_directory(const P2p__Control__Directory *directory, bool enabled)
{
    char clean[CLEAN_BYTES];
    char age[UNITS_TEXT_BYTES];

    printf("Directorio    %s\n", command_clean(directory->url, clean));
    if (!enabled)
        puts("              sin autenticación: no se anuncia");
    else if (directory->connected)
        printf("              conectado, última autenticación hace %s\n",
               units_duration(directory->age_ms / 1000, age));
    else if (directory->age_ms >= 0)
        printf("              sin conexión, última autenticación hace %s\n",
               units_duration(directory->age_ms / 1000, age));
    else
        puts("              sin conexión todavía");
    if (directory->error[0])
        printf("              %s\n", command_clean(directory->error, clean));
    print_rival(directory);
}

static void print_job(const P2p__Control__Job *job)
{
    char clean[CLEAN_BYTES];
    char description[CLEAN_BYTES];
    auto_buffer text;

    buffer_init(&text, CLEAN_BYTES);
    job_describe(job, &text);
    printf("  %" PRIu64 "  %s  %s\n", job->id, command_clean(job->name, clean),
           command_clean(text.data, description));
}

static void status_print(const P2p__Control__StatusReply *reply)
{
    char clean[CLEAN_BYTES];
    char text[UNITS_TEXT_BYTES];

    printf("Peer          %s (versión %s)\n", command_clean(reply->peer_name, clean),
           reply->version);
    printf("Dirección     %s\n", reply->address);
    printf("En marcha     %s\n", units_duration(reply->uptime_ms / 1000, text));
    if (reply->failure)
        printf("Carpeta       %s: %s\n", reply->folder, command_clean(reply->failure->text, clean));
    else
        printf("Carpeta       %s: %" PRId64 " archivos, %s\n", reply->folder, reply->shared_files,
               units_bytes(reply->shared_bytes, text));
    if (reply->damaged_files > 0)
        printf("              %" PRId64 " dañados: vea p2p-peer verify\n", reply->damaged_files);
    if (reply->n_directories == 0)
        puts("Directorio    ninguno");
    for (size_t i = 0; i < reply->n_directories; i++)
        print_directory(reply->directories[i], reply->directory_enabled);
    printf("Conexiones    %" PRId64 " abiertas, %" PRId64 " como máximo\n", reply->connections,
           reply->connections_max);
    printf("Subidas       %" PRId64 " en curso", reply->uploads_running);
    if (reply->uploads_waiting > 0)
        printf(", %" PRId64 " de ellas en espera", reply->uploads_waiting);
    putchar('\n');
    command_limits_print(reply->limits, false);
    printf("Descargas     %" PRId64 " en curso, %" PRId64 " en espera, %" PRId64
           " terminadas, %" PRId64 " fallidas\n",
           reply->downloads_running, reply->downloads_queued, reply->downloads_done,
           reply->downloads_failed);
    for (size_t i = 0; i < reply->n_jobs; i++)
        print_job(reply->jobs[i]);
}

enum exit_status command_status(struct command_context *context)
{
    auto_reply P2p__Control__StatusReply *reply = NULL;
    struct error error = {0};
    auto_buffer out;

    buffer_init(&out, JSON_MAX_BYTES);
    if (control_status(context->client, &reply, &error) != ERROR_NONE)
        return command_fail(context, &error, "Error");
    if (context->arguments.json) {
        status_json(reply, &out);
        return command_print(&out);
    }
    status_print(reply);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
