#include "peer/downloads/job_queue.h"

#include "common/memory.h"

#include <stdlib.h>

#define CAPACITY_MIN 64

void job_queue_init(struct job_queue *queue)
{
    *queue = (struct job_queue){.count = 0};
    TAILQ_INIT(&queue->resting);
}

void job_queue_done(struct job_queue *queue)
{
    free(queue->heap);
}

/* ---- the heap ---- */

static bool goes_before(const struct job_queue_entry *left, const struct job_queue_entry *right)
{
    if (left->priority != right->priority)
        return left->priority > right->priority;
    return left->age < right->age;
}

static void put(struct job_queue *queue, struct job_queue_entry *entry, size_t place)
{
    queue->heap[place] = entry;
    entry->place = place;
}

static void rise(struct job_queue *queue, struct job_queue_entry *entry)
{
    size_t place = entry->place;

    for (; place > 1 && goes_before(entry, queue->heap[place / 2]); place /= 2)
        put(queue, queue->heap[place / 2], place);
    put(queue, entry, place);
}

static void sink(struct job_queue *queue, struct job_queue_entry *entry)
{
    size_t place = entry->place;

    for (size_t child = 2 * place; child <= queue->count; child = 2 * place) {
        if (child < queue->count && goes_before(queue->heap[child + 1], queue->heap[child]))
            child++;
        if (!goes_before(queue->heap[child], entry))
            break;
        put(queue, queue->heap[child], place);
        place = child;
    }
    put(queue, entry, place);
}

static size_t *waiting(struct job_queue *queue, enum download_priority priority)
{
    return &queue->waiting[priority - DOWNLOAD_LOW];
}

static void remove_from_heap(struct job_queue *queue, struct job_queue_entry *entry)
{
    struct job_queue_entry *last = queue->heap[queue->count--];
    size_t place = entry->place;

    --*waiting(queue, entry->priority);
    entry->place = 0;
    if (last == entry)
        return;
    put(queue, last, place);
    rise(queue, last);
    sink(queue, last);
}

/* ---- the line ---- */

void job_queue_add(struct job_queue *queue, struct job_queue_entry *entry)
{
    if (queue->count + 1 >= queue->capacity) {
        queue->capacity = queue->capacity > 0 ? 2 * queue->capacity : CAPACITY_MIN;
        queue->heap = memory_resize(queue->heap, queue->capacity, sizeof *queue->heap);
    }
    ++*waiting(queue, entry->priority);
    put(queue, entry, ++queue->count);
    rise(queue, entry);
}

void job_queue_rest(struct job_queue *queue, struct job_queue_entry *entry, int64_t until_ms)
{
    entry->rests = true;
    entry->rest_end_ms = until_ms;
    TAILQ_INSERT_TAIL(&queue->resting, entry, next);
    queue->resting_count++;
}

void job_queue_remove(struct job_queue *queue, struct job_queue_entry *entry)
{
    if (entry->rests) {
        TAILQ_REMOVE(&queue->resting, entry, next);
        entry->rests = false;
        queue->resting_count--;
    } else if (entry->place > 0) {
        remove_from_heap(queue, entry);
    }
}

void job_queue_set_priority(struct job_queue *queue, struct job_queue_entry *entry,
                            enum download_priority priority)
{
    bool waits = entry->place > 0;

    if (waits)
        remove_from_heap(queue, entry);
    entry->priority = priority;
    if (waits)
        job_queue_add(queue, entry);
}

void job_queue_wake(struct job_queue *queue, int64_t now_ms)
{
    struct job_queue_entry *first;

    while ((first = TAILQ_FIRST(&queue->resting)) && first->rest_end_ms <= now_ms) {
        job_queue_remove(queue, first);
        job_queue_add(queue, first);
    }
}

struct job *job_queue_take(struct job_queue *queue)
{
    struct job_queue_entry *first =
        queue->count > 0 ? queue->heap[1] : TAILQ_FIRST(&queue->resting);

    if (!first)
        return NULL;
    job_queue_remove(queue, first);
    return first->job;
}

size_t job_queue_take_some(struct job_queue *queue, size_t max, struct job **jobs)
{
    const struct job_queue_entry *head = queue->count > 0 ? queue->heap[1] : NULL;
    size_t count = 0;

    jobs[count] = job_queue_take(queue);
    if (!jobs[count++])
        return 0;
    while (head && count < max && queue->count > 0 && queue->heap[1]->priority == head->priority)
        jobs[count++] = job_queue_take(queue);
    return count;
}

size_t job_queue_count(const struct job_queue *queue)
{
    return queue->count + queue->resting_count;
}

size_t job_queue_above(const struct job_queue *queue, enum download_priority priority)
{
    size_t count = 0;

    for (int each = priority + 1; each <= DOWNLOAD_HIGH; each++)
        count += queue->waiting[each - DOWNLOAD_LOW];
    return count;
}
