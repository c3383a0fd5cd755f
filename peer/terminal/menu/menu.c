#include "peer/terminal/menu/menu.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/menu/menu_private.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    const char *choice;
    const char *title;
    enum line_result (*run)(const struct menu *menu); /* NULL: leave */
};

/* ---- talking ---- */

void menu_say(const struct menu *menu, const char *format, ...)
{
    auto_free char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    auto_free char *clean = memory_new((size_t)length + 1, 1);
    /* Differs: the reference prints names from others as they are. */
    menu->terminal->say(menu->terminal->context, text_clean(text, clean, (size_t)length + 1));
}

static void strip(char *line)
{
    size_t start = strspn(line, " \t\r\n\v\f");
    size_t length = strlen(line + start);

    memmove(line, line + start, length + 1);
    while (length > 0 && strchr(" \t\r\n\v\f", line[length - 1]))
        line[--length] = '\0';
}

enum line_result menu_ask(const struct menu *menu, const char *prompt, char line[MENU_LINE_BYTES])
{
    enum line_result result =
        menu->terminal->ask(menu->terminal->context, prompt, line, MENU_LINE_BYTES);

    if (result == LINE_READ)
        strip(line);
    return result;
}

/* ---- 1: search and download ---- */

/* "172.28.0.4:8002"; several one after another. */
static char *join_addresses(const P2p__Control__Source *source)
{
    struct buffer text;

    if (source->n_addresses == 0)
        return memory_copy_string("desconocida");
    buffer_init(&text, (size_t)64 * 1024);
    for (size_t i = 0; i < source->n_addresses; i++)
        buffer_printf(&text, "%s%s", i > 0 ? ", " : "", source->addresses[i]);
    return buffer_take(&text);
}

static void start_download(const struct menu *menu, const P2p__Control__SearchReply *found,
                           const P2p__Control__Source *source)
{
    P2p__Control__GetRequest request = P2P__CONTROL__GET_REQUEST__INIT;
    auto_free char *addresses = join_addresses(source);
    struct error error;

    menu_say(menu, "Descargando desde %s (%s)...", source->peer, addresses);
    request.name = found->name;
    request.peer = source->peer;
    request.addresses = source->addresses;
    request.n_addresses = source->n_addresses;
    if (menu->peer->get(menu->peer->context, &request, &error) != ERROR_NONE)
        menu_say(menu, "❌ Error al descargar: %s", error.text);
    else
        menu_say(menu, "Descarga iniciada en segundo plano...");
}

static enum line_result choose_source(const struct menu *menu,
                                      const P2p__Control__SearchReply *found)
{
    char line[MENU_LINE_BYTES];
    long long number;

    menu_say(menu, "%s", "");
    if (found->note[0]) /* Differs: the reference finds nothing then */
        menu_say(menu, "%s", found->note);
    menu_say(menu, "Archivo encontrado: %s", found->name);
    menu_say(menu, "Peers disponibles:");
    for (size_t i = 0; i < found->n_sources; i++) {
        auto_free char *addresses = join_addresses(found->sources[i]);
        menu_say(menu, "%zu. Peer: %s - Dirección gRPC: %s", i + 1, found->sources[i]->peer,
                 addresses);
    }
    enum line_result result = menu_ask(menu, "Seleccione peer para descargar (número): ", line);
    if (result != LINE_READ)
        return result;
    if (!text_to_integer(line, LLONG_MIN, LLONG_MAX, &number))
        menu_say(menu, "Debe ingresar un número válido.");
    else if (number < 1 || (unsigned long long)number > found->n_sources)
        menu_say(menu, "Selección inválida.");
    else
        start_download(menu, found, found->sources[number - 1]);
    return LINE_READ;
}

enum line_result menu_download(const struct menu *menu, const char *name)
{
    auto_reply P2p__Control__SearchReply *found = NULL;
    struct error error;

