/*
 * The peer's configuration: one JSON file, shared by the daemon and by the commands that talk to
 * it. A configuration file of the reference works unchanged; keys of ours are optional.
 *
 * What is derived from the file (address, paths) depends on nothing that the daemon alone knows, so
 * that a command finds the daemon's socket.
 */
#pragma once

#include "common/address.h"
#include "common/config.h"
#include "common/error.h"
#include "common/log.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_VARIABLE     "PEER_CONFIG"
#define SETTINGS_DEFAULT_PATH "/app/configs/default.json"

#define SETTINGS_DIRECTORIES_MAX 8 /* each costs a thread and a connection */

struct settings {
    char *peer_name;
    char *ip; /* on which we listen */
    int64_t port;
    char *directory;                      /* the shared folder */
    struct config_strings api_url;        /* the directories' logins; none only with a friend */
    struct config_strings api_search_url; /* their searches, as many, in the same order */
    char *password;                       /* NULL only without auth_enabled, or a directory */
    bool auth_enabled;
    struct config_strings peer_urls; /* of the reference; not used */
    struct config_strings grpc_urls; /* each is an address */
    char *peer_amigo_titular;        /* friend peers: addresses, NULL or "" for none */
    char *peer_amigo_suplente;
    char *grpc_advertise;  /* NULL: ip and port */
    char *state_directory; /* never NULL once loaded */
    char *control_socket;  /* likewise */
    int64_t upload_slots;
    int64_t upload_limit, download_limit; /* bytes per second, 0: none; likewise */
    int64_t upload_limit_per_peer, download_limit_per_peer;
    int64_t scrub_days; /* every shared file is checked once in so many; 0: never */
    char *log_level_name;
    enum log_level log_level;
    char *source; /* the file's path, for messages */
};

/* Reads the file at path; for NULL the one that PEER_CONFIG names, or the default one. unknown is
 * called for each key that has no meaning here; NULL: never mind. *settings is filled on success
 * (settings_done), and empty otherwise. The text of an error is one line that names file and key.
 */
MUST_CHECK enum error_code settings_load(const char *path, config_unknown_fn *unknown,
                                         struct settings *settings, struct error *error);

/* The same from memory; source names it. */
MUST_CHECK enum error_code settings_parse(const char *source, const char *text, size_t length,
                                          config_unknown_fn *unknown, struct settings *settings,
                                          struct error *error);
void settings_done(struct settings *settings);

/* Where the gRPC server shall listen: "ip:port", port 0 as it is. Returns out. */
const char *settings_listen_address(const struct settings *settings, char out[ADDRESS_TEXT_BYTES]);

/* The same with the port that was taken. Returns out. */
const char *settings_serving_address(const struct settings *settings, uint16_t port,
                                     char out[ADDRESS_TEXT_BYTES]);

/* The address that others are told, once the port is known: grpc_advertise (its port, if not 0), or
 * "ip:port". Where ip means every address of this machine, the directory puts in the one that it
 * sees. Returns out. */
const char *settings_advertise_address(const struct settings *settings, uint16_t port,
                                       char out[ADDRESS_TEXT_BYTES]);

/* grpc_urls as addresses, owned by the caller (free); NULL when there are none. */
struct address *settings_grpc_addresses(const struct settings *settings, size_t *count);
