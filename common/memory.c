#include "common/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LARGE_PAGE_BYTES = 2 << 20 }; /* where there are others, they are not aligned for them */

static void *checked(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *memory_new(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *memory_resize(void *array, size_t count, size_t size)
{
    if (count == 0) {
        free(array);
        return NULL;
    }
    return checked(reallocarray(array, count, size));
}

/* From begin to end, but for what lies between these. */
static void unmap_around(char *begin, char *end, char *kept, size_t bytes)
{
    if (kept > begin)
        munmap(begin, (size_t)(kept - begin));
    if (end > kept + bytes)
        munmap(kept + bytes, (size_t)(end - kept) - bytes);
}

void *memory_map(size_t bytes, bool large_pages)
{
    /* Large pages begin at multiples of their size. */
    size_t more = large_pages ? LARGE_PAGE_BYTES : 0;
    size_t unit = (size_t)sysconf(_SC_PAGESIZE);
    char *begin = NULL;

    bytes = (bytes + unit - 1) / unit * unit;
    if (bytes < SIZE_MAX / 2)
        begin =
            mmap(NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    checked(begin == MAP_FAILED ? NULL : begin);
    if (!large_pages)
        return begin;
    char *memory =
        begin + (LARGE_PAGE_BYTES - (uintptr_t)begin % LARGE_PAGE_BYTES) % LARGE_PAGE_BYTES;
    unmap_around(begin, begin + bytes + more, memory, bytes);
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

void memory_unmap(void *memory, size_t bytes)
{
    size_t unit = (size_t)sysconf(_SC_PAGESIZE);

    if (memory)
        munmap(memory, (bytes + unit - 1) / unit * unit);
}

char *memory_copy_string(const char *text)
{
    return checked(strdup(text));
}

char *memory_copy(const void *data, size_t length)
{
    char *copy = checked(malloc(length + 1));

    if (length > 0)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

char *memory_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length < 0 ? NULL : text);
}

void memory_cleanup_free(void *pointer_to_pointer)
{
    void *pointer;

    memcpy(&pointer, pointer_to_pointer, sizeof pointer);
    free(pointer);
}

void memory_cleanup_close(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

void memory_cleanup_fclose(FILE **stream)
{
    if (*stream)
        fclose(*stream);
}

int take_descriptor(int *owner)
{
    int descriptor = *owner;

    *owner = -1;
    return descriptor;
}
