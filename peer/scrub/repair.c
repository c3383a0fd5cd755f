#include "peer/scrub/repair.h"

#include "common/log.h"
#include "common/memory.h"
#include "peer/downloads/failures.h"
#include "peer/network/piece_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE "repair"

/* One file while it is repaired. */
struct patient {
    const struct repair *repair;
    struct damage *damage;
    int file;
    uint8_t *data;       /* a piece */
    struct error hurt;   /* of our own, not of a source: another one would not help */
    struct failures why; /* of the sources */
};

static bool goes_on(void *context, size_t bytes)
{
    struct interrupt *interrupt = context;

    (void)bytes;
    return !interrupt_raised(interrupt);
}

/* Whether the pieces are still bad. */
static enum error_code look_again(const struct repair *repair, struct damage *damage,
                                  struct error *error)
{
    struct catalogue_check check = {
        .name = &damage->name, .only = &damage->bad, .step = goes_on, .context = repair->interrupt};
    struct catalogue_verdict verdict;
    enum error_code code = catalogue_check(repair->catalogue, &check, &verdict, error);

    if (code)
        return code;
    piece_list_done(&damage->bad);
    damage->bad = verdict.bad;
    return ERROR_NONE;
}

static enum error_code write_all(int file, const uint8_t *data, size_t length, int64_t offset,
                                 struct error *error)
{
    while (length > 0) {
        ssize_t count = pwrite(file, data, length, offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, errno, "No se puede escribir en el archivo");
        data += count;
        offset += count;
        length -= (size_t)count;
    }
    return ERROR_NONE;
}

static void set_back_modified(int file, int64_t modified_ns)
{
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = modified_ns / 1000000000, .tv_nsec = modified_ns % 1000000000}};

    if (times[1].tv_nsec < 0) { /* before 1970 */
        times[1].tv_sec--;
        times[1].tv_nsec += 1000000000;
    }
    /* Only the owner may; else the file looks newer than it is. */
    int unset = futimens(file, times);
    (void)unset;
}

static enum error_code other_file(struct error *error)
{
    return error_set(error, ERROR_CHANGED, "El archivo ya no es el mismo");
}

/* What was written is there, and is what the disk gives back. */
static enum error_code confirm(const struct patient *patient, size_t length, int64_t offset,
                               const struct share_identity *written, struct error *error)
{
    auto_free uint8_t *back = memory_new(1, length);
    struct share_identity now;
    size_t got = 0;

    if (fsync(patient->file) < 0)
        return error_set_errno(error, errno, "No se puede escribir en el archivo");
    posix_fadvise(patient->file, offset, (off_t)length, POSIX_FADV_DONTNEED);
    while (got < length) {
        ssize_t count = pread(patient->file, back + got, length - got, offset + (int64_t)got);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return error_set_errno(error, count < 0 ? errno : EIO, "No se puede leer el archivo");
        got += (size_t)count;
    }
    if (share_identify_open(patient->file, &now, NULL) || !share_identity_equal(&now, written))
        return other_file(error);
    if (memcmp(back, patient->data, length) != 0)
        return error_set(error, ERROR_IO, "El disco no guarda lo que se escribe");
    return ERROR_NONE;
}

/* Between looking at the identity and looking again, after the write, somebody else's write would
 * pass for ours: a few microseconds; what takes long comes after. */
static enum error_code write_piece(struct patient *patient, size_t piece, size_t length)
{
    struct damage *damage = patient->damage;
    int64_t offset = (int64_t)(piece * PIECE_BYTES);
    auto_pieces left = piece_list_copy(&damage->bad);
    struct share_identity now;

    if (share_identify_open(patient->file, &now, NULL) ||
        !share_identity_equal(&now, &damage->identity))
        return other_file(&patient->hurt);
    enum error_code code = write_all(patient->file, patient->data, length, offset, &patient->hurt);
    set_back_modified(patient->file, damage->identity.modified_ns);
    if (share_identify_open(patient->file, &now, &patient->hurt))
        return patient->hurt.code;
    if (!code)
        code = confirm(patient, length, offset, &now, &patient->hurt);
    if (code == ERROR_CHANGED)
        return code;
    if (!code)
        piece_list_remove(&left, piece);
    enum error_code noted = catalogue_note_repair(patient->repair->catalogue, damage, &now, &left,
                                                  code ? NULL : &patient->hurt);
    damage->identity = now;
    piece_list_done(&damage->bad);
    damage->bad = piece_list_copy(&left);
    return code ? code : noted;
}

/* A source of the pieces: what it is called, where it is, and the name that it has them under. */
struct donor {
    const char *peer;
    const struct address *address;
    const struct file_name *name;
};

static enum error_code fetch_piece(struct patient *patient, struct piece_client *client,
                                   const struct donor *donor, size_t piece, struct error *error)
{
    const struct damage *damage = patient->damage;
    struct catalogue_entry entry = {
        .id = damage->content, .size_bytes = damage->identity.size_bytes, .number = damage->number};
    size_t length = content_piece_bytes(damage->identity.size_bytes, piece);
    struct piece_request request = {.name = donor->name,
                                    .content = &damage->content,
                                    .offset = (int64_t)(piece * PIECE_BYTES),
                                    .length = length};
    uint8_t wanted[1][HASH_BYTES], got[HASH_BYTES];

    if (catalogue_read_hashes(patient->repair->catalogue, &entry, piece, 1, wanted, &patient->hurt))
        return patient->hurt.code;
    enum error_code code = piece_client_fetch(client, &request, patient->data, error);
    if (code)
        return code;
    content_hash_piece(damage->identity.size_bytes, patient->data, length, got);
    if (memcmp(got, wanted[0], sizeof got) != 0)
        return error_set(error, ERROR_CORRUPT, "envió otro contenido");
    return ERROR_NONE;
}

