#include "peer/terminal/menu/menu_ends.h"

#include "common/memory.h"

bool menu_ends_take(struct menu_ends *ends, bool failed, int64_t now_ms)
{
    bool counting = ends->done + ends->failed > 0;

    if (!counting && now_ms - ends->window_ms >= MENU_ENDS_WINDOW_MS) {
        ends->window_ms = now_ms;
        ends->told = 0;
    }
    if (!counting && ends->told < MENU_ENDS_TOLD) {
        ends->told++;
        return true;
    }
    if (!counting)
        ends->first_ms = now_ms;
    ends->last_ms = now_ms;
    if (failed)
        ends->failed++;
    else
        ends->done++;
    return false;
}

static int64_t due_ms(const struct menu_ends *ends)
{
    int64_t quiet_ms = ends->last_ms + MENU_ENDS_QUIET_MS;
    int64_t latest_ms = ends->first_ms + MENU_ENDS_SUM_MS;

    return quiet_ms < latest_ms ? quiet_ms : latest_ms;
}

int menu_ends_wait_ms(const struct menu_ends *ends, int64_t now_ms)
{
    if (ends->done + ends->failed == 0)
        return -1;
    return due_ms(ends) > now_ms ? (int)(due_ms(ends) - now_ms) : 0;
}

char *menu_ends_sum(struct menu_ends *ends, bool at_once, int64_t now_ms)
{
    unsigned count = ends->done + ends->failed;
    auto_free char *failed = NULL;

    if (count == 0 || (!at_once && due_ms(ends) > now_ms))
        return NULL;
    failed =
        ends->failed > 0 ? memory_format(", %u con error", ends->failed) : memory_copy_string("");
    ends->done = ends->failed = 0;
    ends->window_ms = now_ms; /* who goes on like that is counted on */
    ends->told = MENU_ENDS_TOLD;
    return memory_format(count == 1 ? "… y %u descarga más terminada%s"
                                    : "… y %u descargas más terminadas%s",
                         count, failed);
}
