/*
 * The memory in which libmicrohttpd keeps a connection's request and its reply's head, in place of
 * the library's own (its memorypool.c): the names and what they promise are those of 0.9.75, and
 * cmake/P2PMicrohttpd.cmake says when a program gets this and when the library's.
 *
 * It has to be large, for a request's line may be, and the library's zeroes all of it at each
 * request, one and a half times (its pool_reallocate clears what it shrinks by, its pool_reset the
 * whole), which is more work than everything else that the library does, and so
 * many connections have more memory each than the processor caches. Here nothing is zeroed, and
 * pages that nobody wrote to do not exist: a connection with ordinary requests has one page.
 *
 * What is handed out is not zero. The library does not rely on that: for up to 32 KiB, which is
 * its default, it takes its pools from malloc, uncleared.
 *
 * A pool is one mapping: this struct and blocks "from the end" that fit beside it in its first KiB,
 * then the others from the left, and at its end what else is "from the end". A pool belongs to one
 * thread at a time; pools may be made and destroyed by any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What a pool keeps of its pages in any case. Those after it, which a large request or reply has
 * used, are kept for another large one, and given back after the next one that is not. */
#define CONNECTION_MEMORY_KEPT_BYTES (16 << 10)
/* Pools of closed connections that are kept for the next ones, which then need no system calls. */
#define CONNECTION_MEMORY_SPARE_MAX 64

struct MemoryPool;

/* The library calls it at its start. */
void MHD_init_mem_pools_(void);

/* At least so many bytes. NULL: no memory. */
struct MemoryPool *MHD_pool_create(size_t bytes);
/* NULL is allowed. */
void MHD_pool_destroy(struct MemoryPool *pool);

/* How many bytes the next block can have. */
size_t MHD_pool_get_free(struct MemoryPool *pool);

/* Blocks are aligned for any type. NULL: there are not so many left. What is from the end stays
 * where it is until the reset. */
void *MHD_pool_allocate(struct MemoryPool *pool, size_t bytes, bool from_end);
/* From the end. When there are too few left, NULL, and by how many the last other block would have
 * to shrink; SIZE_MAX: it will never fit. */
void *MHD_pool_try_alloc(struct MemoryPool *pool, size_t bytes, size_t *missing);

/* Gives a block that is not from the end another size. Shrinking keeps it in its place; so does
 * growing the last one; others move. NULL: there is no room, and the block is as it was. A NULL
 * block is a new one. */
void *MHD_pool_reallocate(struct MemoryPool *pool, void *block, size_t old_bytes, size_t bytes);

/* Frees all blocks; the one that it returns has so many bytes and begins with the first kept_bytes
 * of kept, which may be NULL when there are none to keep. */
void *MHD_pool_reset(struct MemoryPool *pool, void *kept, size_t kept_bytes, size_t bytes);
