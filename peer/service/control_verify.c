/* Verify: shared files are read and compared now, at full speed. */
#include "peer/service/control_private.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/share/list/listing.h"

#include <stdlib.h>
#include <string.h>

#define PROGRESS_MS 100

/* So that other commands still find a thread. */
#define VERIFY_MAX 2

#define BAD_SHOWN 1000 /* pieces of one file */

struct verified {
    char *name;
    P2p__Control__VerifiedFile__State state;
    struct catalogue_entry entry;
    struct piece_list bad;
    enum error_code code;
    char *text; /* NULL for ERROR_NONE */
};

struct verify {
    struct operation operation;
    bool counted;            /* as one of VERIFY_MAX */
    struct file_name *names; /* none: all; of begin, then of run */
    size_t name_count;
    int64_t told_ms; /* of run: when progress was last due */
    size_t sent;     /* of the engine's call */

    pthread_mutex_t lock; /* guards what follows */
    struct verified *files;
    size_t count, capacity;
    struct file_name current;
    int64_t bytes, total_bytes;
    bool progress_due;
};

static enum error_code verify_begin(struct operation *operation, const ProtobufCMessage *message,
                                    struct error *error)
{
    const P2p__Control__VerifyRequest *request = (const P2p__Control__VerifyRequest *)message;
    struct verify *verify = (struct verify *)operation;
    enum error_code code = ERROR_NONE;

    pthread_mutex_init(&verify->lock, NULL);
    verify->counted = true;
    if (atomic_fetch_add(&operation->service->verifying, 1) >= VERIFY_MAX)
        return error_set(error, ERROR_BUSY, "Ya hay %d comprobaciones en curso", VERIFY_MAX);
    verify->names = memory_new(request->n_names + 1, sizeof *verify->names);
    for (; verify->name_count < request->n_names && !code; verify->name_count++) {
        const char *name = request->names[verify->name_count];
        code = file_name_parse_path(name, strlen(name), &verify->names[verify->name_count], error);
    }
    return code;
}

static bool note_progress(void *context, size_t bytes)
{
    struct verify *verify = context;
    int64_t now_ms = clock_boot_ms();
    bool due = now_ms - verify->told_ms >= PROGRESS_MS;

    pthread_mutex_lock(&verify->lock);
    verify->bytes += (int64_t)bytes;
    verify->progress_due |= due;
    pthread_mutex_unlock(&verify->lock);
    if (due) {
        verify->told_ms = now_ms;
        operation_wake(&verify->operation);
    }
    return !interrupt_raised(verify->operation.interrupt);
}

static P2p__Control__VerifiedFile__State state_of(enum error_code code,
                                                  const struct catalogue_verdict *verdict)
{
    switch (code) {
    case ERROR_NONE:
        return verdict->bad.count > 0 ? P2P__CONTROL__VERIFIED_FILE__STATE__DAMAGED
                                      : P2P__CONTROL__VERIFIED_FILE__STATE__GOOD;
    case ERROR_BUSY:
    case ERROR_TOO_LARGE:
    case ERROR_CHANGED:
        return P2P__CONTROL__VERIFIED_FILE__STATE__UNKNOWN;
    default:
        return P2P__CONTROL__VERIFIED_FILE__STATE__FAILED;
    }
}

/* The verdict is taken. */
static void add_file(struct verify *verify, const struct file_name *name,
                     const struct catalogue_verdict *verdict, const struct error *error)
{
    struct verified file = {.name = memory_copy_string(name->text),
                            .state = state_of(error->code, verdict),
                            .entry = verdict->entry,
                            .bad = verdict->bad,
                            .code = error->code,
                            .text = error->code ? memory_copy_string(error->text) : NULL};

    pthread_mutex_lock(&verify->lock);
    if (verify->count == verify->capacity) {
        verify->capacity = verify->capacity ? 2 * verify->capacity : 16;
        verify->files = memory_resize(verify->files, verify->capacity, sizeof *verify->files);
    }
    verify->files[verify->count++] = file;
    pthread_mutex_unlock(&verify->lock);
    operation_wake(&verify->operation);
}

static enum error_code verify_file(struct verify *verify, const struct file_name *name)
{
    struct catalogue *catalogue = verify->operation.service->options.catalogue;
    struct catalogue_check check = {.name = name, .step = note_progress, .context = verify};
    struct catalogue_verdict verdict;
    struct error error = {0};

    pthread_mutex_lock(&verify->lock);
    verify->current = *name;
    pthread_mutex_unlock(&verify->lock);
    enum error_code code = catalogue_check(catalogue, &check, &verdict, &error);
    if (code == ERROR_CANCELLED || interrupt_raised(verify->operation.interrupt)) {
        piece_list_done(&verdict.bad);
        return ERROR_CANCELLED;
    }
    /* Of all files, one that has gone meanwhile is none. */
    if (code != ERROR_NOT_FOUND || verify->name_count > 0)
        add_file(verify, name, &verdict, &error);
    return ERROR_NONE;
}

static void set_total(struct verify *verify, int64_t total_bytes)
{
    pthread_mutex_lock(&verify->lock);
    verify->total_bytes = total_bytes;
    pthread_mutex_unlock(&verify->lock);
}

static enum error_code verify_all(struct verify *verify, struct error *error)
{
    struct listing *listing = NULL;
    struct file_name name;
    struct listed file;
    enum error_code code = share_listing(verify->operation.service->options.share, &listing, error);

