/* DownloadFiles: our client against our service, askers that are not ours, and senders that lie. */
#include "manifest_of.h"
#include "peer/network/files_client.h"
#include "peer/network/files_part.h"
#include "peer/rpc/server.h"
#include "proto/peer.pb-c.h"
#include "service_world.h"

#include <stdatomic.h>
#include <sys/stat.h>

#define STEP_MS 20000
#define METHOD  "/peer.PeerService/DownloadFiles"

/* ---- what is fetched ---- */

#define FILES_MAX 700

struct file {
    struct file_name name;
    struct content_id content;
    uint8_t *bytes;
    size_t length;
};

struct outcome {
    const struct file *files;
    size_t told, arrived; /* in order; arrived of those told */
    enum error_code codes[FILES_MAX];
    struct error last;
    size_t enough; /* go_on says no when so many have arrived */
};

static void note_arrived(void *context, size_t index, const void *data, size_t bytes)
{
    struct outcome *outcome = context;
    const struct file *file = &outcome->files[index];

    assert_int_equal(index, outcome->told);
    assert_int_equal(bytes, file->length);
    if (file->bytes)
        assert_memory_equal(data, file->bytes, bytes);
    outcome->codes[outcome->told++] = ERROR_NONE;
    outcome->arrived++;
}

static void note_refused(void *context, size_t index, const struct error *error)
{
    struct outcome *outcome = context;

    assert_int_equal(index, outcome->told);
    outcome->codes[outcome->told++] = error->code;
    outcome->last = *error;
}

static bool go_on(void *context)
{
    struct outcome *outcome = context;

    return outcome->arrived < outcome->enough;
}

static enum error_code fetch_with(const struct files_client_options *given,
                                  const struct file *files, size_t count, struct outcome *outcome,
                                  struct error *error)
{
    struct files_client_file *wanted = calloc(count + 1, sizeof *wanted);
    struct interrupt *interrupt = interrupt_new();
    struct files_client_options options = *given;
    struct files_client_taker taker = {.arrived = note_arrived,
                                       .refused = note_refused,
                                       .go_on = outcome->enough > 0 ? go_on : NULL,
                                       .context = outcome};

    options.interrupt = options.interrupt ? options.interrupt : interrupt;
    outcome->files = files;
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct files_client_file){.name = &files[i].name,
                                               .content = &files[i].content,
                                               .size_bytes = (int64_t)files[i].length};
    enum error_code code = files_client_fetch(&options, wanted, count, &taker, error);
    interrupt_free(interrupt);
    free(wanted);
    return code;
}

static enum error_code fetch(const struct service_world *world, const struct file *files,
                             size_t count, struct outcome *outcome, struct error *error)
{
    return fetch_with(&(struct files_client_options){.address = &world->address}, files, count,
                      outcome, error);
}

/* ---- against our service ---- */

static int start(void **state)
{
    return service_world_start(state, calloc(1, sizeof(struct service_world)), true);
}

static struct file make_file(const char *name, size_t length)
{
    struct file file = {.bytes = malloc(length + 1), .length = length};

    assert_int_equal(file_name_parse_path(name, strlen(name), &file.name, NULL), ERROR_NONE);
    for (size_t i = 0; i < length; i++)
        file.bytes[i] = (uint8_t)(i * 31 + i / 251 + length + (size_t)name[strlen(name) - 1]);
    struct manifest manifest = manifest_of(file.bytes, length);
    file.content = manifest.id;
    manifest_done(&manifest);
    return file;
}

/* In the folder, and in the catalogue: nobody waits for the hashing. */
static void share(const struct service_world *world, const struct file *file)
{
    struct manifest manifest = manifest_of(file->bytes, file->length);
    enum error_code code;

    service_world_put(world, file->name.text, file->bytes, file->length);
    while ((code = catalogue_learn(world->catalogue, &file->name, &manifest, NULL)) == ERROR_BUSY)
        usleep(1000);
    assert_int_equal(code, ERROR_NONE);
    manifest_done(&manifest);
}

