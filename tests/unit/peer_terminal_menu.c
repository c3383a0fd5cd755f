/* The menu's flow: what is typed, what the daemon answers, what is on the screen. */
#include "unit.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/menu/menu.h"

#define MENU "\n" MENU_LINES
#define MENU_LINES                                                                     \
    "--- MENÚ PEER ---\n1. Buscar y descargar archivo\n2. Subir archivo (gRPC)\n"     \
    "3. Listar archivos remotos (gRPC)\n4. Buscar por palabras\n5. Ver descargas\n0. " \
    "Salir\nSeleccione una opción: "
#define BYE MENU "0\nSaliendo del menú.\n"

#define WORDS "4\nPalabras a buscar: "
#define HITS                                                             \
    "Archivos encontrados:\n1. uno?.txt (486 B, 1 peer, c06e5a36b4bc)\n" \
    "2. dos.txt (2 peers)\n"
#define WHICH "Archivo a descargar (número o nombre; Intro: volver): "

#define TYPED_MAX 7

/* A terminal whose user types lines, and a daemon that answers as it is told. */
struct scene {
    const char *const *typed;
    size_t next;
    enum line_result at_end;
    struct buffer screen;
    struct buffer asked; /* of the daemon */
    enum error_code search_code, get_code, put_code, list_code;
    size_t peers;     /* in the answer to a search */
    size_t addresses; /* of each */
    size_t files;     /* in a list */
    size_t hits;      /* of words; more than 20 are two pages */
    bool same_names;  /* of the hits */
    enum error_code words_code;
    size_t downloads; /* that the daemon has */
    enum error_code downloads_code;
    bool no_file, refused;
    const char *notice; /* before the menu */
};

static enum line_result ask(void *context, const char *prompt, char *line, size_t size)
{
    struct scene *scene = context;

    buffer_append_string(&scene->screen, prompt);
    if (scene->next == TYPED_MAX || !scene->typed[scene->next])
        return scene->at_end;
    snprintf(line, size, "%s", scene->typed[scene->next++]);
    buffer_printf(&scene->screen, "%s\n", line); /* as the terminal's echo */
    return LINE_READ;
}

static void say(void *context, const char *text)
{
    buffer_printf(&((struct scene *)context)->screen, "%s\n", text);
}

/* A message of its own, as if it had come from the wire. */
static void *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    auto_free uint8_t *bytes = memory_new(1, size + 1);

    protobuf_c_message_pack(message, bytes);
    return protobuf_c_message_unpack(message->descriptor, NULL, size, bytes);
}

static enum error_code search(void *context, const char *name, P2p__Control__SearchReply **reply,
                              struct error *error)
{
    static char peers[3][8] = {"Peer2", "Peer3", "Peer4"};
    static char addresses[2][16] = {"10.0.0.1:8001", "10.0.0.2:8002"};
    char *address_list[] = {addresses[0], addresses[1]};
    const struct scene *scene = context;
    P2p__Control__SearchReply message = P2P__CONTROL__SEARCH_REPLY__INIT;
    P2p__Control__Source sources[3];
    P2p__Control__Source *pointers[3];
    auto_free char *copy = memory_copy_string(name);

    if (scene->search_code != ERROR_NONE)
        return error_set(error, scene->search_code, "Archivo '%s' no encontrado", name);
    message.name = copy;
    message.sources = pointers;
    message.n_sources = scene->peers;
    for (size_t i = 0; i < scene->peers; i++) {
        p2p__control__source__init(&sources[i]);
        sources[i].peer = peers[i];
        sources[i].addresses = address_list;
        sources[i].n_addresses = scene->addresses;
        pointers[i] = &sources[i];
    }
    *reply = copy_message(&message.base);
    return ERROR_NONE;
}

static enum error_code get(void *context, const P2p__Control__GetRequest *request,
                           struct error *error)
{
    struct scene *scene = context;

    buffer_printf(&scene->asked, "get %s from %s", request->name, request->peer);
    for (size_t i = 0; i < request->n_addresses; i++)
        buffer_printf(&scene->asked, " %s", request->addresses[i]);
    return scene->get_code ? error_set(error, scene->get_code, "no va") : ERROR_NONE;
}

