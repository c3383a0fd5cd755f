/*
 * What directory_client.c and directory_questions.c share. Used in these two only.
 */
#pragma once

#include "common/buffer.h"
#include "peer/network/directory_client.h"
#include "peer/network/directory_exchange.h"

struct directory_client {
    struct directory_exchange *exchange;
    char *login_url;
    char *search_url;
    bool query_mode; /* the directory takes no body: the reference's */
};

/* Appends "http://HOST:8000/NAME" beside that one. */
void directory_append_beside(const char *beside, const char *name, struct buffer *url);
