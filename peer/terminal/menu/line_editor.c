#include "peer/terminal/menu/line_editor.h"

#include "common/memory.h"
#include "common/text.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define HISTORY_LINES    100
#define FALLBACK_COLUMNS 80

struct line_editor {
    EditLine *edit;
    HistoryW *history;
    struct menu_events *events;
    char *prompt; /* of the line that is being read; owned */
    int signal_number;
    int pending; /* a byte that was read too early; -1 for none */
};

/* ---- the screen ---- */

static size_t screen_columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return FALLBACK_COLUMNS;
    return size.ws_col;
}

/* Columns between the beginning of the prompt and the cursor. */
static size_t cursor_columns(struct line_editor *editor)
{
    const LineInfoW *line = el_wline(editor->edit);
    size_t columns = text_columns(editor->prompt);

    for (const wchar_t *c = line->buffer; c < line->cursor; c++) {
        int width = wcwidth(*c);
        columns += width > 0 ? (size_t)width : 0;
    }
    return columns;
}

/* Takes the prompt and what is typed off the screen; the cursor is where the prompt began. */
static void hide_line(struct line_editor *editor)
{
    size_t rows = cursor_columns(editor) / screen_columns();

    fputs("\r", stdout);
    if (rows > 0)
        printf("\033[%zuA", rows);
    fputs("\033[J", stdout);
}

static void show_notices(struct line_editor *editor)
{
    bool hidden = false;

    for (char *line = menu_events_take_line(editor->events); line;
         line = menu_events_take_line(editor->events)) {
        if (!hidden)
            hide_line(editor);
        hidden = true;
        puts(line);
        free(line);
    }
    fflush(stdout);
    if (hidden)
        el_wset(editor->edit, EL_REFRESH);
}

/* Most terminals fill their lines anew: the cursor is where it would be had it all been written at
 * this width. */
static void resize(struct line_editor *editor)
{
    hide_line(editor);
    fflush(stdout);
    el_resize(editor->edit);
    el_wset(editor->edit, EL_REFRESH);
}

static void suspend(struct line_editor *editor)
{
    el_wset(editor->edit, EL_PREP_TERM, 0);
    fputs("\n", stdout);
    fflush(stdout);
    (void)kill(getpid(), SIGSTOP);
    el_wset(editor->edit, EL_PREP_TERM, 1);
    el_wset(editor->edit, EL_REFRESH);
}

static void take_events(struct line_editor *editor)
{
    menu_events_seen(editor->events);
    for (int number = menu_events_take_signal(editor->events); number;
         number = menu_events_take_signal(editor->events)) {
        if (number == SIGWINCH)
            resize(editor);
        else if (number == SIGTSTP)
            suspend(editor);
        else
            editor->signal_number = number;
    }
    show_notices(editor);
}

/* ---- keys ---- */

/* The rest of a character whose first byte was read; bytes that are no UTF-8 are '?'. */
static void assemble(struct line_editor *editor, char first, wchar_t *character)
{
    mbstate_t state = {0};
    char byte = first;

    for (size_t taken = 1;; taken++) {
        size_t result = mbrtowc(character, &byte, 1, &state);
        if (result != (size_t)-1 && result != (size_t)-2)
            return;
        if (result == (size_t)-1 && taken > 1)
            editor->pending = (unsigned char)byte; /* it is the next character's, if any's */
        struct pollfd more = {.fd = STDIN_FILENO, .events = POLLIN};
        /* A terminal sends a character's bytes together. */
        if (result == (size_t)-1 || poll(&more, 1, 100) <= 0 || read(STDIN_FILENO, &byte, 1) != 1) {
            *character = L'?';
            return;
        }
    }
}

/* The next byte; false at the end of input, and when a signal interrupts. */
static bool read_byte(struct line_editor *editor, char *byte)
{
    struct pollfd polled[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = menu_events_descriptor(editor->events), .events = POLLIN},
    };

    if (editor->pending >= 0) {
        *byte = (char)editor->pending;
        editor->pending = -1;
        return true;
    }
    for (;;) {
        int ready = poll(polled, ARRAY_LENGTH(polled), menu_events_wait_ms(editor->events));
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready == 0 || polled[1].revents)
            take_events(editor);
        if (editor->signal_number)
            return false;
        if (!polled[0].revents)
            continue;
        ssize_t count = read(STDIN_FILENO, byte, 1);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        return count > 0;
    }
}

/* What libedit calls for each key: 1 and the key, 0 at the end of input. */
static int read_key(EditLine *edit, wchar_t *character)
{
    struct line_editor *editor;
    char byte;

    el_wget(edit, EL_CLIENTDATA, &editor);
    if (!read_byte(editor, &byte))
        return 0;
    assemble(editor, byte, character);
    return 1;
}

static char *give_prompt(EditLine *edit)
{
    struct line_editor *editor;

    el_wget(edit, EL_CLIENTDATA, &editor);
    return editor->prompt;
}

/* ---- the editor ---- */

/* Terminals that cannot move the cursor get plain lines. */
static bool terminal_is_able(void)
{
    const char *term = getenv("TERM");

    return term && term[0] && strcmp(term, "dumb") != 0;
}

struct line_editor *line_editor_new(struct menu_events *events)
{
    HistEventW event;

    if (!terminal_is_able())
        return NULL;
    struct line_editor *editor = memory_new(1, sizeof *editor);
    editor->events = events;
    editor->pending = -1;
    editor->prompt = memory_copy_string("");
    editor->edit = el_init("p2p-peer", stdin, stdout, stderr);
    editor->history = history_winit();
    if (!editor->edit || !editor->history) {
        line_editor_free(editor);
        return NULL;
    }
    history_w(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history_w(editor->history, &event, H_SETUNIQUE, 1);
    el_wset(editor->edit, EL_CLIENTDATA, editor);
    el_wset(editor->edit, EL_HIST, history_w, editor->history);
    el_set(editor->edit, EL_PROMPT, give_prompt);
    el_wset(editor->edit, EL_EDITOR, L"emacs");
    el_wset(editor->edit, EL_SIGNAL, 0);
    el_wset(editor->edit, EL_GETCFN, read_key);
    return editor;
}

void line_editor_free(struct line_editor *editor)
{
    if (!editor)
        return;
    if (editor->edit)
        el_end(editor->edit);
    if (editor->history)
        history_wend(editor->history);
    free(editor->prompt);
    free(editor);
}

int line_editor_signal(const struct line_editor *editor)
{
    return editor->signal_number;
}

static void remember(struct line_editor *editor, const wchar_t *line)
{
    HistEventW event;

    if (line[0] != L'\0' && line[0] != L'\n')
        history_w(editor->history, &event, H_ENTER, line);
}

enum line_result line_editor_read(struct line_editor *editor, const char *prompt, char *line,
                                  size_t size)
{
    int count = 0;

    free(editor->prompt);
    editor->prompt = memory_copy_string(prompt);
    line[0] = '\0';
    const wchar_t *typed = el_wgets(editor->edit, &count);
    if (editor->signal_number) {
        puts("");
        return LINE_INTERRUPTED;
    }
    if (!typed || count <= 0)
        return LINE_END;
    remember(editor, typed);
    size_t length = wcstombs(line, typed, size - 1);
    line[length == (size_t)-1 ? 0 : length] = '\0';
    text_cut(line, size - 1);
    return LINE_READ;
}