static void free_files(struct file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(files[i].bytes);
}

static void files_of_every_size(void **state)
{
    static const size_t sizes[] = {0,           1, 4096,   16384, 16385,  100000, PIECE_BYTES - 1,
                                   PIECE_BYTES, 0, 300000, 5,     262144, 1,      262143};
    struct file files[ARRAY_LENGTH(sizes)];
    struct outcome outcome = {.told = 0};

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        char name[32];
        snprintf(name, sizeof name, "f%zu", i);
        files[i] = make_file(name, sizes[i]);
        share(*state, &files[i]);
    }
    assert_int_equal(fetch(*state, files, ARRAY_LENGTH(sizes), &outcome, NULL), ERROR_NONE);
    assert_int_equal(outcome.arrived, ARRAY_LENGTH(sizes));
    outcome = (struct outcome){.told = 0};
    assert_int_equal(fetch(*state, files, 1, &outcome, NULL), ERROR_NONE);
    assert_int_equal(outcome.arrived, 1);
    outcome = (struct outcome){.told = 0};
    assert_int_equal(fetch(*state, files, 0, &outcome, NULL), ERROR_NONE);
    free_files(files, ARRAY_LENGTH(sizes));
}

/* More than one call may ask for, over a pool and without. */
static void very_many(void **state)
{
    const struct service_world *world = *state;
    struct channel_pool *pool = channel_pool_new();
    struct file files[FILES_MAX];
    char name[32];

    for (size_t i = 0; i < FILES_MAX; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        files[i] = make_file(name, i % 100);
        share(world, &files[i]);
    }
    for (int round = 0; round < 3; round++) {
        struct outcome outcome = {.told = 0};
        struct files_client_options options = {.address = &world->address,
                                               .channels = round < 2 ? pool : NULL};
        assert_int_equal(fetch_with(&options, files, FILES_MAX, &outcome, NULL), ERROR_NONE);
        assert_int_equal(outcome.arrived, FILES_MAX);
    }
    channel_pool_free(pool);
    free_files(files, FILES_MAX);
}

/* What is wrong with one is said, and the others come. */
static void each_by_itself(void **state)
{
    static const enum error_code codes[] = {ERROR_NONE,    ERROR_NOT_FOUND, ERROR_CHANGED,
                                            ERROR_CHANGED, ERROR_NONE,      ERROR_NOT_FOUND,
                                            ERROR_BUSY,    ERROR_NONE};
    struct service_world *world = *state;
    struct file files[ARRAY_LENGTH(codes)];
    struct outcome outcome = {.told = 0};
    char path[UNIT_PATH_BYTES];
    char name[32];

    assert_int_equal(mkdir(unit_path(world->folder, "sub", path), 0700), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++) {
        snprintf(name, sizeof name, "%sf%zu", i == 7 ? "sub/" : "", i);
        files[i] = make_file(name, 5000 + i);
        if (i != 1 && i != 6)
            share(world, &files[i]);
    }
    files[2].content.bytes[0] ^= 1;
    files[3].length--; /* that content has another size */
    assert_int_equal(unlink(unit_path(world->folder, "f5", path)), 0);
    catalogue_stop(world->catalogue); /* f6 is never hashed */
    service_world_put(world, "f6", "x", 1);
    assert_int_equal(fetch(world, files, ARRAY_LENGTH(codes), &outcome, NULL), ERROR_NONE);
    assert_int_equal(outcome.told, ARRAY_LENGTH(codes));
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
        check_row(i, outcome.codes[i] == codes[i]);
    assert_string_equal(outcome.last.text, "El contenido del archivo todavía se está calculando");
    free_files(files, ARRAY_LENGTH(codes));
}

