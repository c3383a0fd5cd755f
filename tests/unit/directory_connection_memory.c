#include "unit.h"

#include "directory/connection_memory.h"

#include <pthread.h>

enum {
    POOL_BYTES = 68 << 10,
    LEFT_BYTES = POOL_BYTES / 2, /* of the reading, as the library takes it */
    ALIGNMENT = 16,
};

static void check_block(const void *block)
{
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % ALIGNMENT, 0);
}

/* Of the process, exactly; the page of zeros that stands for those that were only read is not in
 * it. */
static size_t resident_pages(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    size_t kib = 0;

    assert_non_null(file);
    while (kib == 0 && fgets(line, sizeof line, file))
        (void)sscanf(line, "Rss: %zu", &kib);
    fclose(file);
    assert_int_not_equal(kib, 0);
    return kib * 1024 / (size_t)sysconf(_SC_PAGESIZE);
}

static void has_what_it_was_asked_for(void **state)
{
    static const size_t sizes[] = {1, 15, 4096, 32768, POOL_BYTES - 1, POOL_BYTES, 1 << 20};

    (void)state;
    MHD_init_mem_pools_();
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct MemoryPool *pool = MHD_pool_create(sizes[i]);
        check_row(i, pool != NULL);
        check_row(i, MHD_pool_get_free(pool) >= sizes[i]);
        char *block = MHD_pool_allocate(pool, sizes[i], false);
        check_block(block);
        memset(block, 'x', sizes[i]);
        MHD_pool_destroy(pool);
    }
    assert_null(MHD_pool_create(SIZE_MAX));
    assert_null(MHD_pool_create(SIZE_MAX - 4096));
    MHD_pool_destroy(NULL);
}

static void blocks_meet_and_do_not_overlap(void **state)
{
    struct MemoryPool *pool = MHD_pool_create(POOL_BYTES);
    char *blocks[2000];
    size_t count = 0;

    (void)state;
    for (; count < ARRAY_LENGTH(blocks); count++) {
        size_t bytes = count % 97 + 1;
        blocks[count] = MHD_pool_allocate(pool, bytes, count % 3 > 0);
        if (!blocks[count])
            break;
        check_block(blocks[count]);
        memset(blocks[count], (int)(count % 251), bytes);
    }
    assert_in_range(count, 1000, ARRAY_LENGTH(blocks) - 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i % 97 + 1; k++)
            check_row(i, (unsigned char)blocks[i][k] == i % 251);
    /* What is left is said to the byte, and can be taken from either side. */
    size_t left = MHD_pool_get_free(pool);
    assert_null(MHD_pool_allocate(pool, left + 1, false));
    assert_null(MHD_pool_allocate(pool, SIZE_MAX, false));
    assert_null(MHD_pool_allocate(pool, SIZE_MAX - 7, true));
    if (left > 0)
        assert_non_null(MHD_pool_allocate(pool, left, false));
    assert_int_equal(MHD_pool_get_free(pool), 0);
    assert_null(MHD_pool_allocate(pool, 1, false));
    MHD_pool_destroy(pool);
}

/* A header's record while the buffer that is read into has all that there was. */
static void says_what_is_missing_at_the_end(void **state)
{
    struct MemoryPool *pool = MHD_pool_create(POOL_BYTES);
    size_t bytes = MHD_pool_get_free(pool);
    char *buffer = MHD_pool_allocate(pool, bytes - 5, false);
    size_t missing = 0;

    (void)state;
    check_block(buffer);
    while (MHD_pool_try_alloc(pool, 1, &missing))
        assert_int_equal(missing, 0);
    assert_int_equal(missing, ALIGNMENT);
    assert_null(MHD_pool_try_alloc(pool, 56, &missing));
    assert_int_equal(missing, 64);
    assert_ptr_equal(MHD_pool_reallocate(pool, buffer, bytes - 5, bytes - 5 - missing), buffer);
    check_block(MHD_pool_allocate(pool, 56, true));
    assert_null(MHD_pool_try_alloc(pool, 1, &missing));
    assert_int_equal(missing, ALIGNMENT);
    /* All that is left beside what is at the end already, and one byte more. */
    assert_null(MHD_pool_try_alloc(pool, bytes - 64, &missing));
    assert_int_equal(missing, bytes - 64);
    assert_null(MHD_pool_try_alloc(pool, bytes - 64 + 1, &missing));
    assert_int_equal(missing, SIZE_MAX);
    assert_null(MHD_pool_try_alloc(pool, SIZE_MAX, &missing));
    assert_int_equal(missing, SIZE_MAX);
    MHD_pool_destroy(pool);
}

