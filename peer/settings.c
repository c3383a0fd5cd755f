#include "peer/settings.h"

#include "common/file_io.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/limits/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PEER_NAME_MAX_BYTES 128
#define SCRUB_DAYS_MAX      3650 /* ten years: "never" is 0 */
#define URL_MAX_BYTES       2000 /* leaves room for an index in the reference's 64 KiB of URL */

static enum error_code check_peer_name(const char *value, struct error *error)
{
    size_t length = strlen(value);

    if (length > PEER_NAME_MAX_BYTES || text_has_control(value, length))
        return error_set(error, ERROR_INVALID, "must have at most %d bytes, no control characters",
                         PEER_NAME_MAX_BYTES);
    return ERROR_NONE;
}

static enum error_code check_ip(const char *value, struct error *error)
{
    struct address address;
    auto_free char *text = memory_format(strchr(value, ':') ? "[%s]:0" : "%s:0", value);

    if (strchr(value, '/') || address_parse(text, true, &address, NULL))
        return error_set(error, ERROR_INVALID, "'%s' is not an address of this machine", value);
    return ERROR_NONE;
}

static enum error_code check_url(const char *value, struct error *error)
{
    bool is_http = strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;

    if (!is_http || strlen(value) > URL_MAX_BYTES || strpbrk(value, " \t\r\n#"))
        return error_set(error, ERROR_INVALID, "'%s' is not of the form http://HOST:PORT/PATH",
                         value);
    return ERROR_NONE;
}

static enum error_code check_address(const char *value, struct error *error)
{
    struct address address;

    return *value ? address_parse(value, false, &address, error) : ERROR_NONE;
}

static enum error_code check_advertise(const char *value, struct error *error)
{
    struct address address;

    return *value ? address_parse(value, true, &address, error) : ERROR_NONE;
}

static enum error_code check_log_level(const char *value, struct error *error)
{
    enum log_level level;

    if (!log_level_parse(value, &level))
        return error_set(error, ERROR_INVALID, "'%s' is not error, warning, info or debug", value);
    return ERROR_NONE;
}

#define AT(member)       offsetof(struct settings, member)
#define TEXT_OF(value)   #value
#define STRING_OF(macro) TEXT_OF(macro)

static const struct config_key keys[] = {
    {.name = "peer_name",
     .type = CONFIG_STRING,
     .offset = AT(peer_name),
     .required = true,
     .check = check_peer_name},
    {.name = "ip",
     .type = CONFIG_STRING,
     .offset = AT(ip),
     .preset = "0.0.0.0",
     .required = true,
     .check = check_ip},
    {.name = "port", .type = CONFIG_INTEGER, .offset = AT(port), .required = true, .max = 65535},
    {.name = "directory", .type = CONFIG_STRING, .offset = AT(directory), .required = true},
    {.name = "api_url",
     .type = CONFIG_STRINGS,
     .offset = AT(api_url),
     .or_one = true,
     .check = check_url},
    {.name = "api_search_url",
     .type = CONFIG_STRINGS,
     .offset = AT(api_search_url),
     .or_one = true,
     .check = check_url},
    {.name = "password", .type = CONFIG_STRING, .offset = AT(password)},
    {.name = "auth_enabled", .type = CONFIG_BOOLEAN, .offset = AT(auth_enabled), .preset = "true"},
    {.name = "peer_urls", .type = CONFIG_STRINGS, .offset = AT(peer_urls)},
    {.name = "grpc_urls", .type = CONFIG_STRINGS, .offset = AT(grpc_urls), .check = check_address},
    {.name = "peer_amigo_titular",
     .type = CONFIG_STRING,
     .offset = AT(peer_amigo_titular),
     .check = check_address},
    {.name = "peer_amigo_suplente",
     .type = CONFIG_STRING,
     .offset = AT(peer_amigo_suplente),
     .check = check_address},
    {.name = "grpc_advertise",
     .type = CONFIG_STRING,
     .offset = AT(grpc_advertise),
     .check = check_advertise},
    {.name = "state_directory", .type = CONFIG_STRING, .offset = AT(state_directory)},
    {.name = "control_socket", .type = CONFIG_STRING, .offset = AT(control_socket)},
    {.name = "upload_slots",
     .type = CONFIG_INTEGER,
     .offset = AT(upload_slots),
     .preset = STRING_OF(LIMITS_UPLOAD_SLOTS),
     .min = 1,
     .max = LIMITS_UPLOAD_SLOTS_MAX},
    {.name = "upload_limit", .type = CONFIG_RATE, .offset = AT(upload_limit)},
    {.name = "download_limit", .type = CONFIG_RATE, .offset = AT(download_limit)},
    {.name = "upload_limit_per_peer", .type = CONFIG_RATE, .offset = AT(upload_limit_per_peer)},
    {.name = "download_limit_per_peer", .type = CONFIG_RATE, .offset = AT(download_limit_per_peer)},
    {.name = "scrub_days",
     .type = CONFIG_INTEGER,
     .offset = AT(scrub_days),
     .preset = "30",
     .max = SCRUB_DAYS_MAX},
    {.name = "log_level",
     .type = CONFIG_STRING,
     .offset = AT(log_level_name),
     .preset = "info",
     .check = check_log_level},
};

static const struct config_table table = {.keys = keys, .count = ARRAY_LENGTH(keys)};

static void ignore_key(const char *source, const char *key)
{
    (void)source;
    (void)key;
}

static bool is_empty(const char *text)
{
    return !text || !*text;
}

/* The peer's name as a folder's name. */
static char *folder_name(const char *peer_name)
{
    char *name = memory_copy_string(peer_name);

    for (char *c = name; *c; c++)
        if (*c == '/' || (c == name && *c == '.'))
            *c = '_';
    return name;
}

