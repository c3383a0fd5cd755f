/* PeerService over a real server and client, on a folder of the test's own. */
#include "peer/network/chunk.h"
#include "peer/network/interrupt.h"
#include "peer/network/peer_client.h"
#include "proto/peer.pb-c.h"
#include "service_world.h"
#include "unary.h"

#include <dirent.h>
#include <sys/stat.h>

#define STEP_MS 20000

#define LIST     "/peer.PeerService/ListFiles"
#define DOWNLOAD "/peer.PeerService/DownloadFile"
#define UPLOAD   "/peer.PeerService/UploadFile"

static int start(void **state)
{
    return service_world_start(state, calloc(1, sizeof(struct service_world)), false);
}

static int start_with_catalogue(void **state)
{
    return service_world_start(state, calloc(1, sizeof(struct service_world)), true);
}

/* What is in the folder, hidden files too. */
static size_t count_files(const struct service_world *world)
{
    DIR *folder = opendir(world->folder);
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2; /* . and .. */
}

static size_t read_file(const struct service_world *world, const char *name, char *out,
                        size_t capacity)
{
    char path[UNIT_PATH_BYTES];
    FILE *file = fopen(unit_path(world->folder, name, path), "rb");
    size_t got;

    if (!file)
        return (size_t)-1;
    got = fread(out, 1, capacity, file);
    fclose(file);
    return got;
}

/* ---- downloads ---- */

struct downloaded {
    char *bytes;
    size_t length;
    int64_t total_bytes; /* of the first message */
    size_t messages;
    size_t largest;
};

static void append_data(struct downloaded *down, const struct rpc_response *response,
                        const struct chunk_part *data)
{
    struct iovec span;
    size_t covered;

    for (size_t done = 0; done < data->bytes; done += covered) {
        assert_int_equal(spans_slice(response->spans, response->span_count, data->offset + done,
                                     data->bytes - done, &span, 1, &covered),
                         1);
        memcpy(down->bytes + down->length, span.iov_base, span.iov_len);
        down->length += span.iov_len;
    }
}

static void note_chunk(struct downloaded *down, const struct rpc_response *response)
{
    struct chunk chunk;

    assert_int_equal(chunk_parse(response->spans, response->span_count, &chunk, NULL), ERROR_NONE);
    if (down->messages++ == 0)
        down->total_bytes = chunk.total_bytes;
    else
        assert_true(chunk.total_bytes == 0);
    if (chunk.data.bytes > down->largest)
        down->largest = chunk.data.bytes;
    down->bytes = realloc(down->bytes, down->length + chunk.data.bytes + 1);
    append_data(down, response, &chunk.data);
}

static enum error_code begin_download(struct service_world *world, const char *name, size_t length,
                                      struct rpc_client_call **call, struct error *error)
{
    Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;
    bool ended;

    request.filename.data = (uint8_t *)(uintptr_t)name;
    request.filename.len = length;
    assert_int_equal(rpc_client_start(world->channel, DOWNLOAD, STEP_MS, call, error), ERROR_NONE);
    enum error_code code = rpc_client_send(*call, &request.base, NULL, 0, &ended, error);
    return code || ended ? code : rpc_client_send_end(*call, error);
}

static enum error_code download_name(struct service_world *world, const char *name, size_t length,
                                     struct downloaded *down, struct error *error)
{
    struct rpc_client_call *call;
    struct rpc_response response;
    bool end = false;
    enum error_code code = begin_download(world, name, length, &call, error);

    *down = (struct downloaded){.length = 0};
    while (!code && !end) {
        code = rpc_client_receive(call, &response, &end, error);
        if (!code && !end)
            note_chunk(down, &response);
    }
    rpc_client_free(call);
    return code;
}

static enum error_code download(struct service_world *world, const char *name,
                                struct downloaded *down, struct error *error)
{
    return download_name(world, name, strlen(name), down, error);
}

