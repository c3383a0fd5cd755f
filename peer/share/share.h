/*
 * The shared folder: what is in it, reading its files for others, taking in files from others.
 *
 * Everything is opened beneath the folder's own descriptor, by checked name only, following no
 * link: openat with O_NOFOLLOW, and O_NONBLOCK so that a FIFO hangs nobody. Each part of a checked
 * name is opened by itself, beneath the one before, so there is no path that could leave the folder
 * or pass through a link, and openat2 would refuse nothing more (what it refuses besides, a file or
 * a file system mounted into the folder, is wanted). Regular files that are not hidden and that we
 * may read are shared, in the folder and in the folders in it that are not hidden; nothing else is
 * there. What is mounted below is shared too, but nothing can be stored there: a file gets its name
 * with one rename, and that does not cross file systems.
 *
 * A file that a local program is still writing may be listed with the size of that moment; who
 * reads it is told ERROR_CHANGED, never given a part that looks whole.
 *
 * The folder may go and come back (a volume that is mounted late): until then calls fail with
 * ERROR_NOT_FOUND, and each looks again.
 *
 * Any thread may call; a reader or an incoming file belongs to one thread at a time. Texts of
 * errors that others may see are Spanish, as the contract has them.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct share;
struct share_reader;
struct share_incoming;

/* Makes the folder where missing and removes temporary files that nobody holds any more (nobody has
 * their flock, also no other peer on the same folder). *share is owned by the caller. */
MUST_CHECK enum error_code share_open(const char *folder, struct share **share,
                                      struct error *error);
/* ".p2p-part-" and six letters, and a NUL: hidden, so never listed nor sent, and told from what
 * users hide. */
#define SHARE_TEMPORARY_BYTES 17

struct share_kept {
    char (*names)[SHARE_TEMPORARY_BYTES];
    size_t count;
};

/* The same, but for temporary files of those names: somebody will go on with them
 * (share_incoming_reopen). The names are borrowed for the call. */
MUST_CHECK enum error_code share_open_keeping(const char *folder, const struct share_kept *kept,
                                              struct share **share, struct error *error);
void share_close(struct share *share); /* after all readers and incoming files */

/* The folder of that path is not shared, should it lie in the shared one: our own files are in it.
 * Before any other thread knows the share. */
void share_exclude(struct share *share, const char *path);

/* The folder's path as it was given; borrowed. */
const char *share_path(const struct share *share);

/* Which file, and which state of it: with any change of the content it is another one. */
struct share_identity {
    uint64_t device, inode;
    int64_t size_bytes;
    int64_t modified_ns, changed_ns; /* mtime and ctime, since 1970 */
};

/* A scan takes half a second of a core for the first, and the list of them 35 MB. */
#define SHARE_FILES_MAX   500000
#define SHARE_FOLDERS_MAX 50000

/* What is shared now (peer/share/list/listing.h). It is kept where the folder is watched
 * (peer/share/list/watch.h): then this costs a look at what has changed, and no memory. A file that
 * is in the making, or that is written without being opened and closed, has the size that it had
 * when it was looked at last. Owned by the caller (listing_release). ERROR_NOT_FOUND: the folder is
 * gone. */
struct listing;
MUST_CHECK enum error_code share_listing(struct share *share, struct listing **listing,
                                         struct error *error);

/* The file of that name is another one than in the list, though perhaps nothing has told: the next
 * list has it as it is then. Does not block. */
void share_look_again(struct share *share, const struct file_name *name);

/* One file for who tells others of it, or is told by others. Borrowed where it points to. */
struct share_file {
    const char *name;
    const struct share_identity *identity; /* NULL: of no file in the share */
    int64_t size_bytes;
    bool has_content; /* false as the share lists it: see peer/catalogue */
    bool partial;     /* it is still arriving (share/arrivals); false as the share lists it */
    struct content_id content;
};

struct share_list {
    struct share_file *files; /* sorted by the bytes of the name */
    size_t count;
    struct listing *listing; /* what the names and identities are borrowed from, */
    char **names;            /* and these */
    size_t name_count;
};

/* What is shared now, to be filled in. Errors as share_listing; *list is empty with any. */
MUST_CHECK enum error_code share_list_files(struct share *share, struct share_list *list,
                                            struct error *error);
void share_list_done(struct share_list *list);

/* Adds the file in its place, with a copy of its name. False: the list has one of that name. */
bool share_list_add(struct share_list *list, const struct share_file *file);

/* Drops the files that are in folders in the folder: for who does not know such names. */
void share_list_leave_out_folders(struct share_list *list);

/* The file of that name now. ERROR_NOT_FOUND as share_reader_open. */
MUST_CHECK enum error_code share_identify(struct share *share, const struct file_name *name,
                                          struct share_identity *identity, struct error *error);

/* Opens the file for reading apart from readers, and tells which it is; for hashing. *file is owned
 * by the caller (close). Errors as share_reader_open. */
MUST_CHECK enum error_code share_open_file(struct share *share, const struct file_name *name,
                                           int *file, struct share_identity *identity,
                                           struct error *error);

/* Opens it for reading and writing, to repair it where it is. ERROR_CHANGED: it is not the file
 * with that identity any more; ERROR_DENIED: it may not be written; else likewise. */
MUST_CHECK enum error_code share_open_repair(struct share *share, const struct file_name *name,
                                             const struct share_identity *identity, int *file,
                                             struct error *error);

/* Which file is behind the descriptor now. ERROR_NOT_FOUND: it has no name any more. */
MUST_CHECK enum error_code share_identify_open(int file, struct share_identity *identity,
                                               struct error *error);
