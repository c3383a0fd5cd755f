/*
 * What a search for words answers: of each name that was found one hit for each content that
 * somebody has under it, in an order that does not depend on who is there. Pure, one thread.
 */
#pragma once

#include "common/buffer.h"
#include "common/content_id.h"
#include "common/error.h"
#include "common/json_writer.h"
#include "directory/files_index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HITS_PEERS_MAX    10   /* of one hit are told with their addresses; all are counted */
#define HITS_CONTENTS_MAX 200  /* of one name are told apart: more is no name to go by */
#define HITS_ROWS_MAX     5000 /* of one name's peers, from the first one who is there on: 5 ms */
#define HITS_ROW_BYTES    1024 /* of addresses take as long to read as one more peer */
/* Lists of peers: of one name together, save the first peer of each content. */
#define HITS_LISTS_BYTES (1 << 20)

/* A content as it is known: the id, or only a size, or nothing. */
struct hit_key {
    bool has_id;
    struct content_id id;
    int64_t size_bytes; /* or FILE_SIZE_UNKNOWN */
};

/* A place in the order of hits: by the name's id, then by content. */
struct hit_place {
    int64_t name_id;
    bool is_inside; /* after this content of the name; else after all of the name */
    struct hit_key key;
    int64_t peer_id; /* up to this one nobody is there who has the name; 0: nothing is known */
};

#define HIT_CURSOR_BYTES (3 * 24 + CONTENT_ID_DIGITS)

/* "ID", or "ID.SIZE.CONTENT" where SIZE is empty and CONTENT is, when they are not known; with
 * ":PEER" after it unless that is 0. */
const char *hit_format_cursor(const struct hit_place *place, char out[HIT_CURSOR_BYTES]);
MUST_CHECK enum error_code hit_parse_cursor(const char *cursor, struct hit_place *place,
                                            struct error *error);

/* The contents of one name. */
struct hits {
    struct hit_content {
        struct hit_key key;
        size_t peers;
        struct buffer list; /* of them, as JSON */
        struct json_writer json;
    } * contents; /* memory of earlier names is used again */
    size_t count, capacity;
    size_t rows, list_bytes;
    bool truncated;
};

void hits_done(struct hits *hits);
void hits_clear(struct hits *hits);
/* As many peers as it takes the time of: one, and more when it has a long list of addresses for
 * this file alone (NULL: none). */
size_t hits_weight(const char *urls);
/* Before each of the name's peers. False: it is enough. */
bool hits_go_on(struct hits *hits, size_t weight);
/* Somebody who is there has it. False: it is enough. */
bool hits_add(struct hits *hits, const char *peer, const char *urls,
              const struct file_content *content);
/* When all have been added. */
void hits_sort(struct hits *hits);
/* The first one after the key (NULL: of all); count when there is none. */
size_t hits_find_after(const struct hits *hits, const struct hit_key *key);
void hits_write(const struct hits *hits, size_t item, const char *name, struct json_writer *json);