static void downloads_files_of_every_size(void **state)
{
    static const size_t sizes[] = {0,
                                   1,
                                   LIMITS_MESSAGE_MAX_BYTES - 1,
                                   LIMITS_MESSAGE_MAX_BYTES,
                                   LIMITS_MESSAGE_MAX_BYTES + 1,
                                   5 * LIMITS_MESSAGE_MAX_BYTES + 77};
    struct service_world *world = *state;

    for (size_t row = 0; row < ARRAY_LENGTH(sizes); row++) {
        char *bytes = malloc(sizes[row] + 1);
        struct downloaded down;
        struct error error = {.text = ""};

        for (size_t i = 0; i < sizes[row]; i++)
            bytes[i] = (char)(i * 31 + i / 251);
        service_world_put(world, "f.bin", bytes, sizes[row]);
        check_row(row, !download(world, "f.bin", &down, &error));
        check_row(row, down.length == sizes[row]);
        check_row(row, sizes[row] == 0 || memcmp(down.bytes, bytes, sizes[row]) == 0);
        check_row(row, (size_t)down.total_bytes == sizes[row]);
        check_row(row, down.largest <= LIMITS_MESSAGE_MAX_BYTES);
        free(down.bytes);
        free(bytes);
    }
}

static void refuses_bad_names(void **state)
{
    static const struct {
        const char *name;
        size_t length;
        enum error_code code;
    } rows[] = {
        {"missing.txt", 11, ERROR_NOT_FOUND},
        {"", 0, ERROR_INVALID},
        {"../x", 4, ERROR_INVALID},
        {"/etc/passwd", 11, ERROR_INVALID},
        {"..", 2, ERROR_INVALID},
        {".", 1, ERROR_INVALID},
        {"sub/../missing.txt", 18, ERROR_INVALID},
        {"sub//inner", 10, ERROR_INVALID},
        {"sub/", 4, ERROR_INVALID},
        {"sub/nothing", 11, ERROR_NOT_FOUND},
        {"sub/.hidden", 11, ERROR_NOT_FOUND},
        {"a\0b", 3, ERROR_INVALID},
        {"a\nb", 3, ERROR_INVALID},
        {"\xff\xfe", 2, ERROR_INVALID},
        {".hidden", 7, ERROR_NOT_FOUND},
        {"sub", 3, ERROR_NOT_FOUND},
        {"fifo", 4, ERROR_NOT_FOUND},
        {"link", 4, ERROR_NOT_FOUND},
    };
    struct service_world *world = *state;
    char path[UNIT_PATH_BYTES];
    char long_name[300];
    struct downloaded down;
    struct error error;

    service_world_put(world, ".hidden", "x", 1);
    assert_int_equal(mkdir(unit_path(world->folder, "sub", path), 0700), 0);
    service_world_put(world, "sub/inner", "x", 1);
    service_world_put(world, "sub/.hidden", "x", 1);
    assert_int_equal(mkfifo(unit_path(world->folder, "fifo", path), 0600), 0);
    assert_int_equal(symlink("/etc/passwd", unit_path(world->folder, "link", path)), 0);
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        check_row(row, download_name(world, rows[row].name, rows[row].length, &down, &error) ==
                           rows[row].code);
        check_row(row, down.messages == 0);
        check_row(row, error.text[0] != '\0');
        if (rows[row].code == ERROR_NOT_FOUND)
            assert_string_equal(error.text, "Archivo no encontrado");
    }
    /* Who asks by such a name knows folders. */
    assert_int_equal(download_name(world, "sub/inner", 9, &down, &error), ERROR_NONE);
    assert_int_equal(down.length, 1);
    free(down.bytes);
    memset(long_name, 'n', sizeof long_name);
    assert_int_equal(download_name(world, long_name, sizeof long_name, &down, &error),
                     ERROR_INVALID);
}

/* A file that shrinks, grows or is replaced while it is sent must end in an error. */
static void notices_a_change(void **state)
{
    const size_t size = 32 * LIMITS_MESSAGE_MAX_BYTES; /* more than the buffers on the way hold */
    struct service_world *world = *state;
    char path[UNIT_PATH_BYTES];
    struct rpc_client_call *call;
    struct rpc_response response;
    struct error error = {.code = ERROR_NONE};
    enum error_code code;
    bool end = false;
    char *bytes = calloc(1, size);

    service_world_put(world, "f.bin", bytes, size);
    free(bytes);
    assert_int_equal(begin_download(world, "f.bin", 5, &call, &error), ERROR_NONE);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_NONE);
    assert_int_equal(truncate(unit_path(world->folder, "f.bin", path), 10), 0);
    do {
        code = rpc_client_receive(call, &response, &end, &error);
    } while (!code && !end);
    assert_int_equal(code, ERROR_CHANGED);
    rpc_client_free(call);
}

