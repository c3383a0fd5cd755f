/* Search, List and Put: what they ask the network, and how the outcome becomes replies. */
#include "peer/service/control_private.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/network/peer_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIST_PART_FILES 1000 /* of one reply: at most about 300 KiB */
#define PUT_PROGRESS_MS 100
#define ADDRESSES_SHOWN 64 /* of one source; a peer has one or two */

P2p__Control__Failure *control_failure(P2p__Control__Failure *failure, struct error *error)
{
    if (error->code == ERROR_NONE)
        return NULL;
    p2p__control__failure__init(failure);
    failure->code = error->code;
    failure->text = error->text;
    return failure;
}

/* ---- Search ---- */

struct search {
    struct operation operation;
    struct file_name name;
    struct directory_sources sources;
};

static enum error_code search_begin(struct operation *operation, const ProtobufCMessage *message,
                                    struct error *error)
{
    const P2p__Control__SearchRequest *request = (const P2p__Control__SearchRequest *)message;
    struct search *search = (struct search *)operation;

    return file_name_parse_path(request->name, strlen(request->name), &search->name, error);
}

static enum error_code search_run(struct operation *operation, struct error *error)
{
    struct search *search = (struct search *)operation;

    struct locator_search what = {.name = &search->name, .interrupt = operation->interrupt};

    return sources_find(operation->service->options.finder, &what, &search->sources, error);
}

char *control_content_text(bool has_content, const struct content_id *content)
{
    char text[CONTENT_ID_DIGITS + 1] = "";

    return memory_copy_string(has_content ? content_id_format(content, text) : text);
}

/* As text, owned by the caller; "" unless another peer says so. */
static char *via_text(const struct directory_source *source)
{
    char text[ADDRESS_TEXT_BYTES] = "";

    if (source->origin == SOURCE_LOCATED)
        address_format(&source->via, text);
    return memory_copy_string(text);
}

P2p__Control__Source *control_source_new(const struct directory_source *source)
{
    P2p__Control__Source *message = memory_new(1, sizeof *message);
    size_t count =
        source->address_count < ADDRESSES_SHOWN ? source->address_count : ADDRESSES_SHOWN;

    p2p__control__source__init(message);
    message->peer = source->peer;
    message->has_size = source->size_bytes >= 0;
    message->size_bytes = message->has_size ? source->size_bytes : 0;
    message->content = control_content_text(source->has_content, &source->content);
    message->not_told = source->origin != SOURCE_TOLD;
    message->age_ms = source->age_ms;
    message->via = via_text(source);
    message->addresses = memory_new(count + 1, sizeof *message->addresses);
    message->n_addresses = count;
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        message->addresses[i] = memory_copy_string(address_format(&source->addresses[i], text));
    }
    return message;
}

void control_source_free(P2p__Control__Source *message)
{
    for (size_t i = 0; i < message->n_addresses; i++)
        free(message->addresses[i]);
    free(message->addresses);
    free(message->content);
    free(message->via);
    free(message);
}

static enum error_code search_reply(struct operation *operation, struct rpc_reply *reply,
                                    bool *last, struct error *error)
{
    struct search *search = (struct search *)operation;
    P2p__Control__SearchReply message = P2P__CONTROL__SEARCH_REPLY__INIT;
    P2p__Control__Failure failure;
    char note[LOCATED_NOTE_BYTES];

    message.failure = control_failure(&failure, &operation->outcome);
    message.name = search->name.text;
    located_note(&search->sources, note);
    message.note = note;
    message.sources = memory_new(search->sources.count + 1, sizeof *message.sources);
    for (size_t i = 0; i < search->sources.count; i++)
        message.sources[message.n_sources++] = control_source_new(&search->sources.items[i]);
    enum error_code code = rpc_reply_pack(reply, &message.base, error);
    for (size_t i = 0; i < message.n_sources; i++)
        control_source_free(message.sources[i]);
    free(message.sources);
    *last = true;
    return code;
}

static void search_done(struct operation *operation)
{
    directory_sources_done(&((struct search *)operation)->sources);
}

