#include "directory/login_order.h"

#include "common/memory.h"

#include <stdlib.h>

enum { SMALLEST = 64 };

void login_order_done(struct login_order *order)
{
    free(order->places);
    *order = (struct login_order){0};
}

void login_order_append(struct login_order *order, uint64_t sequence, struct peer *peer)
{
    if (order->count == order->capacity) {
        order->capacity = order->capacity ? order->capacity * 2 : SMALLEST;
        order->places = memory_resize(order->places, order->capacity, sizeof *order->places);
    }
    order->places[order->count++] = (struct login_place){.sequence = sequence, .peer = peer};
}

static int compare(const void *left, const void *right)
{
    const struct login_place *a = left;
    const struct login_place *b = right;

    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

void login_order_sort(struct login_order *order)
{
    if (order->count > 0)
        qsort(order->places, order->count, sizeof *order->places, compare);
}

static void close_gaps(struct login_order *order)
{
    size_t kept = 0;

    for (size_t i = 0; i < order->count; i++)
        if (order->places[i].peer)
            order->places[kept++] = order->places[i];
    order->count = kept;
    order->gaps = 0;
}

void login_order_remove(struct login_order *order, uint64_t sequence, const struct peer *peer)
{
    size_t place = sequence > 0 ? login_order_after(order, sequence - 1) : 0;

    while (place < order->count && order->places[place].peer != peer &&
           order->places[place].sequence == sequence)
        place++; /* equal ones come from a database that others have changed */
    if (place == order->count || order->places[place].peer != peer)
        return;
    order->places[place].peer = NULL;
    order->gaps++;
    while (order->count > 0 && !order->places[order->count - 1].peer) {
        order->count--;
        order->gaps--;
    }
    if (order->gaps > SMALLEST && order->gaps > order->count / 2)
        close_gaps(order);
}

size_t login_order_after(const struct login_order *order, uint64_t sequence)
{
    size_t low = 0;
    size_t high = order->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order->places[middle].sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