/* Grants are smaller than files then. */
static void at_a_low_rate(void **state)
{
    struct service_world *world = *state;
    struct file files[] = {make_file("a", 40000), make_file("b", 100), make_file("c", 0),
                           make_file("d", 30000)};
    struct outcome outcome = {.told = 0};

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        share(world, &files[i]);
    limits_set_rates(world->limits, &(struct limits_rates){.total = {[LIMITS_UPLOAD] = 65536}});
    assert_int_equal(fetch(world, files, ARRAY_LENGTH(files), &outcome, NULL), ERROR_NONE);
    assert_int_equal(outcome.arrived, ARRAY_LENGTH(files));
    free_files(files, ARRAY_LENGTH(files));
}

static void when_it_is_enough(void **state)
{
    struct service_world *world = *state;
    struct file files[40];
    struct outcome outcome = {.enough = 3};
    char name[32];

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        snprintf(name, sizeof name, "f%zu", i);
        files[i] = make_file(name, 200000);
        share(world, &files[i]);
    }
    assert_int_equal(fetch(world, files, ARRAY_LENGTH(files), &outcome, NULL), ERROR_CANCELLED);
    assert_in_range(outcome.arrived, 3, 5);
    struct interrupt *interrupt = interrupt_new();
    struct files_client_options options = {.address = &world->address, .interrupt = interrupt};
    interrupt_raise(interrupt);
    outcome = (struct outcome){.told = 0};
    assert_int_equal(fetch_with(&options, files, ARRAY_LENGTH(files), &outcome, NULL),
                     ERROR_CANCELLED);
    interrupt_free(interrupt);
    free_files(files, ARRAY_LENGTH(files));
}

/* ---- other askers ---- */

struct asked {
    const char *name;
    size_t name_length, id_length;
    int64_t size_bytes;
    const struct content_id *content;
};

/* Starts a call that asks for it so many times. */
static struct rpc_client_call *ask(const struct service_world *world, const struct asked *asked,
                                   size_t times)
{
    Peer__WantedFile file = PEER__WANTED_FILE__INIT;
    Peer__FilesRequest request = PEER__FILES_REQUEST__INIT;
    Peer__WantedFile **files = calloc(times + 1, sizeof *files);
    struct rpc_client_call *call;

    file.filename.data = (uint8_t *)(uintptr_t)asked->name;
    file.filename.len = asked->name_length;
    file.content_id.data = (uint8_t *)(uintptr_t)asked->content->bytes;
    file.content_id.len = asked->id_length;
    file.size_bytes = asked->size_bytes;
    for (size_t i = 0; i < times; i++)
        files[i] = &file;
    request.files = files;
    request.n_files = times;
    assert_int_equal(rpc_client_start(world->channel, METHOD, STEP_MS, &call, NULL), ERROR_NONE);
    assert_int_equal(rpc_client_send_only(call, &request.base, NULL), ERROR_NONE);
    free(files);
    return call;
}

struct answer {
    size_t files, messages, bytes;
    uint64_t code; /* of the last file */
};

static enum error_code read_answer(struct rpc_client_call *call, struct answer *answer,
                                   struct error *error)
{
    struct files_part *part = malloc(sizeof *part);
    struct rpc_response response;
    bool end = false;
    enum error_code code;

    *answer = (struct answer){.files = 0};
    while (!(code = rpc_client_receive(call, &response, &end, error)) && !end) {
        assert_int_equal(files_part_parse(response.spans, response.span_count, part, NULL),
                         ERROR_NONE);
        assert_true(response.bytes <= RPC_MAX_MESSAGE_BYTES);
        answer->messages++;
        answer->files += part->count;
        for (size_t i = 0; i < part->count; i++) {
            answer->bytes += part->files[i].data.bytes;
            answer->code = part->files[i].code;
        }
    }
    free(part);
    return code;
}