/* ---- content ---- */

static enum error_code get_manifest(struct service_world *world, const char *name,
                                    const struct content_id *wanted, struct manifest *manifest)
{
    struct interrupt *interrupt = interrupt_new();
    struct file_name checked;
    struct peer_manifest_request request = {
        .address = &world->address, .name = &checked, .content = wanted, .interrupt = interrupt};
    assert_int_equal(file_name_parse(name, strlen(name), &checked, NULL), ERROR_NONE);
    enum error_code code = peer_get_manifest(&request, manifest, NULL);
    interrupt_free(interrupt);
    return code;
}

static void wait_manifest(struct service_world *world, const char *name, struct manifest *manifest)
{
    enum error_code code;

    for (int i = 0; (code = get_manifest(world, name, NULL, manifest)) == ERROR_BUSY && i < 500;
         i++)
        usleep(20000);
    assert_int_equal(code, ERROR_NONE);
}

/* The bytes that a request gets; the messages' offset, too. */
static enum error_code download_part(struct service_world *world,
                                     const Peer__DownloadRequest *request, struct downloaded *down,
                                     int64_t *offset)
{
    struct rpc_client_call *call;
    struct rpc_response response;
    struct chunk chunk;
    bool end = false, ended = false;

    *down = (struct downloaded){.length = 0};
    *offset = -1;
    assert_int_equal(rpc_client_start(world->channel, DOWNLOAD, STEP_MS, &call, NULL), ERROR_NONE);
    enum error_code code = rpc_client_send(call, &request->base, NULL, 0, &ended, NULL);
    if (!code && !ended)
        code = rpc_client_send_end(call, NULL);
    while (!code && !end) {
        code = rpc_client_receive(call, &response, &end, NULL);
        if (code || end)
            break;
        assert_int_equal(chunk_parse(response.spans, response.span_count, &chunk, NULL),
                         ERROR_NONE);
        if (down->messages == 0)
            *offset = chunk.offset;
        note_chunk(down, &response);
    }
    rpc_client_free(call);
    return code;
}

static void manifests_of_every_size(void **state)
{
    static const size_t sizes[] = {0, 1, PIECE_BYTES, 7 * PIECE_BYTES / 2};
    struct service_world *world = *state;
    struct manifest manifest;

    for (size_t row = 0; row < ARRAY_LENGTH(sizes); row++) {
        uint8_t hash[HASH_BYTES];
        char name[16];
        char *bytes = calloc(1, sizes[row] + 1);
        snprintf(name, sizeof name, "f%zu", row);
        service_world_put(world, name, bytes, sizes[row]);
        wait_manifest(world, name, &manifest);
        check_row(row, manifest.size_bytes == (int64_t)sizes[row]);
        check_row(row, manifest.piece_count == content_piece_count((int64_t)sizes[row]));
        for (size_t i = 0; i < manifest.piece_count; i++) {
            content_hash_piece(manifest.size_bytes, bytes,
                               content_piece_bytes(manifest.size_bytes, i), hash);
            check_row(row, memcmp(hash, manifest.hashes[i], HASH_BYTES) == 0);
        }
        free(bytes);
        manifest_done(&manifest);
    }
    assert_int_equal(get_manifest(world, "missing", NULL, &manifest), ERROR_NOT_FOUND);
}

