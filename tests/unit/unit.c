#include "unit.h"

#include <ftw.h>

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

const char *unit_folder_make(char path[UNIT_PATH_BYTES])
{
    const char *base = getenv("TMPDIR");

    snprintf(path, UNIT_PATH_BYTES, "%s/p2p-unit-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

void unit_folder_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *unit_path(const char *folder, const char *name, char out[UNIT_PATH_BYTES])
{
    assert_true(snprintf(out, UNIT_PATH_BYTES, "%s/%s", folder, name) < UNIT_PATH_BYTES);
    return out;
}

void unit_file_write(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

unsigned long unit_mapped_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages;
}
