/* The list as who tells others of it needs it: with room for contents. */
#include "common/memory.h"
#include "peer/share/list/listing.h"

#include <stdlib.h>
#include <string.h>

enum error_code share_list_files(struct share *share, struct share_list *list, struct error *error)
{
    struct listing_cursor cursor;
    struct listed file;

    *list = (struct share_list){0};
    enum error_code code = share_listing(share, &list->listing, error);
    if (code)
        return code;
    list->files = memory_new(listing_count(list->listing) + 1, sizeof *list->files);
    cursor = (struct listing_cursor){.listing = list->listing};
    while (listing_next(&cursor, &file))
        list->files[list->count++] = (struct share_file){
            .name = file.name, .identity = file.identity, .size_bytes = file.identity->size_bytes};
    return ERROR_NONE;
}

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, ((const struct share_file *)file)->name);
}

bool share_list_add(struct share_list *list, const struct share_file *file)
{
    size_t place = list->count;

    if (place > 0 &&
        bsearch(file->name, list->files, list->count, sizeof *list->files, compare_names))
        return false;
    list->files = memory_resize(list->files, list->count + 1, sizeof *list->files);
    list->names = memory_resize(list->names, list->name_count + 1, sizeof(char *));
    list->names[list->name_count] = memory_copy_string(file->name);
    while (place > 0 && strcmp(list->files[place - 1].name, file->name) > 0)
        place--;
    memmove(&list->files[place + 1], &list->files[place],
            (list->count - place) * sizeof *list->files);
    list->files[place] = *file;
    list->files[place].name = list->names[list->name_count++];
    list->count++;
    return true;
}

void share_list_leave_out_folders(struct share_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (!strchr(list->files[i].name, '/'))
            list->files[kept++] = list->files[i];
    list->count = kept;
}

void share_list_done(struct share_list *list)
{
    for (size_t i = 0; i < list->name_count; i++)
        free(list->names[i]);
    free(list->names);
    free(list->files);
    listing_release(list->listing);
    *list = (struct share_list){0};
}
