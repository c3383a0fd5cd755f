/* directory/settings: flags over file over defaults. Either one line says what is wrong, or every
 * value is in its range. The input is the file, then the flags, apart by 0x1f. */
#include "fuzz.h"

#include "common/memory.h"
#include "directory/settings.h"

#include <sys/mman.h>
#include <unistd.h>

enum { FLAGS_MAX = 8 };

static void unknown_key(const char *source, const char *key)
{
    fuzz_check(source && key);
}

static void check_settings(const struct settings *settings)
{
    struct address address;
    enum log_level level;

    fuzz_check(address_parse(settings->listen, true, &address, NULL) == ERROR_NONE);
    fuzz_check(settings->database && settings->database[0] && settings->users[0]);
    fuzz_check(settings->expiry >= 1 && settings->expiry <= 86400);
    fuzz_check(log_level_parse(settings->log_level, &level));
}

static void check_error(const struct error *error, enum error_code code)
{
    fuzz_check(code == error->code && error->text[0] != '\0');
}

/* Takes the arguments; argv[0] is the program and argv[1] the file. */
static void read_settings(int count, char **argv)
{
    struct settings settings = {0};
    enum settings_action action;
    struct error error;
    enum error_code code = settings_read(count, argv, &settings, &action, unknown_key, &error);

    if (code)
        check_error(&error, code);
    else if (action == SETTINGS_RUN || action == SETTINGS_CHECK)
        check_settings(&settings);
    settings_done(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[FLAGS_MAX + 2] = {memory_copy_string("p2p-directory")};
    size_t length;
    const char *file = fuzz_part(&data, &size, &length);
    auto_close int descriptor = memfd_create("settings", MFD_CLOEXEC);
    int count = 2;

    fuzz_check(descriptor >= 0 && write(descriptor, file, length) == (ssize_t)length);
    argv[1] = memory_format("--config=/proc/self/fd/%d", descriptor);
    while (size > 0 && count < FLAGS_MAX + 2) {
        const char *flag = fuzz_part(&data, &size, &length);
        argv[count++] = memory_copy(flag, length);
    }
    read_settings(count, argv);
    for (int i = 0; i < count; i++)
        free(argv[i]);
    return 0;
}
