/*
 * The directory as a peer sees it: log in (directory_client.c), search (directory_questions.c).
 *
 * Works with our directory (fields in a form body, the index of any length) and with the
 * reference's (fields in the query string; it answers 422 to a body, which is how we tell; its
 * index only grows and its URL ends at 64 KiB, so a long index goes in several logins).
 *
 * It is asked directly: no redirect is followed and no proxy of the environment is used, since
 * requests have the password or the token in them. Texts of errors are Spanish, users see them in
 * the menu; no text holds a query string, a password or a token.
 *
 * One object belongs to one thread at a time; make one a thread. A call ends within its time-out,
 * and soon after the stop event is raised. Connections are kept between calls.
 */
#pragma once

#include "common/address.h"
#include "common/content.h"
#include "common/error.h"
#include "common/index_sum.h"
#include "common/stop_event.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRECTORY_TIMEOUT_MS 10000 /* and a second more for each MiB of an index */
/* A directory that is back must be noticed soon, not after a minute of the system's retries. */
#define DIRECTORY_CONNECT_MS 3000
#define DIRECTORY_EXPIRY_MS  30000 /* the contract's default */

/* A search that 100,000 peers answer has about 10 MB. */
#define DIRECTORY_REPLY_MAX_BYTES ((size_t)16 << 20)

/* More are not looked at: a download that has failed at so many sources is better told than tried
 * on for minutes, and a reply to the commands holds them. */
#define DIRECTORY_SOURCES_MAX 1000

struct directory_client;

struct directory_client_options {
    const char *login_url;   /* api_url; copied */
    const char *search_url;  /* api_search_url; copied */
    struct stop_event *stop; /* borrowed; may be NULL */
    int64_t connect_ms;      /* 0: DIRECTORY_CONNECT_MS */
    int64_t timeout_ms;      /* of a whole request; 0: DIRECTORY_TIMEOUT_MS */
};

struct directory_client *directory_client_new(const struct directory_client_options *options);
void directory_client_free(struct directory_client *client);

/* For the next request of a client that was made before: stop and the times of the options. */
void directory_client_prepare(struct directory_client *client,
                              const struct directory_client_options *options);

struct list_changes;

struct directory_login {
    const char *username;
    const char *password;
    const char *advertise;          /* "host:port" that goes into every url list */
    const struct share_list *files; /* NULL: no index, a plain heartbeat */
    bool folders;                   /* files in folders are told: the directory knows such names */
    bool names_only;   /* sizes and ids stay out: for the reference's directory, which would pay for
                        * them with the length of its URL. directory_login sees to it */
    const char *token; /* goes instead of the password; should it be refused, the password goes
                        * in a second request. NULL, or "": there is none */
    const struct index_sum *etag; /* the sum of the files, or without files of those that the
                                   * directory should have. NULL: not told */
    bool ask_first; /* the directory may have these files: it is told the etag, and the files when
                     * it says that it does not. The reference's gets the files at once */
    const struct index_sum *base;       /* with changes: the sum of the list that it has, */
    const struct list_changes *changes; /* and how that becomes the files. Told first: the files
                                         * follow when it does not take them, but for list_kept.
                                         * NULL: not known */
};

#define DIRECTORY_HOST_BYTES 46 /* INET6_ADDRSTRLEN */

struct directory_session {
    char token[128];      /* "" when there was none */
    bool knows_folders;   /* names with a '/' */
    bool tells_expiry;    /* as our directory does and the reference's does not */
    bool says_index;      /* it knows sums, and says whether it has the list with the etag: */
    bool index_needed;    /* it has not */
    bool list_kept;       /* it did not take the changes, since somebody else has logged in under
                           * our name: the files have not followed */
    int64_t expiry_ms;    /* DIRECTORY_EXPIRY_MS where it does not tell */
    int64_t heartbeat_ms; /* a third of the expiry where it does not tell */
    char other_address[DIRECTORY_HOST_BYTES]; /* the last login under our name came from there;
                                               * "": from here, or it was long ago */
    char local_address[DIRECTORY_HOST_BYTES]; /* of ours, that this one came from; "": not known */
};

/* ERROR_DENIED: wrong user or password. ERROR_INVALID, ERROR_TOO_LARGE: it refused the index.
 * ERROR_UNREACHABLE, ERROR_TIMEOUT, ERROR_BUSY (503), ERROR_CANCELLED (stop), ERROR_NOT_FOUND,
 * ERROR_UNSUPPORTED, ERROR_CORRUPT (what answers is no directory). */
MUST_CHECK enum error_code directory_login(struct directory_client *client,
                                           const struct directory_login *login,
                                           struct directory_session *session, struct error *error);

/* The peer goes: it is away at once, not when its time is over. Without regard to the stop event,
 * which is raised then; within timeout_ms. Errors as directory_login; of a directory that knows no
 * such thing ERROR_NOT_FOUND or ERROR_UNSUPPORTED. */
