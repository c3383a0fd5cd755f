#include "peer/terminal/commands/output.h"

#include "common/file_name.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct output {
    int descriptor;
    bool standard;
    bool written;    /* standard output: bytes are out */
    char *path;      /* where it is to be */
    char *temporary; /* its name until then, NULL when it has none */
};

/* path, or path/name when path is a folder; of a name in a folder the last part. */
static enum error_code final_path(const char *path, const char *name, char **out,
                                  struct error *error)
{
    struct file_name checked;
    struct stat status;

    enum error_code code = file_name_parse_path(name, strlen(name), &checked, error);
    if (code != ERROR_NONE)
        return code;
    bool there = stat(path, &status) == 0;
    if (there && S_ISDIR(status.st_mode)) {
        const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
        *out = memory_format("%s%s%s", path, slash, file_name_base(&checked));
    } else {
        *out = memory_copy_string(path);
    }
    if (lstat(*out, &status) == 0)
        return error_set(error, ERROR_EXISTS, "Ya existe %s: no se sobrescribe", *out);
    return ERROR_NONE;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return memory_copy_string(".");
    return slash == path ? memory_copy_string("/") : memory_copy(path, (size_t)(slash - path));
}

static enum error_code open_temporary(struct output *output, struct error *error)
{
    auto_free char *folder = folder_of(output->path);

    output->descriptor = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (output->descriptor >= 0)
        return ERROR_NONE;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return error_set_errno(error, errno, "No se puede escribir en %s", folder);
    output->temporary = memory_format("%s/.p2p-part-XXXXXX", folder);
    output->descriptor = mkostemp(output->temporary, O_CLOEXEC);
    if (output->descriptor < 0) {
        free(take_pointer(&output->temporary));
        return error_set_errno(error, errno, "No se puede escribir en %s", folder);
    }
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(output->descriptor, 0666 & ~mask);
    return ERROR_NONE;
}

enum error_code output_open(const char *path, const char *name, struct output **out,
                            struct error *error)
{
    struct output *output = memory_new(1, sizeof *output);
    enum error_code code = ERROR_NONE;

    output->descriptor = -1;
    output->standard = strcmp(path, "-") == 0;
    if (output->standard) {
        output->path = memory_copy_string(path);
        output->descriptor = STDOUT_FILENO;
    } else {
        code = final_path(path, name, &output->path, error);
        if (code == ERROR_NONE)
            code = open_temporary(output, error);
    }
    if (code != ERROR_NONE) {
        output_close(output);
        return code;
    }
    *out = output;
    return ERROR_NONE;
}

enum error_code output_write(struct output *output, const void *data, size_t length,
                             struct error *error)
{
    const char *bytes = data;

    output->written |= length > 0;
    while (length > 0) {
        ssize_t count = write(output->descriptor, bytes, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, errno, "No se puede escribir en %s",
                                   output->standard ? "la salida" : output->path);
        bytes += count;
        length -= (size_t)count;
    }
    return ERROR_NONE;
}

enum error_code output_restart(struct output *output, struct error *error)
{
    if (!output->written)
        return ERROR_NONE;
    if (output->standard)
        return error_set(error, ERROR_CHANGED,
                         "la fuente se cortó cuando una parte ya estaba en la salida");
    if (ftruncate(output->descriptor, 0) != 0 || lseek(output->descriptor, 0, SEEK_SET) != 0)
        return error_set_errno(error, errno, "No se puede escribir en %s", output->path);
    output->written = false;
    return ERROR_NONE;
}

static int give_name(const struct output *output)
{
    char self[64];

    if (output->temporary)
        return renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, RENAME_NOREPLACE);
    snprintf(self, sizeof self, "/proc/self/fd/%d", output->descriptor);
    return linkat(AT_FDCWD, self, AT_FDCWD, output->path, AT_SYMLINK_FOLLOW);
}

enum error_code output_commit(struct output *output, struct error *error)
{
    if (output->standard)
        return ERROR_NONE;
    if (fsync(output->descriptor) != 0)
        return error_set_errno(error, errno, "No se puede escribir en %s", output->path);
    if (give_name(output) != 0)
        return error_set_errno(error, errno, "No se puede crear %s", output->path);
    free(take_pointer(&output->temporary));
    auto_free char *folder = folder_of(output->path);
    auto_close int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0)
        (void)fsync(descriptor); /* some file systems refuse; the name is there all the same */
    return ERROR_NONE;
}

const char *output_path(const struct output *output)
{
    return output->path;
}

void output_close(struct output *output)
{
    if (!output)
        return;
    if (output->temporary)
        (void)unlink(output->temporary);
    if (!output->standard && output->descriptor >= 0)
        (void)close(output->descriptor);
    free(output->temporary);
    free(output->path);
    free(output);
}