static void sends_parts_of_what_was_asked_for(void **state)
{
    static const struct {
        int64_t offset, length;
        int64_t expected; /* bytes; -1: refused */
    } rows[] = {
        {0, 0, 700000},       {0, 700000, 700000},
        {0, 9000000, 700000}, {1, 0, 699999},
        {300000, 1, 1},       {0, 1, 1},
        {262143, 2, 2},       {699999, 5, 1},
        {700000, 0, 0},       {700001, 0, -1},
        {-1, 0, -1},          {0, -1, -1},
        {INT64_MAX, 1, -1},   {5, INT64_MAX, 699995},
    };
    struct service_world *world = *state;
    char *bytes = malloc(700000);
    struct manifest manifest;

    for (size_t i = 0; i < 700000; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    service_world_put(world, "f", bytes, 700000);
    wait_manifest(world, "f", &manifest);
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;
        struct downloaded down;
        int64_t offset;
        char name[] = "f";
        request.filename = (ProtobufCBinaryData){.data = (uint8_t *)name, .len = 1};
        request.offset = rows[row].offset;
        request.length = rows[row].length;
        if (row % 2)
            request.content_id =
                (ProtobufCBinaryData){.data = manifest.id.bytes, .len = HASH_BYTES};
        enum error_code code = download_part(world, &request, &down, &offset);
        check_row(row, code == (rows[row].expected < 0 ? ERROR_INVALID : ERROR_NONE));
        check_row(row, (int64_t)down.length == (rows[row].expected < 0 ? 0 : rows[row].expected));
        check_row(row, down.length == 0 || offset == rows[row].offset);
        check_row(row, down.length == 0 || down.total_bytes == 700000);
        check_row(row, down.length == 0 ||
                           memcmp(down.bytes, bytes + rows[row].offset, down.length) == 0);
        free(down.bytes);
    }
    free(bytes);
    manifest_done(&manifest);
}

static void refuses_other_content(void **state)
{
    struct service_world *world = *state;
    Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;
    struct manifest manifest, other;
    struct downloaded down;
    int64_t offset;
    char name[] = "f";
    enum error_code code;

    service_world_put(world, "f", "first", 5);
    wait_manifest(world, "f", &manifest);
    request.filename = (ProtobufCBinaryData){.data = (uint8_t *)name, .len = 1};
    request.content_id = (ProtobufCBinaryData){.data = manifest.id.bytes, .len = HASH_BYTES - 1};
    assert_int_equal(download_part(world, &request, &down, &offset), ERROR_INVALID);
    request.content_id.len = HASH_BYTES;
    assert_int_equal(download_part(world, &request, &down, &offset), ERROR_NONE);
    free(down.bytes);
    service_world_put(world, "f", "other", 5);
    /* At first it is not known what it is now; then it is known to be something else. */
    while ((code = download_part(world, &request, &down, &offset)) == ERROR_BUSY)
        usleep(20000);
    assert_int_equal(code, ERROR_CHANGED);
    assert_int_equal(down.messages, 0);
    assert_int_equal(get_manifest(world, "f", &manifest.id, &other), ERROR_CHANGED);
    manifest_done(&manifest);
}

static void without_a_catalogue_there_are_no_manifests(void **state)
{
    struct service_world *world = *state;
    struct manifest manifest;

    service_world_put(world, "f", "x", 1);
    assert_int_equal(get_manifest(world, "f", NULL, &manifest), ERROR_UNSUPPORTED);
}

/* ---- who does nothing ---- */

static int start_impatient(void **state)
{
    static const struct rpc_times times = {
        .request_ms = 60000, .read_ms = 1500, .write_ms = 700, .write_bytes_s = INT64_MAX / 1000};
    struct service_world *world = calloc(1, sizeof *world);

    world->times = &times;
    return service_world_start(state, world, false);
}

static void ends_a_receiver_that_does_not_read(void **state)
{
    const size_t size = 32 * LIMITS_MESSAGE_MAX_BYTES; /* more than the buffers on the way hold */
    struct service_world *world = *state;
    struct rpc_client_call *call;
    struct rpc_response response;
    struct error error = {.code = ERROR_NONE};
    char *bytes = calloc(1, size);
    bool end = false;

    service_world_put(world, "f.bin", bytes, size);
    free(bytes);
    assert_int_equal(begin_download(world, "f.bin", 5, &call, &error), ERROR_NONE);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_NONE);
    for (int i = 0; peer_service_streams(world->service) > 0 && i < 1000; i++)
        usleep(20000);
    assert_int_equal(peer_service_streams(world->service), 0);
    while (!rpc_client_receive(call, &response, &end, &error))
        assert_false(end);
    assert_int_equal(error.code, ERROR_TIMEOUT);
    rpc_client_free(call);
}

/* ---- uploads ---- */

struct upload_step {
    const char *name; /* NULL for none */
    const char *data;
};