static void the_last_block_grows_where_it_is(void **state)
{
    struct MemoryPool *pool = MHD_pool_create(POOL_BYTES);
    size_t all = MHD_pool_get_free(pool);
    char *block = MHD_pool_reallocate(pool, NULL, 0, 100);

    (void)state;
    check_block(block);
    memset(block, 'a', 100);
    assert_ptr_equal(MHD_pool_reallocate(pool, block, 100, LEFT_BYTES), block);
    assert_ptr_equal(MHD_pool_reallocate(pool, block, LEFT_BYTES, LEFT_BYTES), block);
    assert_ptr_equal(MHD_pool_reallocate(pool, block, LEFT_BYTES, all), block);
    assert_int_equal(MHD_pool_get_free(pool), 0);
    assert_null(MHD_pool_reallocate(pool, block, all, all + 1));
    assert_null(MHD_pool_reallocate(pool, block, all, SIZE_MAX));
    assert_null(MHD_pool_reallocate(pool, block, all, SIZE_MAX - (size_t)(uintptr_t)block));
    for (size_t i = 0; i < 100; i++)
        check_row(i, block[i] == 'a');
    /* The reading goes on behind the lines that were read: the block's address and size are then
     * of no alignment. */
    assert_ptr_equal(MHD_pool_reallocate(pool, block + 37, all - 37, 63), block + 37);
    assert_int_equal(MHD_pool_get_free(pool), all - 112);
    assert_ptr_equal(MHD_pool_reallocate(pool, block + 100, 0, 0), block + 100);
    char *reply = MHD_pool_reallocate(pool, NULL, 0, MHD_pool_get_free(pool));
    assert_ptr_equal(reply, block + 112);
    MHD_pool_destroy(pool);
}

static void other_blocks_move(void **state)
{
    struct MemoryPool *pool = MHD_pool_create(POOL_BYTES);
    char *first = MHD_pool_allocate(pool, 100, false);

    (void)state;
    memset(first, 'a', 100);
    char *second = MHD_pool_allocate(pool, 100, false);
    memset(second, 'b', 100);
    assert_ptr_equal(MHD_pool_reallocate(pool, first, 100, 50), first);
    assert_ptr_equal(MHD_pool_reallocate(pool, first, 50, 50), first);
    size_t left = MHD_pool_get_free(pool);
    assert_null(MHD_pool_reallocate(pool, first, 50, left + 1));
    char *moved = MHD_pool_reallocate(pool, first, 50, 200);
    check_block(moved);
    assert_int_equal(MHD_pool_get_free(pool), left - 208);
    memset(moved + 50, 'c', 150);
    for (size_t i = 0; i < 100; i++) {
        check_row(i, second[i] == 'b');
        check_row(i, moved[i] == (i < 50 ? 'a' : 'c'));
    }
    MHD_pool_destroy(pool);
}