static void hostile_requests(void **state)
{
    static char long_name[100000];
    static const struct {
        const char *name;
        size_t name_length, id_length, times;
        int64_t size_bytes;
        enum error_code code; /* of the call, */
        unsigned file_code;   /* and of each file: of gRPC */
    } rows[] = {
        {"f", 1, 32, 0, 300, ERROR_INVALID, 0},
        {"f", 1, 32, 257, 300, ERROR_INVALID, 0},
        {"f", 1, 32, 10000, 300, ERROR_INVALID, 0},
        {"", 0, 0, 10000, 0, ERROR_INVALID, 0},
        {"f", 1, 32, 256, 300, ERROR_NONE, 0},
        {"f", 1, 0, 256, 300, ERROR_NONE, 3},
        {"f", 1, 31, 2, 300, ERROR_NONE, 3},
        {"f", 1, 32, 2, -1, ERROR_NONE, 10},
        {"f", 1, 32, 2, INT64_MIN, ERROR_NONE, 10},
        {"f", 1, 32, 2, INT64_MAX, ERROR_NONE, 8},
        {"f", 1, 32, 2, PIECE_BYTES + 1, ERROR_NONE, 8},
        {"f", 1, 32, 2, PIECE_BYTES, ERROR_NONE, 10},
        {"f", 1, 32, 2, 0, ERROR_NONE, 10},
        {"", 0, 32, 256, 300, ERROR_NONE, 3},
        {"../f", 4, 32, 1, 300, ERROR_NONE, 3},
        {"/etc/passwd", 11, 32, 1, 300, ERROR_NONE, 3},
        {"a\0b", 3, 32, 1, 300, ERROR_NONE, 3},
        {"\xff\xfe", 2, 32, 1, 300, ERROR_NONE, 3},
        {".catalogue.db", 13, 32, 1, 300, ERROR_NONE, 5},
        {long_name, 512, 32, 256, 300, ERROR_NONE, 3},
        {long_name, sizeof long_name, 32, 2, 300, ERROR_NONE, 3},
    };
    struct file file = make_file("f", 300);

    memset(long_name, 'n', sizeof long_name);
    share(*state, &file);
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        struct asked asked = {.name = rows[row].name,
                              .name_length = rows[row].name_length,
                              .id_length = rows[row].id_length,
                              .size_bytes = rows[row].size_bytes,
                              .content = &file.content};
        struct rpc_client_call *call = ask(*state, &asked, rows[row].times);
        struct answer answer;
        struct error error = {.text = ""};
        bool sent = !rows[row].code && rows[row].file_code == 0;
        check_row(row, read_answer(call, &answer, &error) == rows[row].code);
        check_row(row, rows[row].code == ERROR_NONE || error.text[0] != '\0');
        check_row(row, answer.files == (rows[row].code ? 0 : rows[row].times));
        check_row(row, answer.code == rows[row].file_code);
        check_row(row, answer.bytes == (sent ? rows[row].times * file.length : 0));
        rpc_client_free(call);
    }
    free(file.bytes);
}

/* Calls that are one too many of a host are refused; those that end make room. */
static void too_many_calls(void **state)
{
    struct service_world *world = *state;
    struct file file = make_file("f", PIECE_BYTES);
    struct asked asked = {.name = "f",
                          .name_length = 1,
                          .id_length = 32,
                          .size_bytes = PIECE_BYTES,
                          .content = &file.content};
    struct rpc_client_call *calls[PEER_MAX_HOST_FILES_CALLS + 1];
    struct rpc_response response;
    struct answer answer;
    struct error error;
    bool end;

    share(world, &file);
    for (size_t i = 0; i < PEER_MAX_HOST_FILES_CALLS; i++) {
        calls[i] = ask(world, &asked, 256);
        assert_int_equal(rpc_client_receive(calls[i], &response, &end, NULL), ERROR_NONE);
    }
    calls[PEER_MAX_HOST_FILES_CALLS] = ask(world, &asked, 1);
    assert_int_equal(read_answer(calls[PEER_MAX_HOST_FILES_CALLS], &answer, &error), ERROR_BUSY);
    assert_non_null(strstr(error.text, "Demasiadas peticiones"));
    for (size_t i = 0; i <= PEER_MAX_HOST_FILES_CALLS; i++)
        rpc_client_free(calls[i]);
    for (int i = 0; peer_service_streams(world->service) > 0 && i < 1000; i++)
        usleep(10000);
    calls[0] = ask(world, &asked, 2);
    assert_int_equal(read_answer(calls[0], &answer, NULL), ERROR_NONE);
    assert_int_equal(answer.bytes, 2 * PIECE_BYTES);
    rpc_client_free(calls[0]);
    free(file.bytes);
}

