#include "peer/daemon_lock.h"

#include "common/file_io.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error_code take(const char *path, int *held, struct error *error)
{
    auto_close int file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (file < 0)
        return error_set_errno(error, errno, "%s", path);
    if (flock(file, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? error_set(error, ERROR_BUSY, "another p2p-peer is running (it holds %s)", path)
                   : error_set_errno(error, errno, "%s", path);
    *held = take_descriptor(&file);
    return ERROR_NONE;
}

/* Who owns the folder can put his own socket into it: in a folder such as /tmp somebody else may
 * have been there first. */
static enum error_code check_owner(const char *folder, struct error *error)
{
    struct stat status;

    if (stat(folder, &status) < 0)
        return error_set_errno(error, errno, "%s", folder);
    if (geteuid() != 0 && status.st_uid != geteuid() && status.st_uid != 0)
        return error_set(error, ERROR_DENIED, "%s: belongs to another user", folder);
    return ERROR_NONE;
}

static enum error_code take_in_folder(const char *folder, const char *path, int *held,
                                      struct error *error)
{
    enum error_code code = file_make_folder(folder, 0700, error);

    if (!code)
        code = check_owner(folder, error);
    return code ? code : take(path, held, error);
}

/* Nobody listens on it: who would holds the lock. */
static enum error_code remove_stale_socket(const char *path, struct error *error)
{
    struct stat status;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? ERROR_NONE : error_set_errno(error, errno, "%s", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, ERROR_EXISTS, "%s: exists and is no socket", path);
    return unlink(path) < 0 ? error_set_errno(error, errno, "%s", path) : ERROR_NONE;
}

static enum error_code take_socket(const char *path, struct daemon_lock *lock, struct error *error)
{
    auto_free char *copy = memory_copy_string(path);
    auto_free char *lock_path = memory_format("%s.lock", path);
    enum error_code code = take_in_folder(dirname(copy), lock_path, &lock->socket, error);

    return code ? code : remove_stale_socket(path, error);
}

enum error_code daemon_lock_take(const struct settings *settings, struct daemon_lock *lock,
                                 struct error *error)
{
    auto_free char *state_path = memory_format("%s/lock", settings->state_directory);

    *lock = DAEMON_LOCK_NONE;
    if (take_in_folder(settings->state_directory, state_path, &lock->state, error))
        return error_context(error, "%s: state_directory", settings->source);
    if (take_socket(settings->control_socket, lock, error)) {
        daemon_lock_release(lock);
        return error_context(error, "%s: control_socket", settings->source);
    }
    return ERROR_NONE;
}

void daemon_lock_release(struct daemon_lock *lock)
{
    if (lock->state >= 0)
        close(lock->state);
    if (lock->socket >= 0)
        close(lock->socket);
    *lock = DAEMON_LOCK_NONE;
}
