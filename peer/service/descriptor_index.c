#include "peer/service/descriptor_index.h"

#include "common/memory.h"
#include "proto/descriptor_index.pb-c.h"

#include <stdlib.h>
#include <string.h>

struct descriptor_index {
    P2p__Descriptor__FileSet *set;
    P2p__Descriptor__File **files; /* one for each of set->file */
};

enum error_code descriptor_index_new(const void *data, size_t length,
                                     struct descriptor_index **index_out, struct error *error)
{
    struct descriptor_index *index = memory_new(1, sizeof *index);

    index->set = p2p__descriptor__file_set__unpack(NULL, length, data);
    index->files = memory_new(index->set ? index->set->n_file : 0, sizeof(void *));
    for (size_t i = 0; index->set && i < index->set->n_file; i++) {
        index->files[i] =
            p2p__descriptor__file__unpack(NULL, index->set->file[i].len, index->set->file[i].data);
        if (!index->files[i])
            break;
    }
    if (!index->set || (index->set->n_file > 0 && !index->files[index->set->n_file - 1])) {
        descriptor_index_free(index);
        return error_set(error, ERROR_CORRUPT, "no descriptors");
    }
    *index_out = index;
    return ERROR_NONE;
}

void descriptor_index_free(struct descriptor_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; index->set && i < index->set->n_file; i++)
        p2p__descriptor__file__free_unpacked(index->files[i], NULL);
    if (index->set)
        p2p__descriptor__file_set__free_unpacked(index->set, NULL);
    free(index->files);
    free(index);
}

static bool give(const struct descriptor_index *index, size_t number, struct descriptor_file *file)
{
    file->data = index->set->file[number].data;
    file->bytes = index->set->file[number].len;
    return true;
}

bool descriptor_index_find_file(const struct descriptor_index *index, const char *name,
                                struct descriptor_file *file)
{
    for (size_t i = 0; i < index->set->n_file; i++)
        if (strcmp(index->files[i]->name, name) == 0)
            return give(index, i, file);
    return false;
}

/* What is left of the symbol behind "NAME." ("" when it is NAME itself), or NULL when it does not
 * begin so. */
static const char *behind(const char *symbol, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(symbol, name, length) != 0)
        return NULL;
    if (symbol[length] == '\0')
        return symbol + length;
    return symbol[length] == '.' && symbol[length + 1] ? symbol + length + 1 : NULL;
}

static bool enum_has(P2p__Descriptor__Enum *const *enums, size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(enums[i]->name, symbol) == 0)
            return true;
    return false;
}

/* Recursion is as deep as our own .proto files nest. */
static bool message_has(P2p__Descriptor__Message *const *messages, size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++) {
        const char *rest = behind(symbol, messages[i]->name);

        if (rest &&
            (*rest == '\0' || message_has(messages[i]->nested, messages[i]->n_nested, rest) ||
             enum_has(messages[i]->enum_, messages[i]->n_enum_, rest)))
            return true;
    }
    return false;
}

static bool service_has(P2p__Descriptor__Service *const *services, size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++) {
        const char *rest = behind(symbol, services[i]->name);

        if (rest && *rest == '\0')
            return true;
        for (size_t j = 0; rest && j < services[i]->n_method; j++)
            if (strcmp(services[i]->method[j]->name, rest) == 0)
                return true;
    }
    return false;
}

static bool file_has(const P2p__Descriptor__File *file, const char *symbol)
{
    const char *rest = *file->package ? behind(symbol, file->package) : symbol;

    return rest && *rest &&
           (message_has(file->message, file->n_message, rest) ||
            enum_has(file->enum_, file->n_enum_, rest) ||
            service_has(file->service, file->n_service, rest));
}

bool descriptor_index_find_symbol(const struct descriptor_index *index, const char *symbol,
                                  struct descriptor_file *file)
{
    for (size_t i = 0; i < index->set->n_file; i++)
        if (file_has(index->files[i], symbol))
            return give(index, i, file);
    return false;
}

void descriptor_index_each_service(const struct descriptor_index *index,
                                   void (*visit)(void *context, const char *name), void *context)
{
    for (size_t i = 0; i < index->set->n_file; i++)
        for (size_t j = 0; j < index->files[i]->n_service; j++) {
            auto_free char *name =
                memory_format("%s.%s", index->files[i]->package, index->files[i]->service[j]->name);

            visit(context, name);
        }
}