static int start_impatient(void **state)
{
    static const struct rpc_times times = {
        .request_ms = 60000, .read_ms = 60000, .write_ms = 700, .write_bytes_s = INT64_MAX / 1000};
    struct service_world *world = calloc(1, sizeof *world);

    world->times = &times;
    return service_world_start(state, world, true);
}

static void a_receiver_that_does_not_read(void **state)
{
    struct service_world *world = *state;
    struct file file = make_file("f", PIECE_BYTES);
    struct asked asked = {.name = "f",
                          .name_length = 1,
                          .id_length = 32,
                          .size_bytes = PIECE_BYTES,
                          .content = &file.content};
    struct rpc_response response;
    struct answer answer;
    bool end;

    share(world, &file);
    struct rpc_client_call *call = ask(world, &asked, 256);
    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    for (int i = 0; peer_service_streams(world->service) > 0 && i < 1000; i++)
        usleep(20000);
    assert_int_equal(peer_service_streams(world->service), 0);
    assert_int_equal(read_answer(call, &answer, NULL), ERROR_TIMEOUT);
    assert_true(answer.bytes < 64 * PIECE_BYTES);
    rpc_client_free(call);
    free(file.bytes);
}

static int start_without_catalogue(void **state)
{
    return service_world_start(state, calloc(1, sizeof(struct service_world)), false);
}

static void without_a_catalogue(void **state)
{
    struct file file = make_file("f", 10);
    struct outcome outcome = {.told = 0};

    service_world_put(*state, "f", file.bytes, file.length);
    assert_int_equal(fetch(*state, &file, 1, &outcome, NULL), ERROR_UNSUPPORTED);
    assert_int_equal(outcome.told, 0);
    free(file.bytes);
}

/* ---- senders that lie ---- */

#define SAYS_MAX 8

/* One entry of a message. */
struct said {
    uint32_t index;
    size_t bytes;
    uint32_t code;
    bool more; /* the next one is in the same message */
};

struct script {
    struct said says[SAYS_MAX];
    size_t count;
    int64_t queue_position; /* of a message at the end */
    bool empty;             /* a message with nothing in it at the end */
    bool repeat;            /* the last message comes again and again, */
    unsigned pause_ms;      /* with so much time between */
    bool silent;            /* nothing more comes, nor the end */
};

struct liar {
    _Atomic(const struct script *) script;
    struct rpc_server *server;
    struct address address;
    atomic_int open;
};

struct lie {
    struct liar *liar;
    size_t at;
};

static void *lie_open(void *service, struct rpc_call *call)
{
    struct lie *lie = calloc(1, sizeof *lie);

    (void)call;
    lie->liar = service;
    atomic_fetch_add(&lie->liar->open, 1);
    return lie;
}

static enum error_code lie_message(void *state, const struct rpc_request *request,
                                   struct error *error)
{
    (void)state;
    (void)request;
    (void)error;
    return ERROR_NONE;
}

