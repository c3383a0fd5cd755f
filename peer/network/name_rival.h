/*
 * Another peer that goes by our name: whether there is one, and whether our list is held back from
 * the directory. Pure: the time is passed in.
 *
 * Who logs in last is listed: a peer that starts sends its list, as ever. The one that finds its
 * list replaced keeps it back as long as the other one is there, or both would send all of it in
 * turn without an end. Both go on logging in, so that the directory tells both (docs/api.md,
 * other_address), and the one that is left is listed again.
 *
 * The directory cannot tell two on one host apart: there a list that is gone a second time within
 * a while is the sign, and it is kept back for ever longer.
 */
#pragma once

#include "peer/network/directory_client.h"

#include <stdbool.h>
#include <stdint.h>

/* Without a word of it for the directory's expiry it is gone. Of one that the directory does not
 * tell of, our list is kept back so long, twice as long each further time, at most ... */
#define NAME_RIVAL_HOLD_MAX_MS 600000
/* ... and after so long without a loss it begins anew. */
#define NAME_RIVAL_FORGET_MS (2 * NAME_RIVAL_HOLD_MAX_MS)

/* What is told of it. */
struct name_rival_status {
    bool is_there;
    bool is_listed;                     /* its files are, not ours */
    char address[DIRECTORY_HOST_BYTES]; /* "": not known */
};

struct name_rival {
    struct name_rival_status status;
    int64_t seen_ms;                  /* when the directory last told of it, */
    int64_t hold_until_ms;            /* or our list is tried again */
    int64_t lost_ms;                  /* when our list was last gone, */
    unsigned losses;                  /* and how often in a row */
    char local[DIRECTORY_HOST_BYTES]; /* the address of ours that the last login came from */
};

/* A login that worked. */
struct name_rival_login {
    int64_t now_ms; /* boot clock */
    const struct directory_session *session;
    bool with_index;
    bool was_certain;  /* the directory had our list, it said so the last time */
    bool is_new_token; /* it gave another one than the last time: who had the name was gone */
};

enum name_rival_news {
    NAME_RIVAL_NO_NEWS,
    NAME_RIVAL_COMES,
    NAME_RIVAL_GOES,
};

enum name_rival_news name_rival_note(struct name_rival *rival,
                                     const struct name_rival_login *login);