    if (code)
        return code;
    struct listing_cursor cursor = {.listing = listing};
    set_total(verify, listing_bytes(listing));
    while (!code && listing_next(&cursor, &file)) {
        listed_name(file.name, &name);
        code = verify_file(verify, &name);
    }
    listing_release(listing);
    return code;
}

static enum error_code verify_names(struct verify *verify)
{
    struct share *share = verify->operation.service->options.share;
    struct share_identity identity;
    enum error_code code = ERROR_NONE;
    int64_t total_bytes = 0;

    for (size_t i = 0; i < verify->name_count; i++)
        if (!share_identify(share, &verify->names[i], &identity, NULL))
            total_bytes += identity.size_bytes;
    set_total(verify, total_bytes);
    for (size_t i = 0; i < verify->name_count && !code; i++)
        code = verify_file(verify, &verify->names[i]);
    return code;
}

static enum error_code verify_run(struct operation *operation, struct error *error)
{
    struct verify *verify = (struct verify *)operation;
    enum error_code code =
        verify->name_count > 0 ? verify_names(verify) : verify_all(verify, error);

    return code == ERROR_CANCELLED ? error_set(error, code, "La comprobación se interrumpió")
                                   : code;
}

static enum error_code pack_file(const struct verified *file, struct rpc_reply *reply,
                                 struct error *error)
{
    P2p__Control__VerifyReply message = P2P__CONTROL__VERIFY_REPLY__INIT;
    P2p__Control__VerifiedFile told = P2P__CONTROL__VERIFIED_FILE__INIT;
    P2p__Control__Failure failure = P2P__CONTROL__FAILURE__INIT;
    char content[CONTENT_ID_DIGITS + 1] = "";

    told.name = file->name;
    told.state = file->state;
    if (file->entry.number != 0) {
        content_id_format(&file->entry.id, content);
        told.content = content;
        told.size_bytes = file->entry.size_bytes;
        told.pieces = (int64_t)content_piece_count(file->entry.size_bytes);
    }
    told.bad_count = (int64_t)file->bad.count;
    told.bad = file->bad.items;
    told.n_bad = file->bad.count < BAD_SHOWN ? file->bad.count : BAD_SHOWN;
    if (file->code) {
        failure.code = file->code;
        failure.text = file->text;
        told.failure = &failure;
    }
    message.file = &told;
    return rpc_reply_pack(reply, &message.base, error);
}

/* The next file that was done, if there is one: *packed. */
static enum error_code pack_next(struct verify *verify, struct rpc_reply *reply, bool *packed,
                                 struct error *error)
{
    struct verified file = {0};

    pthread_mutex_lock(&verify->lock);
    *packed = verify->sent < verify->count;
    if (*packed)
        file = verify->files[verify->sent++];
    pthread_mutex_unlock(&verify->lock);
    if (!*packed)
        return ERROR_NONE;
    enum error_code code = pack_file(&file, reply, error);
    free(file.name);
    free(file.text);
    piece_list_done(&file.bad);
    return code;
}

static enum error_code verify_progress(struct operation *operation, struct rpc_reply *reply,
                                       bool *due, struct error *error)
{
    struct verify *verify = (struct verify *)operation;
    P2p__Control__VerifyReply message = P2P__CONTROL__VERIFY_REPLY__INIT;
    enum error_code code = pack_next(verify, reply, due, error);

    if (code || *due)
        return code;
    pthread_mutex_lock(&verify->lock);
    struct file_name current = verify->current;
    message.bytes = verify->bytes;
    message.total_bytes = verify->total_bytes;
    *due = verify->progress_due;
    verify->progress_due = false;
    pthread_mutex_unlock(&verify->lock);
    message.name = current.text;
    return *due ? rpc_reply_pack(reply, &message.base, error) : ERROR_NONE;
}

static enum error_code verify_reply(struct operation *operation, struct rpc_reply *reply,
                                    bool *last, struct error *error)
{
    struct verify *verify = (struct verify *)operation;
    P2p__Control__VerifyReply message = P2P__CONTROL__VERIFY_REPLY__INIT;
    P2p__Control__Failure failure;
    bool packed;
    enum error_code code = pack_next(verify, reply, &packed, error);

    if (code || packed)
        return code;
    message.failure = control_failure(&failure, &operation->outcome);
    message.done = true;
    *last = true;
    return rpc_reply_pack(reply, &message.base, error);
}

static void verify_done(struct operation *operation)
{
    struct verify *verify = (struct verify *)operation;

    for (size_t i = verify->sent; i < verify->count; i++) {
        free(verify->files[i].name);
        free(verify->files[i].text);
        piece_list_done(&verify->files[i].bad);
    }
    free(verify->files);
    free(verify->names);
    if (verify->counted) { /* it has begun */
        atomic_fetch_sub(&operation->service->verifying, 1);
        pthread_mutex_destroy(&verify->lock);
    }
}

void *control_verify_open(void *service, struct rpc_call *call)
{
    static const struct operation_kind kind = {.size = sizeof(struct verify),
                                               .begin = verify_begin,
                                               .run = verify_run,
                                               .progress = verify_progress,
                                               .reply = verify_reply,
                                               .done = verify_done};

    return operation_open(service, call, &kind);
}