/* One message of the script; how many of its entries are in it. */
static size_t say(const struct script *script, size_t at, struct rpc_reply *reply)
{
    static uint8_t data[2 * PIECE_BYTES];
    Peer__FilesPart part = PEER__FILES_PART__INIT;
    Peer__ArrivedFile files[SAYS_MAX];
    Peer__ArrivedFile *pointers[SAYS_MAX];
    char reason[] = "no \x1b[31m";

    for (bool more = true; more; part.n_files++) {
        const struct said *said = &script->says[at + part.n_files];
        Peer__ArrivedFile *file = &files[part.n_files];
        peer__arrived_file__init(file);
        file->index = said->index;
        file->data = (ProtobufCBinaryData){.data = data, .len = said->bytes};
        file->code = said->code;
        if (said->code)
            file->reason = reason;
        pointers[part.n_files] = file;
        more = said->more;
    }
    part.files = pointers;
    assert_int_equal(rpc_reply_pack(reply, &part.base, NULL), ERROR_NONE);
    return part.n_files;
}

static enum rpc_step lie_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct lie *lie = state;
    const struct script *script = atomic_load(&lie->liar->script);
    Peer__FilesPart part = PEER__FILES_PART__INIT;

    (void)error;
    if (lie->at < script->count) {
        size_t said = say(script, lie->at, reply);
        if (script->repeat && lie->at + said == script->count)
            usleep(script->pause_ms * 1000);
        else
            lie->at += said;
        return RPC_SEND;
    }
    if (script->silent)
        return RPC_WAIT;
    part.queue_position = script->queue_position;
    if (lie->at > script->count || (part.queue_position == 0 && !script->empty))
        return RPC_END;
    lie->at++;
    assert_int_equal(rpc_reply_pack(reply, &part.base, NULL), ERROR_NONE);
    return RPC_SEND;
}

static void lie_close(void *state)
{
    struct lie *lie = state;

    atomic_fetch_sub(&lie->liar->open, 1);
    free(lie);
}

static const struct rpc_method lies[] = {
    {.path = METHOD,
     .request = &peer__files_request__descriptor,
     .max_reply_bytes = 3 * PIECE_BYTES,
     .open = lie_open,
     .message = lie_message,
     .next = lie_next,
     .close = lie_close},
};

static void liar_start(struct liar *liar, const char *method)
{
    static struct rpc_method row; /* the server keeps it */
    static struct rpc_service service;
    const struct rpc_server_options options = {
        .address = "127.0.0.1:0", .services = &service, .service_count = 1};
    char target[64];

    row = lies[0];
    row.path = method;
    service = (struct rpc_service){.methods = &row, .method_count = 1, .service = liar};
    assert_int_equal(rpc_server_start(&options, &liar->server, NULL), ERROR_NONE);
    snprintf(target, sizeof target, "127.0.0.1:%u", rpc_server_port(liar->server));
    assert_int_equal(address_parse(target, false, &liar->address, NULL), ERROR_NONE);
}

/* Three files of 1000 bytes are asked for. */
static enum error_code fetch_from(struct liar *liar, const struct script *script, int64_t stall_ms,
                                  struct outcome *outcome, struct error *error)
{
    struct file files[3];

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        files[i] = make_file((char[]){(char)('a' + i), '\0'}, 1000);
        free(files[i].bytes);
        files[i].bytes = NULL; /* whatever they say counts here */
    }
    atomic_store(&liar->script, script);
    *outcome = (struct outcome){.told = 0};
    *error = (struct error){.text = ""};
    const struct files_client_options options = {.address = &liar->address, .stall_ms = stall_ms};
    return fetch_with(&options, files, ARRAY_LENGTH(files), outcome, error);
}