static void send_step(struct rpc_client_call *call, const struct upload_step *step, bool *ended)
{
    Peer__UploadChunk chunk = PEER__UPLOAD_CHUNK__INIT;
    char *payload = strdup(step->data);

    if (step->name) {
        chunk.filename.data = (uint8_t *)(uintptr_t)step->name;
        chunk.filename.len = strlen(step->name);
    }
    chunk.data = (ProtobufCBinaryData){.data = (uint8_t *)payload, .len = strlen(payload)};
    assert_int_equal(rpc_client_send(call, &chunk.base, payload, strlen(payload), ended, NULL),
                     ERROR_NONE);
}

/* "1 TEXT" for ok, "0 TEXT" for not. */
static void receive_answer(struct rpc_client_call *call, char out[256])
{
    struct rpc_response response;
    ProtobufCMessage *message;
    Peer__UploadResponse *answer;
    bool end;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    assert_false(end);
    assert_int_equal(
        rpc_response_unpack(&response, &peer__upload_response__descriptor, &message, NULL),
        ERROR_NONE);
    answer = (Peer__UploadResponse *)message;
    snprintf(out, 256, "%d %s", answer->ok, answer->message);
    protobuf_c_message_free_unpacked(message, NULL);
    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    assert_true(end);
}

static void upload(struct service_world *world, const struct upload_step *steps, size_t count,
                   char out[256])
{
    struct rpc_client_call *call;
    bool ended = false;

    assert_int_equal(rpc_client_start(world->channel, UPLOAD, STEP_MS, &call, NULL), ERROR_NONE);
    for (size_t i = 0; i < count && !ended; i++)
        send_step(call, &steps[i], &ended);
    if (!ended)
        assert_int_equal(rpc_client_send_end(call, NULL), ERROR_NONE);
    receive_answer(call, out);
    rpc_client_free(call);
}

static void takes_in_uploads(void **state)
{
    static const struct {
        struct upload_step steps[3];
        size_t count;
        const char *answer;
        const char *file, *content;
    } rows[] = {
        {{{"a.txt", "uno"}, {NULL, " dos"}}, 2, "1 Escrito 7 bytes en a.txt", "a.txt", "uno dos"},
        {{{"a.txt", "otro"}}, 1, "0 Ya existe a.txt", "a.txt", "uno dos"},
        {{{"a.txt", "uno dos"}}, 1, "1 Escrito 7 bytes en a.txt", "a.txt", "uno dos"},
        {{{"a.txt", "uno"}, {"b.txt", " dos"}},
         2,
         "1 Escrito 7 bytes en a.txt",
         "a.txt",
         "uno dos"},
        {{{NULL, "x"}}, 1, "1 Escrito 1 bytes en upload.bin", "upload.bin", "x"},
        {{{NULL, "y"}}, 1, "1 Escrito 1 bytes en upload (1).bin", "upload (1).bin", "y"},
        {{{"vacío.txt", ""}}, 1, "1 Escrito 0 bytes en vacío.txt", "vacío.txt", ""},
        {{{".oculto", "x"}},
         1,
         "0 Nombre de archivo inválido: '.oculto' sería un archivo oculto",
         NULL,
         NULL},
        {{{"../x", "x"}}, 1, "0 Nombre de archivo inválido: contiene '/'", NULL, NULL},
    };
    struct service_world *world = *state;

    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        char answer[256];
        char content[256];
        size_t length;

        upload(world, rows[row].steps, rows[row].count, answer);
        assert_string_equal(answer, rows[row].answer);
        if (!rows[row].file)
            continue;
        length = read_file(world, rows[row].file, content, sizeof content);
        check_row(row, length == strlen(rows[row].content));
        check_row(row, memcmp(content, rows[row].content, length) == 0);
    }
    assert_int_equal(count_files(world), 4);
}

/* Waits until the server has noticed that its calls are over. */
static void wait_for_no_streams(const struct service_world *world)
{
    for (int i = 0; i < 1000 && peer_service_streams(world->service) > 0; i++)
        usleep(10000);
    assert_int_equal(peer_service_streams(world->service), 0);
}

