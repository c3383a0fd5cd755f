#include "peer/share/list/kept.h"

#include "common/memory.h"
#include "peer/share/list/walk.h"
#include "peer/share/share_private.h"

#include <stdlib.h>
#include <sys/eventfd.h>

/* Names beyond these are found by the next look at all. */
#define AGAIN_MAX 1024

void kept_init(struct kept *kept)
{
    pthread_mutex_init(&kept->lock, NULL);
    pthread_cond_init(&kept->answered, NULL);
    kept->wake = -1;
}

void kept_done(struct kept *kept)
{
    for (size_t i = 0; i < kept->again_count; i++)
        free(kept->again[i]);
    free(kept->again);
    listing_release(kept->listing);
    pthread_cond_destroy(&kept->answered);
    pthread_mutex_destroy(&kept->lock);
}

void kept_begin(struct share *share, int wake)
{
    pthread_mutex_lock(&share->kept.lock);
    share->kept.wake = wake;
    pthread_mutex_unlock(&share->kept.lock);
}

void kept_end(struct share *share)
{
    struct kept *kept = &share->kept;

    pthread_mutex_lock(&kept->lock);
    kept->wake = -1;
    listing_release(take_pointer(&kept->listing));
    pthread_cond_broadcast(&kept->answered);
    pthread_mutex_unlock(&kept->lock);
}

uint64_t kept_take(struct share *share, struct pending *pending)
{
    struct kept *kept = &share->kept;

    pthread_mutex_lock(&kept->lock);
    uint64_t number = kept->asked;
    for (size_t i = 0; i < kept->again_count; i++) {
        pending_add_path(pending, kept->again[i]);
        free(kept->again[i]);
    }
    free(kept->again);
    kept->again = NULL;
    kept->again_count = 0;
    pthread_mutex_unlock(&kept->lock);
    return number;
}

void kept_answer(struct share *share, uint64_t number, struct listing *listing,
                 const struct error *error)
{
    struct kept *kept = &share->kept;

    pthread_mutex_lock(&kept->lock);
    struct listing *before = kept->listing;
    kept->listing = listing ? listing_hold(listing) : NULL;
    kept->error = *error;
    kept->served = number;
    pthread_cond_broadcast(&kept->answered);
    pthread_mutex_unlock(&kept->lock);
    listing_release(before);
}

/* False: nobody keeps it. */
static bool ask(struct kept *kept, struct listing **listing, struct error *error)
{
    pthread_mutex_lock(&kept->lock);
    uint64_t number = ++kept->asked;
    if (kept->wake >= 0)
        eventfd_write(kept->wake, 1);
    while (kept->wake >= 0 && kept->served < number)
        pthread_cond_wait(&kept->answered, &kept->lock);
    bool is_kept = kept->wake >= 0;
    *listing = is_kept && kept->listing ? listing_hold(kept->listing) : NULL;
    *error = kept->error;
    pthread_mutex_unlock(&kept->lock);
    return is_kept;
}

enum error_code share_listing(struct share *share, struct listing **listing, struct error *error)
{
    struct error reason;

    if (!ask(&share->kept, listing, &reason))
        return walk_share(share, NULL, NULL, listing, error);
    if (*listing)
        return ERROR_NONE;
    if (error)
        *error = reason;
    return reason.code;
}

void share_look_again(struct share *share, const struct file_name *name)
{
    struct kept *kept = &share->kept;

    pthread_mutex_lock(&kept->lock);
    if (kept->wake >= 0 && kept->again_count < AGAIN_MAX) {
        kept->again = memory_resize(kept->again, kept->again_count + 1, sizeof(char *));
        kept->again[kept->again_count++] = memory_copy_string(name->text);
    }
    pthread_mutex_unlock(&kept->lock);
}