static void lies_are_refused(void **state)
{
    static const struct {
        struct script script;
        enum error_code code;
        size_t told, arrived;
        const char *text;
    } rows[] = {
        {{.says = {{0, 1000}, {1, 1000}, {2, 1000}}, .count = 3}, ERROR_NONE, 3, 3, ""},
        {{.says = {{0, 1000, .more = true}, {1, 400}, {1, 600, .more = true}, {2, 1000}},
          .count = 4},
         ERROR_NONE,
         3,
         3,
         ""},
        {{.says = {{0, 0, 5}, {1, 300}, {1, 0, 10}, {2, 1000}}, .count = 4}, ERROR_NONE, 3, 1, ""},
        {{.says = {{0, 1000}}, .count = 1}, ERROR_CORRUPT, 1, 1, "no envió todos"},
        {{.count = 0}, ERROR_CORRUPT, 0, 0, "no envió todos"},
        {{.says = {{3, 1000}}, .count = 1}, ERROR_CORRUPT, 0, 0, "no se le pidió"},
        {{.says = {{UINT32_MAX, 0, 5}}, .count = 1}, ERROR_CORRUPT, 0, 0, "no se le pidió"},
        {{.says = {{0, 1000}, {0, 1000}}, .count = 2}, ERROR_CORRUPT, 1, 1, "orden pedido"},
        {{.says = {{1, 1000}, {0, 1000}, {2, 1000}}, .count = 3},
         ERROR_CORRUPT,
         0,
         0,
         "orden pedido"},
        {{.says = {{0, 0, 5}, {0, 0, 5}}, .count = 2}, ERROR_CORRUPT, 1, 0, "orden pedido"},
        {{.says = {{0, 1000}, {2, 1000}}, .count = 2}, ERROR_CORRUPT, 1, 1, "orden pedido"},
        {{.says = {{0, 500}, {1, 1000}}, .count = 2}, ERROR_CORRUPT, 0, 0, "entero"},
        {{.says = {{0, 0}}, .count = 1}, ERROR_CORRUPT, 0, 0, "entero"},
        {{.says = {{0, 500}, {0, 0}}, .count = 2}, ERROR_CORRUPT, 0, 0, "entero"},
        {{.says = {{0, 1001}}, .count = 1}, ERROR_CORRUPT, 0, 0, "más datos"},
        {{.says = {{0, 600}, {0, 401}}, .count = 2}, ERROR_CORRUPT, 0, 0, "más datos"},
        {{.says = {{0, 2 * PIECE_BYTES}}, .count = 1}, ERROR_CORRUPT, 0, 0, "demasiado grande"},
        {{.says = {{0, 1000, .more = true}, {1, 1000, .more = true}, {2, 1000, .more = true}, {3}},
          .count = 4},
         ERROR_CORRUPT,
         3,
         3,
         "no se le pidió"},
        {{.empty = true}, ERROR_CORRUPT, 0, 0, "vacío"},
        {{.says = {{0, 1000}}, .count = 1, .queue_position = 5}, ERROR_BUSY, 1, 1, "turno"},
        {{.queue_position = -5}, ERROR_CORRUPT, 0, 0, "imposible"},
        {{.says = {{0, 0, 99}, {1, 1000}, {2, 1000}}, .count = 3}, ERROR_NONE, 3, 2, ""},
        {{.says = {{0, 1}}, .count = 1, .repeat = true, .pause_ms = 50},
         ERROR_TIMEOUT,
         0,
         0,
         "despacio"},
        {{.says = {{0, 1000}}, .count = 1, .silent = true}, ERROR_TIMEOUT, 1, 1, "no responde"},
        /* When all have come nobody waits for the end. */
        {{.says = {{0, 1000}, {1, 1000}, {2, 1000}}, .count = 3, .silent = true},
         ERROR_NONE,
         3,
         3,
         ""},
    };
    struct liar liar = {.open = 0};
    struct outcome outcome;
    struct error error;

    (void)state;
    liar_start(&liar, METHOD);
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        /* Longer than a busy machine takes for a step; who is slow is left after ten such. */
        int64_t stall_ms = rows[row].code == ERROR_TIMEOUT ? 1200 : STEP_MS;
        check_row(row, fetch_from(&liar, &rows[row].script, stall_ms, &outcome, &error) ==
                           rows[row].code);
        check_row(row, strstr(error.text, rows[row].text));
        check_row(row, outcome.told == rows[row].told);
        check_row(row, outcome.arrived == rows[row].arrived);
        check_row(row, strchr(outcome.last.text, 0x1b) == NULL);
    }
    for (int i = 0; atomic_load(&liar.open) > 0 && i < 1000; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&liar.open), 0);
    rpc_server_free(liar.server);
}