MUST_CHECK enum error_code directory_logout(struct directory_client *client, const char *token,
                                            int64_t timeout_ms, struct error *error);

/* How long a directory may have us wait. */
#define DIRECTORY_RETRY_MAX_MS 60000

/* What the last answer said: how long it makes no sense to ask again (Retry-After). 0: nothing. */
int64_t directory_retry_ms(const struct directory_client *client);

/* Who says that a source has a file. */
enum source_origin {
    SOURCE_TOLD,       /* a directory, now */
    SOURCE_REMEMBERED, /* a directory said so some time ago (peer/locate) */
    SOURCE_LOCATED,    /* another peer says so (peer/locate) */
};

struct directory_source {
    char *peer;                /* name as the directory gave it, well-formed UTF-8 */
    struct address *addresses; /* may be none */
    size_t address_count;
    bool guessed;       /* not all of them are its own (peer/downloads/sources) */
    int64_t size_bytes; /* -1: not told */
    bool has_content;
    struct content_id content;
    bool partial; /* it is still arriving there: it has a part of that content */
    enum source_origin origin;
    int64_t age_ms;     /* since it was known to be so; 0 for SOURCE_TOLD */
    struct address via; /* SOURCE_LOCATED: whom we asked */
};

struct directory_sources {
    struct directory_source *items;
    size_t count;
};

/* Who has the file now; with partial also those that have a part of it, where the directory knows
 * any. ERROR_NOT_FOUND with the directory's own text; else as above. */
MUST_CHECK enum error_code directory_search(struct directory_client *client,
                                            const struct file_name *name, bool partial,
                                            struct directory_sources *sources, struct error *error);
void directory_sources_done(struct directory_sources *sources);

/* ---- words ---- */

#define DIRECTORY_WORDS_PAGE  500 /* hits; more are not told at once */
#define DIRECTORY_HIT_SOURCES 10  /* of one hit; more are not looked at */

struct directory_words {
    const char *words;  /* as in common/words.h */
    const char *ending; /* NULL: any */
    int64_t min_bytes;  /* -1: any */
    int64_t max_bytes;  /* -1: any */
    size_t limit;       /* of the page, 1 to DIRECTORY_WORDS_PAGE */
    const char *cursor; /* NULL: from the beginning */
};

/* A name and a content, as far as it is known. */
struct directory_hit {
    struct file_name name;
    int64_t size_bytes; /* -1: not told */
    bool has_content;
    struct content_id content;
    int64_t peers;                    /* that have it now */
    struct directory_sources sources; /* some of them */
    bool truncated;                   /* not all that may be were looked at */
};

struct directory_hits {
    struct directory_hit *items;
    size_t count;
    char *cursor; /* of the next page; NULL: this is the last one */
};

/* Files by words: a page, which may be empty and not the last. *hits is the caller's (done), empty
 * after an error. ERROR_UNSUPPORTED: the directory cannot, as the reference's and older ones of
 * ours. ERROR_INVALID with its own text; else as directory_search, but never ERROR_NOT_FOUND. */
MUST_CHECK enum error_code directory_search_words(struct directory_client *client,
                                                  const struct directory_words *words,
                                                  struct directory_hits *hits, struct error *error);
void directory_hits_done(struct directory_hits *hits);

/* Names of one question. */
#define DIRECTORY_NAMES_MAX 500

/* Who has these files now (whole ones): sources[i] is of names[i], empty where nobody is told of;
 * of a name that very many have, a directory may tell some or none. At most DIRECTORY_NAMES_MAX
 * names, of which some may be equal. sources are the caller's (each directory_sources_done), empty
 * after an error. ERROR_UNSUPPORTED: the directory knows no such question, as the reference's and
 * older ones of ours. Else as directory_search, but never ERROR_NOT_FOUND. */
MUST_CHECK enum error_code directory_search_many(struct directory_client *client,
                                                 const struct file_name *const *names, size_t count,
                                                 struct directory_sources *sources,
                                                 struct error *error);

/* Files are taken one by one; a take that returns false has had enough. With folders also those
 * whose name has a '/', where the directory knows any. With a content only the whole files of that
 * one, wherever the directory tells contents, and take_holder gets them: what it takes of the
 * source it sets to zero. */
struct directory_files_taker {
    bool folders;
    const struct content_id *content; /* NULL: all files, for take */
    bool (*take)(void *context, const char *peer, const struct file_name *name);
    bool (*take_holder)(void *context, const struct file_name *name,
                        struct directory_source *source);
    void *context;
};

/* A directory of so many files is read to its end; of a larger one we would only hear for minutes.
 * ERROR_TOO_LARGE. */
#define DIRECTORY_FILES_MAX 1000000

/* Every file of every peer that is active now, page by page where the directory has pages (the
 * reference's has not, and DIRECTORY_REPLY_MAX_BYTES holds for all of its list then). Errors as of
 * directory_search. */
MUST_CHECK enum error_code directory_files(struct directory_client *client,
                                           const struct directory_files_taker *taker,
                                           struct error *error);