static enum error_code put(void *context, const char *path, const char *address,
                           P2p__Control__PutReply **reply, struct error *error)
{
    static char said[] = "Escrito 5 bytes en a.txt";
    static char refusal[] = "Ya existe a.txt";
    static char missing[] = "/data/a.txt";
    struct scene *scene = context;
    P2p__Control__PutReply message = P2P__CONTROL__PUT_REPLY__INIT;

    buffer_printf(&scene->asked, "put %s to %s", path, address);
    if (scene->put_code)
        return error_set(error, scene->put_code, "sin conexión");
    message.done = true;
    message.ok = !scene->refused;
    message.message = scene->refused ? refusal : said;
    message.no_file = scene->no_file;
    message.path = missing;
    *reply = copy_message(&message.base);
    return ERROR_NONE;
}

static enum error_code list(void *context, const char *address, const struct control_taker *taker,
                            struct error *error)
{
    static char name[] = "a\033[2J.txt";
    struct scene *scene = context;
    P2p__Control__ListReply message = P2P__CONTROL__LIST_REPLY__INIT;
    P2p__Control__ListedFile file = P2P__CONTROL__LISTED_FILE__INIT;
    P2p__Control__ListedFile *pointer = &file;
    bool stop = false;

    buffer_printf(&scene->asked, "list %s", address);
    if (scene->list_code)
        return error_set(error, scene->list_code, "sin conexión");
    file.name = name;
    file.size_bytes = 12;
    message.files = &pointer;
    message.n_files = scene->files;
    ProtobufCMessage *kept = &message.base;
    return taker->take(taker->context, &kept, &stop, error);
}

static enum error_code words(void *context, const P2p__Control__WordsRequest *request,
                             const struct control_taker *taker, struct error *error)
{
    static char names[][12] = {"uno\033.txt", "dos.txt"};
    static char content[] = "c06e5a36b4bc0000";
    static char cursor[] = "7.1";
    struct scene *scene = context;
    P2p__Control__WordsReply message = P2P__CONTROL__WORDS_REPLY__INIT;
    P2p__Control__WordHit hits[20];
    P2p__Control__WordHit *pointers[20];
    bool stop = false;

    buffer_printf(&scene->asked, "words %s from '%s' ", request->words, request->cursor);
    if (scene->words_code)
        return error_set(error, scene->words_code, "No hay directorio");
    for (; message.n_hits < 20 && scene->hits > 0; message.n_hits++, scene->hits--) {
        P2p__Control__WordHit *hit = &hits[message.n_hits];
        p2p__control__word_hit__init(hit);
        hit->name = names[scene->same_names ? 1 : message.n_hits % 2];
        hit->peers = (int64_t)message.n_hits + 1;
        hit->has_size = message.n_hits == 0;
        hit->size_bytes = 486;
        hit->content = message.n_hits == 0 ? content : hit->content;
        pointers[message.n_hits] = hit;
    }
    message.hits = pointers;
    message.more = scene->hits > 0;
    message.cursor = message.more ? cursor : message.cursor;
    auto_reply ProtobufCMessage *kept = copy_message(&message.base);
    return taker->take(taker->context, &kept, &stop, error);
}

#define DOWNLOADS_MAX 120

static enum error_code downloads(void *context, struct job_list *job_list, struct error *error)
{
    static char name[] = "a\033[2J.iso";
    static char other[] = "b.iso";
    static char reason[] = "no hay fuentes";
    static P2p__Control__Job jobs[DOWNLOADS_MAX];
    const struct scene *scene = context;

    if (scene->downloads_code)
        return error_set(error, scene->downloads_code, "sin conexión");
    *job_list = (struct job_list){.jobs = memory_new(DOWNLOADS_MAX, sizeof *job_list->jobs)};
    for (size_t i = 0; i < scene->downloads; i++) {
        p2p__control__job__init(&jobs[i]);
        jobs[i].id = i + 1;
        jobs[i].name = i == 0 ? name : other;
        jobs[i].state = i == 0 ? DOWNLOAD_RUNNING : DOWNLOAD_WAITING;
        if (i > 1)
            jobs[i].state = i % 2 == 0 ? DOWNLOAD_CANCELLED : DOWNLOAD_QUEUED;
        jobs[i].total_bytes = 4 << 20;
        jobs[i].bytes = 1 << 20;
        jobs[i].bytes_per_second = i == 0 ? 1 << 20 : 0;
        jobs[i].active_sources = i == 0 ? 3 : 0;
        jobs[i].reason = i == 0 ? jobs[i].reason : reason;
        job_list->jobs[i] = &jobs[i];
    }
    /* Nothing of the messages is the list's: job_list_done frees `count` replies. */
    job_list->replies = memory_new(DOWNLOADS_MAX, sizeof *job_list->replies);
    for (size_t i = 0; i < scene->downloads; i++) {
        P2p__Control__DownloadsReply message = P2P__CONTROL__DOWNLOADS_REPLY__INIT;
        job_list->replies[i] = copy_message(&message.base);
    }
    job_list->count = scene->downloads;
    return ERROR_NONE;
}

