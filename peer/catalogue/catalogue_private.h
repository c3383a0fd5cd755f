/* What the sources of the catalogue share. Not for others: they include catalogue.h. */
#pragma once

#include "peer/catalogue/catalogue.h"
#include "peer/catalogue/damage.h"
#include "peer/catalogue/hashing.h"
#include "peer/catalogue/known.h"
#include "peer/catalogue/store.h"
#include "peer/share/list/listing.h"

#include <pthread.h>
#include <stdatomic.h>

/* A file that is to be hashed. */
struct waiting {
    char *name;
    struct share_identity identity;
    int64_t due_ms; /* on the boot clock */
    bool taken;
};

struct waiting_list {
    struct waiting *items; /* the smallest files first */
    size_t count, first;   /* all before the first were taken */
    size_t capacity;
};

struct catalogue {
    struct share *share; /* these do not change */
    char *path;
    void (*told)(void *context);
    void (*damaged)(void *context); /* may be NULL */
    void *context;
    struct stop_event *stop;
    int wake;           /* eventfd: one of the next three was set, or a file was hashed */
    atomic_bool rescan; /* the share may have changed, */
    atomic_bool whole;  /* or files that have not are to be looked at again */
    atomic_bool news;   /* ids have become known */
    atomic_bool looked; /* at the whole share, once */
    pthread_t thread;

    _Atomic(struct store *) store; /* NULL until the thread has opened it; then it stays */

    pthread_mutex_t lock; /* guards what follows; held for moments only */
    struct known known;
    struct damages damages; /* of files that are known, in this state of theirs */
    uint64_t scan;          /* the one that runs, or ran last */

    /* From here on: the catalogue's thread alone. */
    struct hashing *hashing;
    struct waiting_list waiting;
    struct listing *seen; /* that the last scan looked at; NULL: none yet */
    int64_t fed_ms;       /* for which time the waiting list was last asked */
    int64_t news_ms;      /* since when there is something to tell; 0: nothing */
    int64_t told_ms;      /* when it was last told */
    int64_t rested_ms;    /* not scanned before */
    int64_t retry_ms;     /* when to scan again by ourselves; 0: not */
    int64_t kept_ms;      /* when the store was last told what is in use; 0: never */
    bool store_failed;    /* and that was said */
};

/* Looks at what has changed in the share since the last scan: what is stored becomes known, what is
 * not goes to the waiting list. */
void catalogue_scan(struct catalogue *catalogue);
void catalogue_waiting_done(struct waiting_list *waiting);

/* The next file to hash that is due, of at most so many bytes; NULL: none. It counts as taken. */
struct waiting *catalogue_next_waiting(struct catalogue *catalogue, int64_t now_ms,
                                       int64_t max_bytes);
/* When the first of those is due that were not yet at asked_ms; INT64_MAX: none. The others wait
 * for a hashing thread, which tells when it is free. */
int64_t catalogue_waiting_due_ms(const struct catalogue *catalogue, int64_t asked_ms);

/* Any thread. What was damaged in that file is forgotten. */
void catalogue_put_known(struct catalogue *catalogue, const struct known_file *file);
bool catalogue_find_known(struct catalogue *catalogue, const struct share_identity *identity,
                          struct known_file *known);
/* Whether the file that was hashed is one that was damaged, though it has another time of change
 * now: its mode was changed, or we were killed in a repair. Then it is not taken for new content:
 * *known is as before, *left what is still bad. */
bool catalogue_recognise(struct catalogue *catalogue, const struct hashing_job *job,
                         struct known_file *known, struct damage *left);
/* Of a file that was put as damaged just now; *damage is taken. */
void catalogue_put_damaged(struct catalogue *catalogue, struct damage *damage);

/* That file, though it is in the share as it was, is not known: it may be another one, or has to be
 * hashed once more. The next scan sees to it. Any thread. */
void catalogue_look_again(struct catalogue *catalogue, const struct file_name *name);

/* Makes the catalogue's thread look whether there is anything to do. Any thread. */
void catalogue_wake(struct catalogue *catalogue);

/* Says once that the store does not work. */
void catalogue_store_failed(struct catalogue *catalogue, const struct error *error);