/* All that this source has, until it fails once. */
static void ask_donor(struct patient *patient, const struct donor *donor)
{
    const struct piece_client_options options = {.address = donor->address,
                                                 .limits = patient->repair->limits,
                                                 .interrupt = patient->repair->interrupt};
    struct piece_client *client = piece_client_open(&options);
    struct damage *damage = patient->damage;
    size_t before = damage->bad.count;
    enum error_code code = ERROR_NONE;
    char text[ADDRESS_TEXT_BYTES];
    struct error error = {0};

    while (!code && damage->bad.count > 0 && !patient->hurt.code) {
        size_t piece = damage->bad.items[0];
        size_t length = content_piece_bytes(damage->identity.size_bytes, piece);
        code = fetch_piece(patient, client, donor, piece, &error);
        if (!code)
            code = write_piece(patient, piece, length);
    }
    piece_client_close(client);
    if (before > damage->bad.count)
        log_line(LOG_INFO, MODULE, "'%s': %zu pieces repaired from %s (%s), %zu to go",
                 damage->name.text, before - damage->bad.count, donor->peer,
                 address_format(donor->address, text), damage->bad.count);
    if (error.code)
        failures_add(&patient->why, donor->peer, &error);
}

static bool is_useful(const struct patient *patient, const struct directory_source *source)
{
    return strcmp(source->peer, patient->repair->finder->own_name) != 0 &&
           (!source->has_content ||
            content_id_equal(&source->content, &patient->damage->content)) &&
           (source->size_bytes < 0 || source->size_bytes == patient->damage->identity.size_bytes);
}

static bool is_over(const struct patient *patient)
{
    return patient->damage->bad.count == 0 || patient->hurt.code != ERROR_NONE ||
           interrupt_raised(patient->repair->interrupt);
}

/* At each of its addresses. */
static void ask_addresses(struct patient *patient, const struct directory_source *source,
                          const struct file_name *name)
{
    for (size_t i = 0; i < source->address_count && !is_over(patient); i++)
        ask_donor(patient, &(struct donor){source->peer, &source->addresses[i], name});
}

static void ask_namesakes(struct patient *patient)
{
    const struct repair *repair = patient->repair;
    const struct file_name *name = &patient->damage->name;
    struct directory_sources sources = {0};
    struct error error = {0};

    struct locator_search search = {.name = name, .interrupt = repair->interrupt};
    if (sources_find(repair->finder, &search, &sources, &error))
        failures_add(&patient->why, "búsqueda", &error);
    for (size_t i = 0; i < sources.count; i++)
        if (is_useful(patient, &sources.items[i]))
            ask_addresses(patient, &sources.items[i], name);
    /* Where nobody could be asked who has it, the neighbours that we know of may. */
    for (size_t i = 0; error.code && i < repair->finder->fallback_count && !is_over(patient); i++)
        ask_donor(patient, &(struct donor){"grpc_urls", &repair->finder->fallbacks[i], name});
    directory_sources_done(&sources);
}

/* Those who have the content under another name. */
static void ask_holders(struct patient *patient)
{
    const struct repair *repair = patient->repair;
    struct locator_holders holders = {0};
    struct error error = {0};

    if (is_over(patient) || !repair->finder->locator)
        return;
    if (locator_find_content(repair->finder->locator, &patient->damage->content, repair->interrupt,
                             &holders, &error))
        failures_add(&patient->why, "búsqueda", &error);
    for (size_t i = 0; i < holders.count; i++) {
        const struct locator_holder *holder = &holders.items[i];
        if (is_useful(patient, &holder->source) &&
            strcmp(holder->name.text, patient->damage->name.text) != 0)
            ask_addresses(patient, &holder->source, &holder->name);
    }
    locator_holders_done(&holders);
}

static enum error_code verdict_of(const struct patient *patient, struct error *error)
{
    if (interrupt_raised(patient->repair->interrupt))
        return error_set(error, ERROR_CANCELLED, "cancelado");
    if (patient->hurt.code)
        return error_set(error, patient->hurt.code, "%s", patient->hurt.text);
    if (patient->damage->bad.count == 0)
        return ERROR_NONE;
    if (patient->why.worst.code)
        return error_set(error, patient->why.worst.code, "%s", patient->why.worst.text);
    return error_set(error, ERROR_UNREACHABLE, "Nadie más tiene este contenido");
}

enum error_code repair_file(const struct repair *repair, struct damage *damage, bool *is_gone,
                            struct error *error)
{
    struct patient patient = {.repair = repair, .damage = damage, .file = -1};
    enum error_code code = look_again(repair, damage, error);

    if (!code && damage->bad.count > 0)
        code = share_open_repair(repair->share, &damage->name, &damage->identity, &patient.file,
                                 error);
    *is_gone = code == ERROR_CHANGED || code == ERROR_NOT_FOUND || code == ERROR_BUSY;
    if (code || damage->bad.count == 0)
        return code;
    patient.data = memory_new(1, PIECE_BYTES);
    ask_namesakes(&patient);
    ask_holders(&patient);
    code = verdict_of(&patient, error);
    *is_gone = code == ERROR_CHANGED && patient.hurt.code == ERROR_CHANGED;
    free(patient.data);
    close(patient.file);
    return code;
}