static char *notice(void *context)
{
    const struct scene *scene = context;

    return scene->notice ? memory_copy_string(scene->notice) : NULL;
}

static void play(struct scene *scene)
{
    const struct menu_terminal terminal = {ask, say, scene};
    const struct menu_peer peer = {search, get, put, list, words, downloads, notice, scene};

    buffer_init(&scene->screen, 1 << 16);
    buffer_init(&scene->asked, 1 << 16);
    buffer_append_string(&scene->asked, "");
    enum line_result result = menu_run(&terminal, &peer);
    assert_int_equal(result, scene->at_end == LINE_INTERRUPTED ? LINE_INTERRUPTED : LINE_END);
}

static void flows(void **state)
{
    static const struct {
        const char *typed[TYPED_MAX + 1];
        struct scene scene;
        const char *screen;
        const char *asked;
    } rows[] = {
        {{"0"}, {0}, BYE, ""},
        {{"x", "0"},
         {.notice = "Aviso: otro\x1b."},
         "\nAviso: otro?.\n" MENU_LINES "x\nOpción no válida. Intente de nuevo.\n" BYE,
         ""},
        {{" 0\t"}, {0}, MENU " 0\t\nSaliendo del menú.\n", ""},
        {{"x", "0"}, {0}, MENU "x\nOpción no válida. Intente de nuevo.\n" BYE, ""},
        {{"", "0"}, {0}, MENU "\nOpción no válida. Intente de nuevo.\n" BYE, ""},
        {{NULL}, {.at_end = LINE_END}, MENU "\nSaliendo del menú.\n", ""},
        {{"1"},
         {.at_end = LINE_END},
         MENU "1\nNombre del archivo a buscar: \nSaliendo del menú.\n",
         ""},
        {{NULL}, {.at_end = LINE_INTERRUPTED}, MENU, ""},
        {{"1", "", "0"},
         {0},
         MENU "1\nNombre del archivo a buscar: \nDebe ingresar nombre del archivo.\n" BYE,
         ""},
        {{"1", "a", "0"},
         {.search_code = ERROR_NOT_FOUND},
         MENU "1\nNombre del archivo a buscar: a\n"
              "Error al buscar archivo: Archivo 'a' no encontrado\n"
              "La opción 4 busca por una parte del nombre.\n" BYE,
         ""},
        {{"1", "a", "0"},
         {.peers = 0},
         MENU "1\nNombre del archivo a buscar: a\n"
              "Archivo 'a' no está disponible en ningún peer activo.\n" BYE,
         ""},
        {{"1", "a b", "2", "0"},
         {.peers = 2, .addresses = 1},
         MENU "1\nNombre del archivo a buscar: a b\n\nArchivo encontrado: a b\n"
              "Peers disponibles:\n1. Peer: Peer2 - Dirección gRPC: 10.0.0.1:8001\n"
              "2. Peer: Peer3 - Dirección gRPC: 10.0.0.1:8001\n"
              "Seleccione peer para descargar (número): 2\n"
              "Descargando desde Peer3 (10.0.0.1:8001)...\n"
              "Descarga iniciada en segundo plano...\n" BYE,
         "get a b from Peer3 10.0.0.1:8001"},
        {{"1", "a", "1", "0"},
         {.peers = 1, .addresses = 2, .get_code = ERROR_BUSY},
         MENU "1\nNombre del archivo a buscar: a\n\nArchivo encontrado: a\n"
              "Peers disponibles:\n1. Peer: Peer2 - Dirección gRPC: 10.0.0.1:8001, 10.0.0.2:8002\n"
              "Seleccione peer para descargar (número): 1\n"
              "Descargando desde Peer2 (10.0.0.1:8001, 10.0.0.2:8002)...\n"
              "❌ Error al descargar: no va\n" BYE,
         "get a from Peer2 10.0.0.1:8001 10.0.0.2:8002"},
        {{"1", "a", "1", "0"},
         {.peers = 1},
         MENU "1\nNombre del archivo a buscar: a\n\nArchivo encontrado: a\n"
              "Peers disponibles:\n1. Peer: Peer2 - Dirección gRPC: desconocida\n"
              "Seleccione peer para descargar (número): 1\n"
              "Descargando desde Peer2 (desconocida)...\n"
              "Descarga iniciada en segundo plano...\n" BYE,
         "get a from Peer2"},
        {{"1", "a", "2", "0"},
         {.peers = 1, .addresses = 1},
         MENU "1\nNombre del archivo a buscar: a\n\nArchivo encontrado: a\n"
              "Peers disponibles:\n1. Peer: Peer2 - Dirección gRPC: 10.0.0.1:8001\n"
              "Seleccione peer para descargar (número): 2\nSelección inválida.\n" BYE,
         ""},
        {{"1", "a", "uno", "0"},
         {.peers = 1, .addresses = 1},
         MENU "1\nNombre del archivo a buscar: a\n\nArchivo encontrado: a\n"
              "Peers disponibles:\n1. Peer: Peer2 - Dirección gRPC: 10.0.0.1:8001\n"
              "Seleccione peer para descargar (número): uno\n"
              "Debe ingresar un número válido.\n" BYE,
         ""},
        {{"2", "h:1", "a.txt", "0"},
         {0},
         MENU "2\nDirección del peer (ip:puerto) destino: h:1\n"
              "Ruta del archivo local a subir (desde el directorio compartido): a.txt\n"
              "Resultado de subida: True Escrito 5 bytes en a.txt\n" BYE,
         "put a.txt to h:1"},
        {{"2", "h:1", "a.txt", "0"},
         {.refused = true},
         MENU "2\nDirección del peer (ip:puerto) destino: h:1\n"
              "Ruta del archivo local a subir (desde el directorio compartido): a.txt\n"
              "Resultado de subida: False Ya existe a.txt\n" BYE,
         "put a.txt to h:1"},
        {{"2", "h:1", "a.txt", "0"},
         {.no_file = true},
         MENU "2\nDirección del peer (ip:puerto) destino: h:1\n"
              "Ruta del archivo local a subir (desde el directorio compartido): a.txt\n"
              "El archivo no existe: /data/a.txt\n" BYE,
         "put a.txt to h:1"},
        {{"2", "h:1", "a.txt", "0"},
         {.put_code = ERROR_UNREACHABLE},
         MENU "2\nDirección del peer (ip:puerto) destino: h:1\n"
              "Ruta del archivo local a subir (desde el directorio compartido): a.txt\n"
              "Error al subir archivo: sin conexión\n" BYE,
         "put a.txt to h:1"},
        {{"2", "", "a.txt", "0"},
         {0},
         MENU "2\nDirección del peer (ip:puerto) destino: \n"
              "Ruta del archivo local a subir (desde el directorio compartido): a.txt\n"
              "Debe ingresar peer y ruta del archivo.\n" BYE,
         ""},
        {{"3", "h:1", "0"},
         {.files = 1},
         MENU "3\nDirección del peer (ip:puerto) a listar: h:1\nArchivos remotos:\n"
              "- a?[2J.txt (12 bytes)\n" BYE,
         "list h:1"},
        {{"3", "h:1", "0"},
         {0},
         MENU "3\nDirección del peer (ip:puerto) a listar: h:1\nSin archivos remotos.\n" BYE,
         "list h:1"},
        {{"3", "h:1", "0"},
         {.list_code = ERROR_TIMEOUT},
         MENU "3\nDirección del peer (ip:puerto) a listar: h:1\n"
              "Error al listar archivos: sin conexión\n" BYE,
         "list h:1"},
        {{"3", "", "0"},
         {0},
         MENU "3\nDirección del peer (ip:puerto) a listar: \nDebe ingresar peer destino.\n" BYE,
         ""},
        {{"5", "0"}, {0}, MENU "5\nSin descargas.\n" BYE, ""},
        {{"5", "0"},
         {.downloads = 2},
         MENU "5\nDescargas:\n"
              "- 1. a?[2J.iso: descargando, 25 % de 4.0 MiB, 1.0 MiB/s, quedan 0:03, 3 fuentes\n"
              "- 2. b.iso: espera, 25 % de 4.0 MiB: no hay fuentes\n" BYE,
         ""},
        {{"5", "0"},
         {.downloads_code = ERROR_UNREACHABLE},
         MENU "5\nError al ver descargas: sin conexión\n" BYE,
         ""},
        {{"4", "", "0"}, {0}, MENU WORDS "\nDebe ingresar alguna palabra.\n" BYE, ""},
        {{"4", "a b", "0"},
         {0},
         MENU WORDS "a b\nNingún archivo tiene esas palabras en su nombre.\n" BYE,
         "words a b from '' "},
        {{"4", "a", "0"},
         {.words_code = ERROR_UNREACHABLE},
         MENU WORDS "a\nError al buscar archivos: No hay directorio\n" BYE,
         "words a from '' "},
        {{"4", "a", "", "0"},
         {.hits = 2},
         MENU WORDS "a\n" HITS WHICH "\n" BYE,
         "words a from '' "},
        {{"4", "a", "3", "0"},
         {.hits = 2},
         MENU WORDS "a\n" HITS WHICH "3\nSelección inválida.\n" BYE,
         "words a from '' "},
        {{"4", "a", "m", "0"},
         {.hits = 2},
         MENU WORDS "a\n" HITS WHICH "m\nSelección inválida.\n" BYE,
         "words a from '' "},
        {{"4", "a", "2", "0"},
         {.hits = 2},
         MENU WORDS "a\n" HITS WHICH
                    "2\nDescargando dos.txt...\nDescarga iniciada en segundo plano...\n" BYE,
         "words a from '' get dos.txt from "},
        {{"4", "a", "dos.txt", "0"},
         {.hits = 2, .get_code = ERROR_IO},
         MENU WORDS "a\n" HITS WHICH
                    "dos.txt\nDescargando dos.txt...\n❌ Error al descargar: no va\n" BYE,
         "words a from '' get dos.txt from "},
        {{"4", "a", "1", "1", "0"},
         {.hits = 2, .same_names = true, .peers = 1, .addresses = 1},
         MENU WORDS "a\nArchivos encontrados:\n1. dos.txt (486 B, 1 peer, c06e5a36b4bc)\n"
                    "2. dos.txt (2 peers)\n" WHICH
                    "1\n\nArchivo encontrado: dos.txt\nPeers disponibles:\n"
                    "1. Peer: Peer2 - Dirección gRPC: 10.0.0.1:8001\n"
                    "Seleccione peer para descargar (número): 1\n"
                    "Descargando desde Peer2 (10.0.0.1:8001)...\n"
                    "Descarga iniciada en segundo plano...\n" BYE,
         "words a from '' get dos.txt from Peer2 10.0.0.1:8001"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene scene = rows[i].scene;
        scene.typed = rows[i].typed;
        if (scene.at_end == LINE_READ)
            scene.at_end = LINE_END;
        play(&scene);
        if (strcmp(scene.screen.data, rows[i].screen) != 0)
            fail_msg("row %zu:\n%s\nbut expected:\n%s", i, scene.screen.data, rows[i].screen);
        check_row(i, strcmp(scene.asked.data ? scene.asked.data : "", rows[i].asked) == 0);
        buffer_done(&scene.screen);
        buffer_done(&scene.asked);
    }
}

/* The first two go on, then every second one waits: these are shown, up to 50. */
static void too_many_downloads(void **state)
{
    static const char *const typed[] = {"5", "0", NULL};
    struct scene scene = {.typed = typed, .downloads = DOWNLOADS_MAX};

    (void)state;
    play(&scene);
    assert_non_null(strstr(scene.screen.data, "Descargas:\n- 1. a?[2J.iso: descargando, "));
    assert_non_null(strstr(scene.screen.data, "\n- 2. b.iso: espera, 25 % de 4.0 MiB: no hay"));
    assert_non_null(strstr(scene.screen.data, "\n- 4. b.iso: en cola, "));
    assert_non_null(strstr(scene.screen.data, "\n- 98. b.iso: en cola, "));
    assert_null(strstr(scene.screen.data, "\n- 100. "));
    assert_null(strstr(scene.screen.data, "cancelada"));
    assert_non_null(strstr(scene.screen.data, "\n… y 70 más (p2p-peer downloads)\n"));
    buffer_done(&scene.screen);
    buffer_done(&scene.asked);
}

static void hits_in_pages(void **state)
{
    static const char *const typed[] = {"4", "a", "m", "21", "1", "0", NULL};
    struct scene scene = {.typed = typed, .hits = 21, .peers = 1, .addresses = 1};

    (void)state;
    play(&scene);
    assert_non_null(strstr(scene.screen.data, "\n20. dos.txt (20 peers)\n"
                                              "Archivo a descargar (número o nombre; m: ver más; "
                                              "Intro: volver): m\n21. uno?.txt "));
    assert_non_null(strstr(scene.asked.data, "words a from '' words a from '7.1' "));
    buffer_done(&scene.screen);
    buffer_done(&scene.asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(flows), cmocka_unit_test(hits_in_pages),
                                       cmocka_unit_test(too_many_downloads)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