void *control_search_open(void *service, struct rpc_call *call)
{
    static const struct operation_kind kind = {.size = sizeof(struct search),
                                               .begin = search_begin,
                                               .run = search_run,
                                               .reply = search_reply,
                                               .done = search_done};

    return operation_open(service, call, &kind);
}

/* The words of users: the parser's own are for operators. */
static enum error_code parse_address(const char *text, struct address *address, struct error *error)
{
    if (address_parse(text, false, address, NULL) != ERROR_NONE)
        return error_set(error, ERROR_INVALID, "'%.200s' no es una dirección ip:puerto", text);
    return ERROR_NONE;
}

/* ---- List ---- */

struct list {
    struct operation operation;
    bool remote;
    struct address address;
    struct peer_files files;
    size_t sent;
};

static enum error_code list_begin(struct operation *operation, const ProtobufCMessage *message,
                                  struct error *error)
{
    const P2p__Control__ListRequest *request = (const P2p__Control__ListRequest *)message;
    struct list *list = (struct list *)operation;

    list->remote = request->address[0] != '\0';
    if (!list->remote)
        return ERROR_NONE;
    return parse_address(request->address, &list->address, error);
}

static enum error_code list_own(const struct control_service_options *options,
                                struct peer_files *files, struct error *error)
{
    struct share_list list = {0};

    enum error_code code = share_list_files(options->share, &list, error);
    if (code != ERROR_NONE)
        return code;
    catalogue_fill_list(options->catalogue, &list);
    catalogue_leave_out_withdrawn(options->catalogue, &list);
    files->items = memory_new(list.count + 1, sizeof *files->items);
    files->count = list.count;
    for (size_t i = 0; i < list.count; i++) {
        files->items[i].name = memory_copy_string(list.files[i].name);
        files->items[i].size_bytes = list.files[i].size_bytes;
        files->items[i].has_content = list.files[i].has_content;
        files->items[i].content = list.files[i].content;
    }
    share_list_done(&list);
    return ERROR_NONE;
}

static enum error_code list_run(struct operation *operation, struct error *error)
{
    struct list *list = (struct list *)operation;

    if (list->remote)
        return peer_list_files(&list->address, operation->interrupt, &list->files, error);
    return list_own(&operation->service->options, &list->files, error);
}

static enum error_code list_reply(struct operation *operation, struct rpc_reply *reply, bool *last,
                                  struct error *error)
{
    struct list *list = (struct list *)operation;
    P2p__Control__ListReply message = P2P__CONTROL__LIST_REPLY__INIT;
    P2p__Control__Failure failure;
    size_t left = list->files.count - list->sent;
    size_t count = left < LIST_PART_FILES ? left : LIST_PART_FILES;
    auto_free P2p__Control__ListedFile *files = memory_new(count + 1, sizeof *files);
    auto_free P2p__Control__ListedFile **pointers = memory_new(count + 1, sizeof *pointers);

    for (size_t i = 0; i < count; i++) {
        const struct peer_file *file = &list->files.items[list->sent + i];
        p2p__control__listed_file__init(&files[i]);
        files[i].name = file->name;
        files[i].size_bytes = file->size_bytes;
        files[i].content = control_content_text(file->has_content, &file->content);
        pointers[i] = &files[i];
    }
    message.failure = control_failure(&failure, &operation->outcome);
    message.files = pointers;
    message.n_files = count;
    list->sent += count;
    *last = list->sent == list->files.count;
    enum error_code code = rpc_reply_pack(reply, &message.base, error);
    for (size_t i = 0; i < count; i++)
        free(files[i].content);
    return code;
}

static void list_done(struct operation *operation)
{
    peer_files_done(&((struct list *)operation)->files);
}

void *control_list_open(void *service, struct rpc_call *call)
{
    static const struct operation_kind kind = {.size = sizeof(struct list),
                                               .begin = list_begin,
                                               .run = list_run,
                                               .reply = list_reply,
                                               .done = list_done};

    return operation_open(service, call, &kind);
}

/* ---- Put ---- */

struct put {
    struct operation operation;
    struct address address;
    char *path;
    bool no_file;                     /* of the thread until finished */
    struct peer_upload_result result; /* likewise */
    _Atomic int64_t bytes;
    _Atomic int64_t total_bytes;
    int64_t told_ms; /* of the engine's call */
    int64_t told_bytes;
};

