/* 4: files by words, which the reference cannot find. */
#include "peer/terminal/menu/menu_private.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/terminal/word_hits.h"

#include <inttypes.h>
#include <string.h>

#define PAGE_HITS 20 /* of one screen */

static void show_hits(const struct menu *menu, const struct word_hits *hits, size_t first)
{
    char text[WORD_HIT_BYTES];

    if (hits->note[0])
        menu_say(menu, "%s", hits->note);
    for (size_t i = first; i < hits->count; i++)
        menu_say(menu, "%zu. %s (%s)", i + 1, hits->items[i]->name,
                 word_hit_describe(hits->items[i], text));
    if (hits->more && !hits->cursor[0])
        menu_say(menu, "… y hay más: añada palabras.");
}

/* The hit that was typed, by its number or name; count: none. */
static size_t find_typed(const struct word_hits *hits, const char *line)
{
    long long number;

    if (text_to_integer(line, 1, (long long)hits->count, &number))
        return (size_t)number - 1;
    size_t i = 0;
    while (i < hits->count && strcmp(hits->items[i]->name, line) != 0)
        i++;
    return i;
}

static bool is_only_one(const struct word_hits *hits, size_t number)
{
    for (size_t i = 0; i < hits->count; i++)
        if (i != number && strcmp(hits->items[i]->name, hits->items[number]->name) == 0)
            return false;
    return true;
}

/* From all who have it; of several contents of one name the user has to choose. */
static enum line_result download(const struct menu *menu, const struct word_hits *hits,
                                 size_t number)
{
    P2p__Control__GetRequest request = P2P__CONTROL__GET_REQUEST__INIT;
    struct error error;

    request.name = hits->items[number]->name;
    if (!is_only_one(hits, number))
        return menu_download(menu, request.name);
    menu_say(menu, "Descargando %s...", request.name);
    if (menu->peer->get(menu->peer->context, &request, &error) != ERROR_NONE)
        menu_say(menu, "❌ Error al descargar: %s", error.text);
    else
        menu_say(menu, "Descarga iniciada en segundo plano...");
    return LINE_READ;
}

/* The next page. False: there is none, which has been told. */
static bool find_more(const struct menu *menu, char *words, struct word_hits *hits)
{
    P2p__Control__WordsRequest request = P2P__CONTROL__WORDS_REQUEST__INIT;
    struct control_taker taker = {.take = word_hits_take, .context = hits};
    auto_free char *cursor = memory_copy_string(hits->cursor);
    struct error error;

    request.words = words;
    request.limit = PAGE_HITS;
    request.cursor = cursor;
    if (menu->peer->words(menu->peer->context, &request, &taker, &error) == ERROR_NONE)
        return true;
    menu_say(menu, "Error al buscar archivos: %s", error.text);
    return false;
}

/* Shows what there is and has one chosen, page by page. */
static enum line_result choose_hit(const struct menu *menu, char *words, struct word_hits *hits)
{
    char line[MENU_LINE_BYTES];

    for (size_t shown = 0;;) {
        const char *prompt = hits->cursor[0] ? "Archivo a descargar (número o nombre; m: ver más; "
                                               "Intro: volver): "
                                             : "Archivo a descargar (número o nombre; Intro: "
                                               "volver): ";
        show_hits(menu, hits, shown);
        shown = hits->count;
        enum line_result result = menu_ask(menu, prompt, line);
        if (result != LINE_READ || line[0] == '\0')
            return result;
        size_t number = find_typed(hits, line);
        if (number < hits->count)
            return download(menu, hits, number);
        if (strcmp(line, "m") != 0 || !hits->cursor[0]) {
            menu_say(menu, "Selección inválida.");
            return LINE_READ;
        }
        if (!find_more(menu, words, hits))
            return LINE_READ;
    }
}

enum line_result menu_words(const struct menu *menu)
{
    char words[MENU_LINE_BYTES];
    struct word_hits hits;

    enum line_result result = menu_ask(menu, "Palabras a buscar: ", words);
    if (result != LINE_READ)
        return result;
    if (words[0] == '\0') {
        menu_say(menu, "Debe ingresar alguna palabra.");
        return LINE_READ;
    }
    word_hits_init(&hits);
    if (find_more(menu, words, &hits)) {
        menu_say(menu, hits.count > 0 ? "Archivos encontrados:"
                                      : "Ningún archivo tiene esas palabras en su nombre.");
        if (hits.count > 0)
            result = choose_hit(menu, words, &hits);
    }
    word_hits_done(&hits);
    return result;
}