    enum error_code code = menu->peer->search(menu->peer->context, name, &found, &error);
    if (code != ERROR_NONE) {
        menu_say(menu, "Error al buscar archivo: %s", error.text);
        if (code == ERROR_NOT_FOUND) /* the reference has no other way to find it */
            menu_say(menu, "La opción 4 busca por una parte del nombre.");
        return LINE_READ;
    }
    if (found->n_sources == 0) {
        menu_say(menu, "Archivo '%s' no está disponible en ningún peer activo.", found->name);
        return LINE_READ;
    }
    return choose_source(menu, found);
}

static enum line_result search_and_download(const struct menu *menu)
{
    char name[MENU_LINE_BYTES];

    enum line_result result = menu_ask(menu, "Nombre del archivo a buscar: ", name);
    if (result != LINE_READ)
        return result;
    if (name[0] != '\0')
        return menu_download(menu, name);
    menu_say(menu, "Debe ingresar nombre del archivo.");
    return LINE_READ;
}

/* ---- 2: upload ---- */

static void upload(const struct menu *menu, const char *path, const char *address)
{
    auto_reply P2p__Control__PutReply *reply = NULL;
    struct error error;

    enum error_code code = menu->peer->put(menu->peer->context, path, address, &reply, &error);
    if (code == ERROR_NONE && reply->no_file) {
        menu_say(menu, "El archivo no existe: %s", reply->path);
        return;
    }
    if (code == ERROR_NONE)
        code = control_failure_error(reply->failure, &error);
    if (code != ERROR_NONE)
        menu_say(menu, "Error al subir archivo: %s", error.text);
    else /* the reference prints its language's words for yes and no */
        menu_say(menu, "Resultado de subida: %s %s", reply->ok ? "True" : "False", reply->message);
}

static enum line_result ask_and_upload(const struct menu *menu)
{
    char address[MENU_LINE_BYTES];
    char path[MENU_LINE_BYTES];

    enum line_result result = menu_ask(menu, "Dirección del peer (ip:puerto) destino: ", address);
    if (result == LINE_READ)
        result = menu_ask(
            menu, "Ruta del archivo local a subir (desde el directorio compartido): ", path);
    if (result != LINE_READ)
        return result;
    if (address[0] == '\0' || path[0] == '\0')
        menu_say(menu, "Debe ingresar peer y ruta del archivo.");
    else
        upload(menu, path, address);
    return LINE_READ;
}

/* ---- 3: list ---- */

struct listing {
    const struct menu *menu;
    size_t count;
};

static enum error_code take_files(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct listing *listing = context;
    const P2p__Control__ListReply *reply = (const P2p__Control__ListReply *)*message;

    (void)stop;
    (void)error;
    for (size_t i = 0; i < reply->n_files; i++) {
        if (listing->count++ == 0)
            menu_say(listing->menu, "Archivos remotos:");
        menu_say(listing->menu, "- %s (%" PRId64 " bytes)", reply->files[i]->name,
                 reply->files[i]->size_bytes);
    }
    return ERROR_NONE;
}

static enum line_result list_files(const struct menu *menu)
{
    struct listing listing = {.menu = menu};
    struct control_taker taker = {.take = take_files, .context = &listing};
    char address[MENU_LINE_BYTES];
    struct error error;

    enum line_result result = menu_ask(menu, "Dirección del peer (ip:puerto) a listar: ", address);
    if (result != LINE_READ)
        return result;
    if (address[0] == '\0')
        menu_say(menu, "Debe ingresar peer destino.");
    else if (menu->peer->list(menu->peer->context, address, &taker, &error) != ERROR_NONE)
        menu_say(menu, "Error al listar archivos: %s", error.text);
    else if (listing.count == 0)
        menu_say(menu, "Sin archivos remotos.");
    return LINE_READ;
}

/* ---- 5: downloads, which the reference does not show ---- */

#define DESCRIPTION_BYTES 4096
#define SHOWN_MAX         50 /* more would only scroll by */

enum { GOES_ON, QUEUED, OVER, RANK_COUNT };

