#include "common/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
