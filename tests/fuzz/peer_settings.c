/* peer/settings: either one line names the source and what is wrong, or every value is usable. */
#include "fuzz.h"

#include "peer/settings.h"

#include <sys/un.h>

static void check_addresses(const struct settings *settings)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address address;
    size_t count;
    struct address *addresses = settings_grpc_addresses(settings, &count);

    fuzz_check(count <= settings->grpc_urls.count && (count == 0) == !addresses);
    free(addresses);
    settings_listen_address(settings, text);
    fuzz_check(address_parse(text, true, &address, NULL) == ERROR_NONE);
    fuzz_check(address.port == settings->port);
    settings_advertise_address(settings, 8001, text);
    fuzz_check(address_parse(text, false, &address, NULL) == ERROR_NONE);
}

static void check_settings(const struct settings *settings)
{
    struct sockaddr_un socket_address;

    fuzz_check(settings->peer_name[0] && settings->directory[0] && settings->ip[0]);
    fuzz_check(settings->port >= 0 && settings->port <= 65535);
    size_t count = settings->api_url.count;
    bool has_friend = (settings->peer_amigo_titular && settings->peer_amigo_titular[0]) ||
                      (settings->peer_amigo_suplente && settings->peer_amigo_suplente[0]);
    fuzz_check(count <= SETTINGS_DIRECTORIES_MAX && (count >= 1 || has_friend));
    fuzz_check(settings->api_search_url.count == count);
    for (size_t i = 0; i < count; i++) {
        fuzz_check(strncmp(settings->api_url.items[i], "http", 4) == 0);
        fuzz_check(strncmp(settings->api_search_url.items[i], "http", 4) == 0);
    }
    fuzz_check(settings->password || !settings->auth_enabled || settings->api_url.count == 0);
    fuzz_check(settings->state_directory[0] && settings->control_socket[0]);
    fuzz_check(strlen(settings->control_socket) < sizeof socket_address.sun_path);
    fuzz_check(strcmp(settings->source, "peer.json") == 0);
    check_addresses(settings);
}

static void unknown_key(const char *source, const char *key)
{
    fuzz_check(source && key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct error error;

    if (settings_parse("peer.json", (const char *)data, size, unknown_key, &settings, &error)) {
        fuzz_check(error.code == ERROR_INVALID && strncmp(error.text, "peer.json: ", 11) == 0);
        fuzz_check(!settings.peer_name && !settings.source);
        return 0;
    }
    check_settings(&settings);
    settings_done(&settings);
    return 0;
}
