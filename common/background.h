/*
 * Work that gives way to all other: reading again what should be as it was. Of the calling thread.
 */
#pragma once

/* The least priority for processor and disk. Not for threads that take part in anything that others
 * wait for: on a busy machine they may hold a lock for long. */
void background_give_way(const char *thread_name);

/* The last turn at the disk only. */
void background_read_last(const char *thread_name);