/* What was read past a request's end is the next one's beginning. */
static void a_reset_keeps_what_it_is_told_to(void **state)
{
    static const struct {
        size_t from, kept, bytes;
    } rows[] = {
        {0, 0, LEFT_BYTES},
        {0, 10, LEFT_BYTES},
        {1, 1000, LEFT_BYTES},
        {100, 30000, LEFT_BYTES},
        {POOL_BYTES - 2000, 1999, LEFT_BYTES},
        {1, POOL_BYTES - 1, POOL_BYTES - 1},
        {0, POOL_BYTES, POOL_BYTES},
        {0, 0, 0},
    };
    struct MemoryPool *pool = MHD_pool_create(POOL_BYTES);
    size_t all = MHD_pool_get_free(pool);

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        unsigned char *block = MHD_pool_reset(pool, NULL, 0, POOL_BYTES);
        for (size_t k = 0; k < POOL_BYTES; k++)
            block[k] = (unsigned char)(k % 251 + 1);
        while (MHD_pool_allocate(pool, 64, true))
            ;
        unsigned char *kept =
            MHD_pool_reset(pool, block + rows[i].from, rows[i].kept, rows[i].bytes);
        check_block(kept);
        for (size_t k = 0; k < rows[i].kept; k++)
            check_row(i, kept[k] == (rows[i].from + k) % 251 + 1);
        size_t taken = (rows[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        check_row(i, MHD_pool_get_free(pool) == all - taken);
        if (rows[i].bytes > 0)
            memset(kept, 0, rows[i].bytes);
        check_row(i, MHD_pool_reallocate(pool, kept, rows[i].bytes, all) == kept);
    }
    MHD_pool_destroy(pool);
}

/* A connection that is there for one request and its reply, as the library goes about them. */
struct connection {
    struct MemoryPool *pool;
    char *buffer;
};

static void serve(struct connection *connection, size_t request, size_t reply)
{
    struct MemoryPool *pool = connection->pool;
    char *buffer = connection->buffer;
    size_t ignored;

    memset(buffer, 'q', request);
    for (int i = 0; i < 8; i++)
        memset(MHD_pool_try_alloc(pool, 56, &ignored), 0xff, 56);
    MHD_pool_reallocate(pool, buffer + request, LEFT_BYTES - request, 0);
    char *out = MHD_pool_reallocate(pool, NULL, 0, MHD_pool_get_free(pool));
    check_block(out);
    memset(out, 'r', reply);
    connection->buffer = MHD_pool_reset(pool, buffer + request, 0, LEFT_BYTES);
}

static void only_what_was_used_is_there(void **state)
{
    enum { COUNT = 400, OTHERS = 100 };
    static const struct {
        size_t request, reply, pages;
    } rows[] = {
        {500, 300, 1},
        {500, 300, 1},
        {500, 2000, 1},
        {LEFT_BYTES - 1, 300, POOL_BYTES / 2 / 4096 + 2},
        {500, 300, CONNECTION_MEMORY_KEPT_BYTES / 4096},
        {500, POOL_BYTES / 2, POOL_BYTES / 2 / 4096 + 2},
        {500, POOL_BYTES / 2, POOL_BYTES / 2 / 4096 + 2},
        {5000, 300, CONNECTION_MEMORY_KEPT_BYTES / 4096},
        {500, 300, CONNECTION_MEMORY_KEPT_BYTES / 4096},
    };
    static struct connection connections[COUNT];
    size_t before = resident_pages();

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its notes on what was touched are memory, too */
#endif
    for (size_t i = 0; i < COUNT; i++) {
        connections[i].pool = MHD_pool_create(POOL_BYTES);
        connections[i].buffer = MHD_pool_reallocate(connections[i].pool, NULL, 0, LEFT_BYTES);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (size_t k = 0; k < COUNT; k++)
            serve(&connections[k], rows[i].request, rows[i].reply);
        check_row(i, resident_pages() < before + COUNT * rows[i].pages + OTHERS);
    }
    /* A closed connection's pages are the next one's. */
    for (size_t i = 0; i < COUNT; i++) {
        memset(connections[i].buffer, 'q', LEFT_BYTES);
        MHD_pool_destroy(connections[i].pool);
    }
    assert_in_range(resident_pages(), 0,
                    before + CONNECTION_MEMORY_SPARE_MAX * CONNECTION_MEMORY_KEPT_BYTES / 4096 +
                        OTHERS);
    assert_ptr_equal(MHD_pool_create(POOL_BYTES),
                     connections[CONNECTION_MEMORY_SPARE_MAX - 1].pool);
    MHD_pool_destroy(connections[CONNECTION_MEMORY_SPARE_MAX - 1].pool);
}

static void closed_connections_leave_few(void **state)
{
    struct MemoryPool *pools[4 * CONNECTION_MEMORY_SPARE_MAX];
    unsigned long pool_pages = POOL_BYTES / (unsigned long)sysconf(_SC_PAGESIZE);
    unsigned long before = unit_mapped_pages();

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LENGTH(pools); i++)
            assert_non_null(pools[i] = MHD_pool_create(POOL_BYTES));
        for (size_t i = 0; i < ARRAY_LENGTH(pools); i++)
            MHD_pool_destroy(pools[i]);
        assert_in_range(unit_mapped_pages(), 0,
                        before + (CONNECTION_MEMORY_SPARE_MAX + 1) * (pool_pages + 2));
    }
    /* Others than those that are kept are of no use to who wants more, or less. */
    struct MemoryPool *large = MHD_pool_create(2 * POOL_BYTES);
    assert_in_range(MHD_pool_get_free(large), 2 * POOL_BYTES, SIZE_MAX);
    MHD_pool_destroy(large);
}

static void *open_and_close(void *context)
{
    struct MemoryPool *pools[CONNECTION_MEMORY_SPARE_MAX];

    (void)context;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < ARRAY_LENGTH(pools); i++) {
            pools[i] = MHD_pool_create(POOL_BYTES);
            memset(MHD_pool_allocate(pools[i], 2000, false), round, 2000);
        }
        for (size_t i = 0; i < ARRAY_LENGTH(pools); i++)
            MHD_pool_destroy(pools[i]);
    }
    return NULL;
}

static void threads_share_what_is_spare(void **state)
{
    pthread_t threads[3];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_what_it_was_asked_for),
        cmocka_unit_test(blocks_meet_and_do_not_overlap),
        cmocka_unit_test(says_what_is_missing_at_the_end),
        cmocka_unit_test(the_last_block_grows_where_it_is),
        cmocka_unit_test(other_blocks_move),
        cmocka_unit_test(a_reset_keeps_what_it_is_told_to),
        cmocka_unit_test(only_what_was_used_is_there),
        cmocka_unit_test(closed_connections_leave_few),
        cmocka_unit_test(threads_share_what_is_spare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