static void a_peer_without_the_method(void **state)
{
    struct liar liar = {.open = 0};
    struct outcome outcome;
    struct error error;

    (void)state;
    liar_start(&liar, "/peer.PeerService/Other");
    assert_int_equal(fetch_from(&liar, NULL, STEP_MS, &outcome, &error), ERROR_UNSUPPORTED);
    assert_int_equal(outcome.told, 0);
    rpc_server_free(liar.server);
    assert_int_equal(fetch_from(&liar, NULL, STEP_MS, &outcome, &error), ERROR_UNREACHABLE);
}

/* ---- messages ---- */

static void parses_messages(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum error_code code;
        size_t count;
    } rows[] = {
        {"", 0, ERROR_NONE, 0},
        {"\x10\x07", 2, ERROR_NONE, 0},
        {"\x0a\x00", 2, ERROR_NONE, 1},
        {"\x0a\x04\x08\x02\x18\x05", 6, ERROR_NONE, 1},
        {"\x0a\x04\x12\x02xy\x0a\x02\x08\x01", 10, ERROR_NONE, 2},
        {"\x0a\x05\x12\x02xy", 6, ERROR_CORRUPT, 0},        /* beyond the message */
        {"\x0a\x03\x12\x02xy", 6, ERROR_CORRUPT, 0},        /* beyond the file's own end */
        {"\x0a\x01\x08\x01", 4, ERROR_CORRUPT, 0},          /* a number, too */
        {"\x0a\x01\x12\x00", 4, ERROR_CORRUPT, 0},          /* and a length */
        {"\x0a\x02\x0b\x0c", 4, ERROR_CORRUPT, 0},          /* a group */
        {"\x0a\x05\x25\x01\x02\x03\x04", 7, ERROR_NONE, 1}, /* an unknown field */
        {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, ERROR_CORRUPT, 0},
    };
    struct files_part *part = malloc(sizeof *part);
    char many[2 * (FILES_PART_MAX + 1)];

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++)
        for (size_t cut = 0; cut <= rows[row].length; cut++) {
            char *start = (char *)(uintptr_t)rows[row].bytes;
            const struct iovec spans[] = {
                {.iov_base = start, .iov_len = cut},
                {.iov_base = start + cut, .iov_len = 0},
                {.iov_base = start + cut, .iov_len = rows[row].length - cut}};
            enum error_code code = files_part_parse(spans, ARRAY_LENGTH(spans), part, NULL);
            check_row(row, code == rows[row].code);
            check_row(row, code || part->count == rows[row].count);
        }
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = (char)(i % 2 ? 0 : 0x0a);
    struct iovec span = {.iov_base = many, .iov_len = sizeof many - 2};
    assert_int_equal(files_part_parse(&span, 1, part, NULL), ERROR_NONE);
    assert_int_equal(part->count, FILES_PART_MAX);
    span.iov_len += 2;
    assert_int_equal(files_part_parse(&span, 1, part, NULL), ERROR_CORRUPT);
    free(part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_messages),
        cmocka_unit_test_setup_teardown(files_of_every_size, start, service_world_stop),
        cmocka_unit_test_setup_teardown(very_many, start, service_world_stop),
        cmocka_unit_test_setup_teardown(each_by_itself, start, service_world_stop),
        cmocka_unit_test_setup_teardown(at_a_low_rate, start, service_world_stop),
        cmocka_unit_test_setup_teardown(when_it_is_enough, start, service_world_stop),
        cmocka_unit_test_setup_teardown(hostile_requests, start, service_world_stop),
        cmocka_unit_test_setup_teardown(too_many_calls, start, service_world_stop),
        cmocka_unit_test_setup_teardown(a_receiver_that_does_not_read, start_impatient,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(without_a_catalogue, start_without_catalogue,
                                        service_world_stop),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(a_peer_without_the_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
