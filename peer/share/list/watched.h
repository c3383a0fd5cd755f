/*
 * Which folders inotify watches, by its descriptors: the shared one's path is "". One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct watched {
    int descriptor;
    char *path;
};

struct watched_list {
    struct watched *items; /* by descriptor */
    size_t count, capacity;
};

void watched_done(struct watched_list *list);

/* The path of that descriptor's folder; borrowed until the list changes. NULL: it is none. */
const char *watched_path(const struct watched_list *list, int descriptor);

/* False: it is there already under another path, which stays. */
bool watched_put(struct watched_list *list, int descriptor, const char *path);

void watched_drop(struct watched_list *list, int descriptor);

/* Drops the folder at that path and those in it, and tells each descriptor. */
void watched_drop_folder(struct watched_list *list, const char *path,
                         void (*dropped)(void *context, int descriptor), void *context);
