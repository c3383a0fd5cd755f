#include "peer/network/name_rival.h"

#include <stdio.h>
#include <string.h>

/* The directory has another list than ours, though it was told no other one now. */
static bool has_lost(const struct name_rival_login *login)
{
    return login->session->says_index && login->session->index_needed && !login->with_index;
}

static void note_loss(struct name_rival *rival, const struct name_rival_login *login)
{
    int64_t hold_ms = login->session->expiry_ms;

    if (login->now_ms - rival->lost_ms >= NAME_RIVAL_FORGET_MS)
        rival->losses = 0;
    rival->losses++;
    rival->lost_ms = login->now_ms;
    if (rival->losses < 2) /* once: the directory may have been given an older database */
        return;
    for (unsigned i = 2; i < rival->losses && hold_ms < NAME_RIVAL_HOLD_MAX_MS; i++)
        hold_ms *= 2;
    if (hold_ms > NAME_RIVAL_HOLD_MAX_MS)
        hold_ms = NAME_RIVAL_HOLD_MAX_MS;
    rival->status.is_there = rival->status.is_listed = true;
    rival->hold_until_ms = login->now_ms + hold_ms;
}

static bool is_gone(const struct name_rival *rival, const struct name_rival_login *login)
{
    if (!rival->status.address[0])
        return login->now_ms >= rival->hold_until_ms;
    return login->is_new_token || login->now_ms - rival->seen_ms >= login->session->expiry_ms;
}

enum name_rival_news name_rival_note(struct name_rival *rival, const struct name_rival_login *login)
{
    const struct directory_session *session = login->session;
    struct name_rival_status *status = &rival->status;
    bool was_there = status->is_there;
    /* Who has moved is told of the address that was its own. */
    bool has_moved = rival->local[0] && strcmp(rival->local, session->local_address) != 0;

    memcpy(rival->local, session->local_address, sizeof rival->local);
    if (session->says_index && !session->index_needed)
        status->is_listed = false;
    if (session->other_address[0] && !has_moved) {
        status->is_there = true;
        status->is_listed |= has_lost(login);
        memcpy(status->address, session->other_address, sizeof status->address);
        rival->seen_ms = login->now_ms;
    } else if (status->is_there && is_gone(rival, login)) {
        *status = (struct name_rival_status){.is_there = false};
    } else if (!has_moved && !status->is_there && login->was_certain && has_lost(login)) {
        note_loss(rival, login);
    }
    if (status->is_there == was_there)
        return NAME_RIVAL_NO_NEWS;
    return was_there ? NAME_RIVAL_GOES : NAME_RIVAL_COMES;
}
