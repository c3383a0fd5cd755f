/*
 * The files that one `get` wants, each once, and the downloads that fetch them. Thousands are
 * nothing: no call looks through all. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum want_state { WANT_NEW, WANT_OPEN, WANT_OVER };

struct want {
    char *name;
    enum want_state state;
    uint64_t id;       /* of its download, from WANT_OPEN on */
    int64_t wait_told; /* get_tell_wait's */
};

struct want_list {
    struct want **wants;
    size_t count;
    void *names;         /* of tsearch(3): the same, by name */
    struct want **begun; /* those that have, or had, a download; by its id */
    size_t begun_count;
};

/* *list is zeroed at first. A name that is there already is not added again. */
void want_list_add(struct want_list *list, const char *name);
/* The want is WANT_OPEN now. Ids come ascending. */
void want_list_begin(struct want_list *list, struct want *want, uint64_t id);
struct want *want_list_find(const struct want_list *list, uint64_t id); /* NULL: none is open */
void want_list_done(struct want_list *list);