static void keeps_nothing_of_a_broken_upload(void **state)
{
    struct service_world *world = *state;
    struct rpc_client_call *call;
    bool ended;

    assert_int_equal(rpc_client_start(world->channel, UPLOAD, STEP_MS, &call, NULL), ERROR_NONE);
    send_step(call, &(struct upload_step){"half.txt", "half"}, &ended);
    while (peer_service_streams(world->service) == 0 || count_files(world) == 0)
        usleep(1000);
    rpc_client_cancel(call);
    rpc_client_free(call);
    wait_for_no_streams(world);
    assert_int_equal(count_files(world), 0);
}

static void ends_a_sender_that_stands_still(void **state)
{
    struct service_world *world = *state;
    struct rpc_client_call *call;
    struct rpc_response response;
    struct error error = {.code = ERROR_NONE};
    bool end = false;

    assert_int_equal(rpc_client_start(world->channel, UPLOAD, STEP_MS, &call, NULL), ERROR_NONE);
    for (int i = 0; i < 10; i++) { /* slow, but it moves */
        send_step(call, &(struct upload_step){"half.txt", "half"}, &end);
        assert_false(end);
        usleep(200000);
    }
    assert_int_equal(count_files(world), 1);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_TIMEOUT);
    assert_non_null(strstr(error.text, "No llegan datos"));
    rpc_client_free(call);
    wait_for_no_streams(world);
    assert_int_equal(count_files(world), 0);
}

static void answers_a_broken_message_with_a_status(void **state)
{
    struct service_world *world = *state;
    struct rpc_client_call *call;
    struct rpc_response response;
    struct error error;
    bool end = false;
    /* As a DownloadRequest this is a field 1; as an UploadChunk "filename" it goes beyond the end:
     * the message is made by giving a field that protobuf-c packs with a broken inside. */
    Peer__ListFilesResponse bad = PEER__LIST_FILES_RESPONSE__INIT;
    ProtobufCMessageUnknownField field = {
        .tag = 1, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 2};
    uint8_t broken[] = {0x50, 'x'};

    field.data = broken;
    bad.base.n_unknown_fields = 1;
    bad.base.unknown_fields = &field;
    assert_int_equal(rpc_client_start(world->channel, UPLOAD, STEP_MS, &call, NULL), ERROR_NONE);
    (void)!rpc_client_send(call, &bad.base, NULL, 0, &end, NULL);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_INVALID);
    assert_string_equal(error.text, "Mensaje UploadChunk mal formado");
    rpc_client_free(call);
    assert_int_equal(count_files(world), 0);
}

/* ---- the list ---- */

static void lists_files(void **state)
{
    struct service_world *world = *state;
    Peer__Empty request = PEER__EMPTY__INIT;
    ProtobufCMessage *message;
    Peer__ListFilesResponse *list;

    service_world_put(world, "b.txt", "22", 2);
    service_world_put(world, "a.txt", "1", 1);
    service_world_put(world, ".hidden", "1", 1);
    assert_int_equal(unary_call(world->channel, LIST, &request.base,
                                &peer__list_files_response__descriptor, STEP_MS, &message, NULL),
                     ERROR_NONE);
    list = (Peer__ListFilesResponse *)message;
    assert_int_equal(list->n_files, 2);
    assert_int_equal(list->files[0]->filename.len, 5);
    assert_memory_equal(list->files[0]->filename.data, "a.txt", 5);
    assert_int_equal(list->files[1]->size_bytes, 2);
    protobuf_c_message_free_unpacked(message, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(downloads_files_of_every_size, start, service_world_stop),
        cmocka_unit_test_setup_teardown(refuses_bad_names, start, service_world_stop),
        cmocka_unit_test_setup_teardown(notices_a_change, start, service_world_stop),
        cmocka_unit_test_setup_teardown(manifests_of_every_size, start_with_catalogue,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(sends_parts_of_what_was_asked_for, start_with_catalogue,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(refuses_other_content, start_with_catalogue,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(without_a_catalogue_there_are_no_manifests, start,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(takes_in_uploads, start, service_world_stop),
        cmocka_unit_test_setup_teardown(keeps_nothing_of_a_broken_upload, start,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(ends_a_sender_that_stands_still, start_impatient,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(ends_a_receiver_that_does_not_read, start_impatient,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(answers_a_broken_message_with_a_status, start,
                                        service_world_stop),
        cmocka_unit_test_setup_teardown(lists_files, start, service_world_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
