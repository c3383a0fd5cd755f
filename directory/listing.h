/*
 * The two lists that can be long: active peers and all files. They are streamed, a piece at a time,
 * each piece one short look at the registry or read of the index, so that a list of any size takes
 * constant memory and a slow reader holds nothing back. A list of peers that is one short piece is
 * a reply like any other.
 *
 * With a limit a reply has at most that many entries and, when more follow, a "cursor" to ask for
 * them. A cursor stays good whatever happens between the pages; it names the last entry that was
 * given. Without a limit the reply has the reference's shape exactly.
 *
 * Of one content all rows are looked at, for there is no index of contents: it would make the
 * database larger by 30 % and storing a list slower by 60 % (400,000 files), for a question that is
 * asked when a file has rotted. Looking takes less than sending the whole list does.
 */
#pragma once

#include "common/content_id.h"
#include "common/error.h"
#include "directory/http.h"
#include "directory/index_reader.h"
#include "directory/registry.h"

#include <stdbool.h>
#include <stddef.h>

#define LISTING_LIMIT_MAX 10000

struct listing_page {
    size_t limit;       /* 0: all */
    const char *cursor; /* NULL: from the beginning */
    bool partial;       /* of files: also those that are still arriving at a peer */
    bool folders;       /* of files: also those whose names have a '/' */
    bool has_content;   /* of files: only those of this content */
    struct content_id content;
};

/* Loop threads. ERROR_INVALID for a cursor that we did not give. The registry is borrowed until the
 * reply is sent. */
MUST_CHECK enum error_code listing_peers(struct registry *registry, const struct listing_page *page,
                                         struct http_reply *reply, struct error *error);
/* The reader is borrowed until the reply is sent: it is the calling loop's. */
MUST_CHECK enum error_code listing_files(struct registry *registry, struct index_reader *reader,
                                         const struct listing_page *page, struct http_reply *reply,
                                         struct error *error);

#define LISTING_CURSOR_BYTES 48

/* "PEER.NAME", both ids in decimal. Pure. */
const char *listing_format_cursor(const struct index_place *place, char out[LISTING_CURSOR_BYTES]);
MUST_CHECK enum error_code listing_parse_cursor(const char *cursor, struct index_place *place,
                                                struct error *error);