/* One folder a peer, so that several live on one host: root's where daemons keep theirs, a user's
 * by the XDG Base Directory Specification, and where there is no home (a container's user), the
 * temporary folder, under a name that is the user's own. */
static char *default_state_directory(const char *peer_name)
{
    auto_free char *name = folder_name(peer_name);
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (geteuid() == 0)
        return memory_format("/var/lib/p2p-peer/%s", name);
    if (state && state[0] == '/')
        return memory_format("%s/p2p-peer/%s", state, name);
    if (home && home[0] == '/' && home[1] && access(home, W_OK) == 0)
        return memory_format("%s/.local/state/p2p-peer/%s", home, name);
    return memory_format("/tmp/p2p-peer-%ld-%s", (long)geteuid(), name);
}

static void derive(struct settings *settings)
{
    if (is_empty(settings->state_directory)) {
        free(settings->state_directory);
        settings->state_directory = default_state_directory(settings->peer_name);
    }
    if (is_empty(settings->control_socket)) {
        free(settings->control_socket);
        settings->control_socket = memory_format("%s/control.sock", settings->state_directory);
    }
    log_level_parse(settings->log_level_name, &settings->log_level);
}

/* Checks that no single row can make. */
static enum error_code check_whole(const struct settings *settings, const char *source,
                                   struct error *error)
{
    size_t limit = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    size_t length = strlen(settings->control_socket);

    if (settings->auth_enabled && !settings->password && settings->api_url.count > 0)
        return error_set(error, ERROR_INVALID, "%s: password: missing (auth_enabled is true)",
                         source);
    if (length > limit)
        return error_set(error, ERROR_INVALID,
                         "%s: control_socket: '%s' has %zu bytes, a socket's path has at most %zu",
                         source, settings->control_socket, length, limit);
    bool has_friend =
        !is_empty(settings->peer_amigo_titular) || !is_empty(settings->peer_amigo_suplente);
    if (settings->api_url.count == 0 && (!has_friend || settings->api_search_url.count > 0))
        return error_set(error, ERROR_INVALID, "%s: api_url: missing", source);
    if (settings->api_url.count > SETTINGS_DIRECTORIES_MAX)
        return error_set(error, ERROR_INVALID, "%s: api_url: more than %d directories", source,
                         SETTINGS_DIRECTORIES_MAX);
    if (settings->api_search_url.count == 0 && settings->api_url.count > 0)
        return error_set(error, ERROR_INVALID, "%s: api_search_url: missing", source);
    if (settings->api_url.count != settings->api_search_url.count)
        return error_set(error, ERROR_INVALID,
                         "%s: api_search_url: %zu of them, but api_url has %zu: one for each",
                         source, settings->api_search_url.count, settings->api_url.count);
    return ERROR_NONE;
}

enum error_code settings_parse(const char *source, const char *text, size_t length,
                               config_unknown_fn *unknown, struct settings *settings,
                               struct error *error)
{
    enum error_code code;

    *settings = (struct settings){.source = memory_copy_string(source)};
    config_init(&table, settings);
    code = config_read_text(&table, settings, source, text, length, unknown ? unknown : ignore_key,
                            error);
    if (!code)
        code = config_check(&table, settings, source, error);
    if (!code) {
        derive(settings);
        code = check_whole(settings, source, error);
    }
    if (code)
        settings_done(settings);
    return code;
}

enum error_code settings_load(const char *path, config_unknown_fn *unknown,
                              struct settings *settings, struct error *error)
{
    auto_free char *text = NULL;
    size_t length;

    *settings = (struct settings){0};
    if (!path)
        path = getenv(SETTINGS_VARIABLE);
    if (is_empty(path)) {
        path = SETTINGS_DEFAULT_PATH;
        if (access(path, F_OK) != 0)
            return error_set(
                error, ERROR_NOT_FOUND,
                "no configuration: name one with --config FILE or the variable " SETTINGS_VARIABLE
                " (there is no " SETTINGS_DEFAULT_PATH ")");
    }
    enum error_code code = file_read(path, CONFIG_FILE_MAX_BYTES, &text, &length, error);
    if (code)
        return code;
    return settings_parse(path, text, length, unknown, settings, error);
}

void settings_done(struct settings *settings)
{
    config_done(&table, settings);
    free(settings->source);
    *settings = (struct settings){0};
}

const char *settings_listen_address(const struct settings *settings, char out[ADDRESS_TEXT_BYTES])
{
    return settings_serving_address(settings, (uint16_t)settings->port, out);
}

const char *settings_serving_address(const struct settings *settings, uint16_t port,
                                     char out[ADDRESS_TEXT_BYTES])
{
    struct address address = {.port = port};

    snprintf(address.host, sizeof address.host, "%s", settings->ip);
    return address_format(&address, out);
}

const char *settings_advertise_address(const struct settings *settings, uint16_t port,
                                       char out[ADDRESS_TEXT_BYTES])
{
    struct address address;

    if (is_empty(settings->grpc_advertise) ||
        address_parse(settings->grpc_advertise, true, &address, NULL))
        return settings_serving_address(settings, port, out);
    if (address.port == 0)
        address.port = port;
    return address_format(&address, out);
}

struct address *settings_grpc_addresses(const struct settings *settings, size_t *count)
{
    const struct config_strings *urls = &settings->grpc_urls;
    struct address *addresses = NULL;

    *count = 0;
    for (size_t i = 0; i < urls->count; i++) {
        struct address address;
        if (is_empty(urls->items[i]) || address_parse(urls->items[i], false, &address, NULL))
            continue;
        addresses = memory_resize(addresses, *count + 1, sizeof *addresses);
        addresses[(*count)++] = address;
    }
    return addresses;
}