bool share_identity_equal(const struct share_identity *left, const struct share_identity *right);

/* ERROR_NOT_FOUND ("Archivo no encontrado"): no regular, visible file of that name. */
MUST_CHECK enum error_code share_reader_open(struct share *share, const struct file_name *name,
                                             struct share_reader **reader, struct error *error);
int64_t share_reader_size(const struct share_reader *reader); /* as it was when opened */
void share_reader_identity(const struct share_reader *reader, struct share_identity *identity);

/* From now on only the bytes [offset, offset + length) are read. Before the first read; they must
 * lie within the size. */
void share_reader_limit(struct share_reader *reader, int64_t offset, int64_t length);

/* Reads the next bytes in order; *got is 0 only at the end, and only when the file is still the
 * one that was opened: size, modification time and link are compared, ERROR_CHANGED otherwise
 * (before the end too, as soon as it shows). Never more than share_reader_size in all. */
MUST_CHECK enum error_code share_reader_read(struct share_reader *reader, void *data,
                                             size_t capacity, size_t *got, struct error *error);
void share_reader_close(struct share_reader *reader);

/* Begins a file that arrives, under a temporary hidden name. ERROR_NO_SPACE, ERROR_IO. */
MUST_CHECK enum error_code
share_incoming_begin(struct share *share, struct share_incoming **incoming, struct error *error);

/* Appends. ERROR_NO_SPACE when the disk is full. */
MUST_CHECK enum error_code share_incoming_write(struct share_incoming *incoming,
                                                const struct iovec *spans, size_t span_count,
                                                struct error *error);

/* A fast sender is held back to the speed of the disk: writing waits until what was written lags
 * not too far behind. A thread that must not wait says so at the beginning, asks after each write
 * whether it lags, and has another thread wait (settle) before it writes more. */
void share_incoming_be_patient(struct share_incoming *incoming);
bool share_incoming_lags(const struct share_incoming *incoming);
void share_incoming_settle(struct share_incoming *incoming);

/* Files that arrive in pieces, in any order, instead of being appended to.
 *
 * The file will have exactly that size; room for it is taken from the disk, where the file system
 * can do that. Reading back and storing it go by this size from now on: who calls knows which bytes
 * are there. ERROR_NO_SPACE, and then ERROR_TOO_LARGE when the disk could never hold it. */
MUST_CHECK enum error_code share_incoming_reserve(struct share_incoming *incoming,
                                                  int64_t size_bytes, struct error *error);
/* Any thread, also several at once; within the size that was reserved. */
MUST_CHECK enum error_code share_incoming_write_at(struct share_incoming *incoming, int64_t offset,
                                                   const struct iovec *spans, size_t span_count,
                                                   struct error *error);
/* All that was written lasts. */
MUST_CHECK enum error_code share_incoming_sync(struct share_incoming *incoming,
                                               struct error *error);

/* The temporary name; borrowed. With it another process can go on, after share_incoming_keep, which
 * frees the incoming file (NULL is fine) and leaves the temporary one. */
const char *share_incoming_name(const struct share_incoming *incoming);
void share_incoming_keep(struct share_incoming *incoming);

/* Goes on with a temporary file of that size. ERROR_NOT_FOUND: it is not there any more, or not as
 * it was; ERROR_BUSY: another process is at it; ERROR_INVALID: no such name can be. */
MUST_CHECK enum error_code share_incoming_reopen(struct share *share, const char *name,
                                                 int64_t size_bytes,
                                                 struct share_incoming **incoming,
                                                 struct error *error);

/* Reads back what was written so far, from any other thread too; *got 0 past the end. */
MUST_CHECK enum error_code share_incoming_read(const struct share_incoming *incoming,
                                               int64_t offset, void *data, size_t capacity,
                                               size_t *got, struct error *error);

enum share_conflict {
    SHARE_REFUSE, /* a name that exists with other content: ERROR_EXISTS, "Ya existe NAME" */
    SHARE_NUMBER, /* take the first free of NAME, "NAME (1).ext", "NAME (2).ext", ... */
};

/* Whether a file of that name could be stored, as far as can be told before there is one:
 * ERROR_DENIED when something else is where a folder should be, or another file system. */
MUST_CHECK enum error_code share_check_place(struct share *share, const struct file_name *name,
                                             struct error *error);

/* Syncs, and renames to its visible name without ever overwriting. Folders that are missing are
 * made. A file of that name with equal
 * content is success: nothing is stored twice. *stored gets the name under which the content now
 * is. Of several that commit one name at once, one wins whole. A hidden name is ERROR_INVALID: it
 * would not be shared. With an error the incoming file is still there, to be aborted or tried
 * again. Frees the incoming file on success only. Everybody may read the file that is stored. */
MUST_CHECK enum error_code share_incoming_commit(struct share_incoming *incoming,
                                                 const struct file_name *name,
                                                 enum share_conflict conflict,
                                                 struct file_name *stored, struct error *error);

/* One of several that are stored together. */
struct share_commit {
    struct share_incoming *incoming; /* NULL when it was stored, as with share_incoming_commit */
    struct file_name name;
    enum share_conflict conflict;

    struct file_name stored;        /* results */
    struct share_identity identity; /* of the file that has that name now; zeroes: not known */
    struct error error;

    int place; /* of share_commit.c, as the next: the folder that the file is in */
    bool visible;
};

/* Each as share_incoming_commit would, but the disk is waited for twice in all, not for each. */
void share_commit_all(struct share_commit *const *commits, size_t count);

/* Removes and frees it. NULL is fine. */
void share_incoming_abort(struct share_incoming *incoming);