static enum error_code put_begin(struct operation *operation, const ProtobufCMessage *message,
                                 struct error *error)
{
    const P2p__Control__PutRequest *request = (const P2p__Control__PutRequest *)message;
    struct put *put = (struct put *)operation;

    if (request->path[0] == '/')
        put->path = memory_copy_string(request->path);
    else
        put->path =
            memory_format("%s/%s", share_path(operation->service->options.share), request->path);
    return parse_address(request->address, &put->address, error);
}

static void put_progress_note(void *context, int64_t bytes)
{
    struct put *put = context;

    atomic_store(&put->bytes, bytes);
    operation_wake(&put->operation);
}

/* Opens a regular file; what else is there, or is not, is answered like a file that is missing. */
static enum error_code open_file(struct put *put, int *descriptor, struct error *error)
{
    struct stat status;

    /* O_NONBLOCK: a FIFO must not hang us. */
    *descriptor = open(put->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*descriptor < 0 && errno != ENOENT && errno != ENOTDIR)
        return error_set_errno(error, errno, "No se puede leer %s", put->path);
    if (*descriptor < 0 || fstat(*descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        put->no_file = true;
        return error_set(error, ERROR_NOT_FOUND, "El archivo no existe: %s", put->path);
    }
    atomic_store(&put->total_bytes, status.st_size);
    return ERROR_NONE;
}

static enum error_code put_run(struct operation *operation, struct error *error)
{
    struct put *put = (struct put *)operation;
    const char *slash = strrchr(put->path, '/');
    const char *base = slash ? slash + 1 : put->path;
    struct file_name name;
    auto_close int descriptor = -1;

    enum error_code code = open_file(put, &descriptor, error);
    if (code == ERROR_NONE)
        code = file_name_parse(base, strlen(base), &name, error);
    if (code != ERROR_NONE)
        return code;
    struct peer_upload upload = {
        .address = &put->address,
        .name = &name,
        .descriptor = descriptor,
        .size_bytes = atomic_load(&put->total_bytes),
        .interrupt = operation->interrupt,
        .limits = operation->service->options.limits,
        .progress = put_progress_note,
        .context = put,
    };
    return peer_upload_file(&upload, &put->result, error);
}

static enum error_code put_progress(struct operation *operation, struct rpc_reply *reply, bool *due,
                                    struct error *error)
{
    struct put *put = (struct put *)operation;
    P2p__Control__PutReply message = P2P__CONTROL__PUT_REPLY__INIT;
    int64_t now_ms = clock_boot_ms();
    int64_t bytes = atomic_load(&put->bytes);

    if (bytes == put->told_bytes || now_ms - put->told_ms < PUT_PROGRESS_MS)
        return ERROR_NONE;
    put->told_ms = now_ms;
    put->told_bytes = bytes;
    message.bytes = bytes;
    message.total_bytes = atomic_load(&put->total_bytes);
    *due = true;
    return rpc_reply_pack(reply, &message.base, error);
}

static enum error_code put_reply(struct operation *operation, struct rpc_reply *reply, bool *last,
                                 struct error *error)
{
    struct put *put = (struct put *)operation;
    P2p__Control__PutReply message = P2P__CONTROL__PUT_REPLY__INIT;
    P2p__Control__Failure failure;

    message.bytes = atomic_load(&put->bytes);
    message.total_bytes = atomic_load(&put->total_bytes);
    message.done = true;
    message.ok = put->result.ok;
    message.message = put->result.message;
    message.failure = control_failure(&failure, &operation->outcome);
    message.no_file = put->no_file;
    message.path = put->path ? put->path : message.path;
    *last = true;
    return rpc_reply_pack(reply, &message.base, error);
}

static void put_done(struct operation *operation)
{
    free(((struct put *)operation)->path);
}

void *control_put_open(void *service, struct rpc_call *call)
{
    static const struct operation_kind kind = {.size = sizeof(struct put),
                                               .begin = put_begin,
                                               .run = put_run,
                                               .progress = put_progress,
                                               .reply = put_reply,
                                               .done = put_done};

    return operation_open(service, call, &kind);
}
