/*
 * A shared folder of a test's own, and a folder beside it. What fails makes the test fail.
 */
#pragma once

#include "unit.h"

#include "peer/share/share.h"

struct fixture {
    char folder[UNIT_PATH_BYTES];
    char outside[UNIT_PATH_BYTES];
    struct share *share;
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* In the folder; the name may be a path. */
void fixture_make_folder(const struct fixture *fixture, const char *name);
void fixture_put(const struct fixture *fixture, const char *name, const char *text);
void fixture_check(const struct fixture *fixture, const char *name, const char *expected);

/* A file that arrives, with that text so far. */
struct share_incoming *fixture_receive(const struct fixture *fixture, const char *text);

struct file_name name_of(const char *path);
