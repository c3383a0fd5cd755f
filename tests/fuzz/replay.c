/*
 * The main of a fuzz target outside the fuzz preset: gives it every file of the folders (and every
 * file) named on the command line. Options of libFuzzer (-runs=0) are passed over.
 */
#include "fuzz.h"

#include "common/file_io.h"
#include "common/memory.h"

#include <dirent.h>
#include <sys/stat.h>

#define INPUT_MAX_BYTES (64 << 20)

static void replay_file(const char *path)
{
    auto_free char *text = NULL;
    struct error error;
    size_t length;

    if (file_read(path, INPUT_MAX_BYTES, &text, &length, &error)) {
        fprintf(stderr, "%s\n", error.text);
        exit(EXIT_FAILURE);
    }
    fprintf(stderr, "%s (%zu bytes)\n", path, length);
    /* In memory of exactly its size, so that the sanitizers see a read past the end. */
    auto_free uint8_t *exact = malloc(length ? length : 1);
    if (exact) {
        memcpy(exact, text, length);
        LLVMFuzzerTestOneInput(exact, length);
    }
}

static size_t replay_folder(const char *path)
{
    struct dirent **names;
    size_t replayed = 0;
    int count = scandir(path, &names, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            auto_free char *file = memory_format("%s/%s", path, names[i]->d_name);
            replay_file(file);
            replayed++;
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return replayed;
}

int main(int argc, char **argv)
{
    size_t replayed = 0;

    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (argv[i][0] == '-')
            continue;
        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode)) {
            replayed += replay_folder(argv[i]);
        } else {
            replay_file(argv[i]);
            replayed++;
        }
    }
    if (replayed == 0) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER|FILE...\n", argv[0]);
        return 2;
    }
    return 0;
}
