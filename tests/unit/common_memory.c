#include "unit.h"

#include "common/memory.h"

enum { LARGE_PAGE = 2 << 20 };

static bool is_zero(const unsigned char *memory, size_t bytes)
{
    return memory[0] == 0 && memcmp(memory, memory + 1, bytes - 1) == 0;
}

static void maps_zeroed_memory_of_any_size(void **state)
{
    static const size_t sizes[] = {1, 4096, 4097, LARGE_PAGE - 1, LARGE_PAGE, 2 * LARGE_PAGE + 1};

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(sizes); i++) {
        size_t bytes = sizes[i / 2];
        bool large = i % 2;
        unsigned char *memory = memory_map(bytes, large);
        check_row(i, !large || (uintptr_t)memory % LARGE_PAGE == 0);
        check_row(i, bytes == 1 || is_zero(memory, bytes));
        memset(memory, 'x', bytes);
        memory_unmap(memory, bytes);
    }
    memory_unmap(NULL, 1);
}

/* Neither the memory, nor what was mapped around it to have it where large pages begin. */
static void leaves_nothing(void **state)
{
    enum { BYTES = 3 * LARGE_PAGE + 1, TIMES = 50 };

    (void)state;
    memory_unmap(memory_map(BYTES, true), BYTES);
    unsigned long before = unit_mapped_pages();
    for (int i = 0; i < TIMES; i++)
        memory_unmap(memory_map(BYTES, true), BYTES);
    assert_true(unit_mapped_pages() < before + (unsigned long)(LARGE_PAGE / sysconf(_SC_PAGESIZE)));
    void *memory = memory_map(BYTES, true);
    assert_true(unit_mapped_pages() <
                before + (unsigned long)(4 * LARGE_PAGE / sysconf(_SC_PAGESIZE)));
    memory_unmap(memory, BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_zeroed_memory_of_any_size),
        cmocka_unit_test(leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
