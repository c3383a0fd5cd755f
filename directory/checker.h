/*
 * Checks a large database while the directory serves already: on a thread of its own that gives way
 * to all other. What it finds is in the log and, damage, in the health; then nothing more is
 * stored.
 */
#pragma once

#include "common/error.h"
#include "directory/health.h"
#include "directory/index.h"

struct checker;

/* All borrowed until checker_stop. *checker is the caller's; NULL when there is nothing to check,
 * for it is small and was checked when it was opened. ERROR_IO: no thread. */
MUST_CHECK enum error_code checker_start(struct index *index, const char *path,
                                         struct health *health, struct checker **checker,
                                         struct error *error);
/* Breaks off, joins and frees. NULL is allowed. */
void checker_stop(struct checker *checker);