static int rank(const P2p__Control__Job *job)
{
    if (job_is_over(job))
        return OVER;
    return job->state == DOWNLOAD_QUEUED ? QUEUED : GOES_ON;
}

static void show_download(const struct menu *menu, const P2p__Control__Job *job)
{
    auto_buffer text;

    buffer_init(&text, DESCRIPTION_BYTES);
    job_describe(job, &text);
    menu_say(menu, "- %" PRIu64 ". %s: %s", job->id, job->name, text.data);
}

/* Of too many, those that had their turn, then those that wait for it. */
static void show_downloads(const struct menu *menu, const struct job_list *list)
{
    bool all = list->count <= SHOWN_MAX;
    size_t shown = 0;

    menu_say(menu, list->count > 0 ? "Descargas:" : "Sin descargas.");
    for (int wanted = 0; wanted < (all ? 1 : RANK_COUNT); wanted++)
        for (size_t i = 0; i < list->count && shown < SHOWN_MAX; i++)
            if (all || rank(list->jobs[i]) == wanted) {
                show_download(menu, list->jobs[i]);
                shown++;
            }
    if (shown < list->count)
        menu_say(menu, "… y %zu más (p2p-peer downloads)", list->count - shown);
}

static enum line_result list_downloads(const struct menu *menu)
{
    struct job_list list;
    struct error error;

    if (menu->peer->downloads(menu->peer->context, &list, &error) != ERROR_NONE) {
        menu_say(menu, "Error al ver descargas: %s", error.text);
        return LINE_READ;
    }
    show_downloads(menu, &list);
    job_list_done(&list);
    return LINE_READ;
}

/* ---- the menu ---- */

static const struct entry entries[] = {
    {"1", "Buscar y descargar archivo", search_and_download},
    {"2", "Subir archivo (gRPC)", ask_and_upload},
    {"3", "Listar archivos remotos (gRPC)", list_files},
    {"4", "Buscar por palabras", menu_words},
    {"5", "Ver descargas", list_downloads},
    {"0", "Salir", NULL},
};

static const struct entry *find_entry(const char *choice)
{
    for (size_t i = 0; i < ARRAY_LENGTH(entries); i++) {
        if (strcmp(entries[i].choice, choice) == 0)
            return &entries[i];
    }
    return NULL;
}

/* Differs: the reference has nothing to say there. Once, until there is something else to say. */
static void show_notice(const struct menu *menu, char **told)
{
    auto_free char *notice = menu->peer->notice(menu->peer->context);

    if (notice && (!*told || strcmp(notice, *told) != 0))
        menu_say(menu, "%s", notice);
    free(*told);
    *told = take_pointer(&notice);
}

static void show(const struct menu *menu, char **told)
{
    menu_say(menu, "%s", "");
    show_notice(menu, told);
    menu_say(menu, "--- MENÚ PEER ---");
    for (size_t i = 0; i < ARRAY_LENGTH(entries); i++)
        menu_say(menu, "%s. %s", entries[i].choice, entries[i].title);
}

enum line_result menu_run(const struct menu_terminal *terminal, const struct menu_peer *peer)
{
    const struct menu menu = {.terminal = terminal, .peer = peer};
    auto_free char *told = NULL;
    char line[MENU_LINE_BYTES];

    for (;;) {
        show(&menu, &told);
        enum line_result result = menu_ask(&menu, "Seleccione una opción: ", line);
        const struct entry *entry = result == LINE_READ ? find_entry(line) : NULL;
        if (entry && !entry->run)
            break;
        if (entry)
            result = entry->run(&menu);
        else if (result == LINE_READ)
            menu_say(&menu, "Opción no válida. Intente de nuevo.");
        if (result == LINE_END)
            menu_say(&menu, "%s", ""); /* the prompt's line was not ended */
        if (result == LINE_END)
            break;
        if (result == LINE_INTERRUPTED)
            return result;
    }
    /* Differs: at end of input too, where the reference crashes. */
    menu_say(&menu, "Saliendo del menú.");
    return LINE_END;
}
