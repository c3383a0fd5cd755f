#include "swarm.h"

#include "unit.h"

#define CHUNK_BYTES  262144.0
#define ASK_AHEAD_MS 250

static double piece_bytes(const struct swarm *swarm, size_t index)
{
    return (double)(index + 1 == swarm->count ? swarm->last_bytes : SWARM_PIECE_BYTES);
}

void swarm_init(struct swarm *swarm, uint64_t size_bytes, unsigned nodes, double mbit)
{
    *swarm = (struct swarm){.nodes = nodes, .latency_ms = 5, .look_ms = 250, .seed = 1};
    swarm->count = (size_t)((size_bytes + SWARM_PIECE_BYTES - 1) / SWARM_PIECE_BYTES);
    swarm->last_bytes = (size_t)(size_bytes - (swarm->count - 1) * SWARM_PIECE_BYTES);
    for (unsigned i = 0; i < nodes; i++)
        swarm->node[i] = (struct swarm_node){.up = mbit * SWARM_MBIT,
                                             .down = mbit * SWARM_MBIT,
                                             .dies_ms = SWARM_NEVER,
                                             .stalls_ms = SWARM_NEVER,
                                             .handouts = handouts_new()};
}

void swarm_receiver(struct swarm *swarm, unsigned node, const uint8_t *held)
{
    const struct pieces_options options = {
        .count = swarm->count,
        .piece_bytes = SWARM_PIECE_BYTES,
        .held = held,
        .in_order = swarm->in_order,
        .seed = swarm->seed * 1000 + node,
    };
    swarm->node[node].job = pieces_new(&options);
    swarm->node[node].done_ms = SWARM_NEVER;
}

void swarm_done(struct swarm *swarm)
{
    for (unsigned i = 0; i < swarm->nodes; i++) {
        pieces_free(swarm->node[i].job);
        handouts_free(swarm->node[i].handouts);
    }
}

/* What a giver says that it has; NULL: all. */
static const uint8_t *have_of(struct swarm *swarm, unsigned from, uint8_t *room)
{
    struct swarm_node *node = &swarm->node[from];

    if (node->job)
        return pieces_bits(node->job);
    if (node->gain_every_ms <= 0)
        return node->have;
    memset(room, 0, swarm->count / 8 + 1);
    for (size_t i = 0; i < swarm->count && (double)i * node->gain_every_ms <= swarm->now_ms; i++)
        room[i / 8] |= (uint8_t)(1U << i % 8);
    return room;
}

static bool really_has(struct swarm *swarm, unsigned from, size_t index)
{
    uint8_t *room = calloc(swarm->count / 8 + 1, 1);
    const uint8_t *have = have_of(swarm, from, room);
    bool has = !have || (have[index / 8] >> index % 8 & 1) != 0;

    free(room);
    return has;
}

static bool flow_active(const struct swarm_flow *flow)
{
    return flow->usable && flow->at < flow->run.count;
}

static void flow_look(struct swarm *swarm, unsigned to, unsigned from)
{
    struct swarm_flow *flow = &swarm->flow[to][from];
    uint8_t *room = calloc(swarm->count / 8 + 1, 1);

    pieces_source_has(swarm->node[to].job, from, have_of(swarm, from, room));
    flow->look_ms = swarm->now_ms + swarm->look_ms;
    free(room);
}

/* Who has all gives what it has given least, if it may. */
static void flow_choose(struct swarm *swarm, unsigned to, unsigned from)
{
    static const struct content_id content;
    struct swarm_node *giver = &swarm->node[from];
    struct swarm_flow *flow = &swarm->flow[to][from];
    struct pieces *job = swarm->node[to].job;
    uint8_t others[512] = {0};

    if (swarm->in_order || giver->job || giver->have || giver->gain_every_ms > 0 ||
        pieces_alternatives(job, from, &flow->run, 0, sizeof others * 8, others) == 0)
        return;
    const struct handout_wish wish = {.content = &content,
                                      .piece_count = swarm->count,
                                      .asked = {flow->run.first, flow->run.count},
                                      .alternatives = others,
                                      .bytes = sizeof others};
    struct handout given = handouts_choose(giver->handouts, &wish);
    flow->run = (struct pieces_run){given.first, given.count};
    pieces_move_run(job, from, flow->run);
}

static void skip_unwanted(struct swarm *swarm, unsigned to, unsigned from)
{
    struct swarm_flow *flow = &swarm->flow[to][from];

    while (flow->at < flow->run.count &&
           !pieces_wanted(swarm->node[to].job, from, flow->run.first + flow->at))
        flow->at++;
}

/* The next run is asked for when this one is about to end; of a partial giver every message says
 * what it has. */
static void flow_ask_ahead(struct swarm *swarm, unsigned to, unsigned from)
{
    struct swarm_flow *flow = &swarm->flow[to][from];
    struct pieces *job = swarm->node[to].job;
    double left = flow->left_bytes;

    if (swarm->node[from].job)
        flow_look(swarm, to, from);
    for (size_t i = flow->at + 1; i < flow->run.count; i++)
        left += piece_bytes(swarm, flow->run.first + i);
    if (left > flow->rate * ASK_AHEAD_MS)
        return;
    struct pieces_run run = pieces_next_ahead(job, from, (int64_t)swarm->now_ms);
    if (run.count > 0)
        flow->ahead = run;
}

/* The next piece of the run that is still wanted, or another run. */
static void flow_go_on(struct swarm *swarm, unsigned to, unsigned from, bool in_stream)
{
    struct swarm_flow *flow = &swarm->flow[to][from];
    struct pieces *job = swarm->node[to].job;
    size_t before = flow->at;

    skip_unwanted(swarm, to, from);
    if (flow->at == flow->run.count) {
        bool ahead = in_stream && pieces_begin_ahead(job, from, (int64_t)swarm->now_ms);
        if (!ahead) {
            if (swarm->now_ms >= flow->look_ms)
                flow_look(swarm, to, from);
            flow->ahead = pieces_next(job, from, (int64_t)swarm->now_ms);
        }
        flow->run = flow->ahead;
        flow->at = 0;
        if (flow->run.count > 0)
            flow_choose(swarm, to, from);
        in_stream = ahead; /* it was asked for in time */
        skip_unwanted(swarm, to, from);
        before = flow->at;
        for (size_t i = 0; i < flow->run.count; i++)
            assert_true(really_has(swarm, from, flow->run.first + i));
        for (size_t i = 0; swarm->in_order && flow->run.count > 0 && i < flow->run.first; i++) {
            bool taken = pieces_is_held(job, i);
            for (unsigned s = 0; s < swarm->nodes; s++)
                taken = taken || pieces_wanted(job, s, i);
            swarm->out_of_order |= !taken;
        }
    }
    if (flow->at == flow->run.count)
        return;
    if (!in_stream || flow->at != before)
        flow->starts_ms = swarm->now_ms + swarm->latency_ms;
    flow->left_bytes = piece_bytes(swarm, flow->run.first + flow->at);
    flow->chunk_bytes = flow->left_bytes < CHUNK_BYTES ? flow->left_bytes : CHUNK_BYTES;
}

static void flow_ends(struct swarm *swarm, unsigned to, unsigned from)
{
    struct swarm_flow *flow = &swarm->flow[to][from];

    flow->usable = false;
    flow->run.count = flow->at = 0;
    pieces_remove_source(swarm->node[to].job, from);
}

static void piece_came(struct swarm *swarm, unsigned to, unsigned from)
{
    struct swarm_flow *flow = &swarm->flow[to][from];
    struct pieces *job = swarm->node[to].job;
    size_t index = flow->run.first + flow->at++;

    swarm->fetched++;
    if (swarm->node[from].lies && ++flow->sent % 3 == 0) {
        pieces_miss(job, from, index);
        flow_ends(swarm, to, from);
        return;
    }
    size_t held = pieces_held(job);
    bool was_held = pieces_is_held(job, index);
    assert_true(pieces_hold(job, from, index, (int64_t)swarm->now_ms) == !was_held);
    assert_int_equal(pieces_held(job), held + !was_held);
    if (pieces_complete(job))
        swarm->node[to].done_ms = swarm->now_ms;
    flow_go_on(swarm, to, from, true);
}

static void chunk_came(struct swarm *swarm, unsigned to, unsigned from, double bytes)
{
    struct swarm_flow *flow = &swarm->flow[to][from];

    swarm->sent_bytes[from] += (uint64_t)bytes;
    pieces_received(swarm->node[to].job, from, (size_t)bytes, (int64_t)swarm->now_ms);
    if (flow->left_bytes >= 0.5)
        flow_ask_ahead(swarm, to, from);
    if (flow->left_bytes < 0.5)
        piece_came(swarm, to, from);
    else if (!pieces_wanted(swarm->node[to].job, from, flow->run.first + flow->at))
        flow_go_on(swarm, to, from, false);
    else
        flow->chunk_bytes = flow->left_bytes < CHUNK_BYTES ? flow->left_bytes : CHUNK_BYTES;
}

/* ---- the links ---- */

static bool flow_sends(const struct swarm *swarm, unsigned to, unsigned from)
{
    const struct swarm_flow *flow = &swarm->flow[to][from];

    return flow_active(flow) && flow->starts_ms <= swarm->now_ms &&
           swarm->node[from].stalls_ms > swarm->now_ms;
}

/* Max-min fairness: the link with the least for each of its flows is shared out first. */
static void share_links(struct swarm *swarm)
{
    double room[2 * SWARM_NODES];
    unsigned users[2 * SWARM_NODES] = {0};
    bool open[SWARM_NODES][SWARM_NODES];

    for (unsigned i = 0; i < swarm->nodes; i++) {
        room[i] = swarm->node[i].up;
        room[SWARM_NODES + i] = swarm->node[i].down;
    }
    for (unsigned to = 0; to < swarm->nodes; to++)
        for (unsigned from = 0; from < swarm->nodes; from++) {
            open[to][from] = flow_sends(swarm, to, from);
            swarm->flow[to][from].rate = 0;
            users[from] += open[to][from];
            users[SWARM_NODES + to] += open[to][from];
        }
    for (;;) {
        unsigned link = 2 * SWARM_NODES;
        for (unsigned i = 0; i < 2 * SWARM_NODES; i++)
            if (users[i] > 0 &&
                (link == 2 * SWARM_NODES || room[i] / users[i] < room[link] / users[link]))
                link = i;
        if (link == 2 * SWARM_NODES)
            return;
        double rate = room[link] / users[link];
        for (unsigned to = 0; to < swarm->nodes; to++)
            for (unsigned from = 0; from < swarm->nodes; from++) {
                if (!open[to][from] || (link != from && link != SWARM_NODES + to))
                    continue;
                open[to][from] = false;
                swarm->flow[to][from].rate = rate;
                room[from] -= rate;
                room[SWARM_NODES + to] -= rate;
                users[from]--;
                users[SWARM_NODES + to]--;
            }
    }
}

static double event_after(const struct swarm *swarm, double at_ms, double next_ms)
{
    return at_ms > swarm->now_ms && at_ms < next_ms ? at_ms : next_ms;
}

static double next_event(const struct swarm *swarm)
{
    double next = event_after(swarm, swarm->meet_ms, SWARM_NEVER);

    for (unsigned to = 0; to < swarm->nodes; to++) {
        const struct swarm_node *node = &swarm->node[to];
        next = event_after(swarm, node->dies_ms, next);
        next = event_after(swarm, node->stalls_ms, next);
        for (unsigned from = 0; from < swarm->nodes; from++) {
            const struct swarm_flow *flow = &swarm->flow[to][from];
            if (flow_active(flow))
                next = event_after(swarm, flow->starts_ms, next);
            else if (flow->usable && !pieces_complete(node->job))
                next = event_after(swarm, flow->look_ms, next);
            if (flow->rate > 0 && swarm->now_ms + flow->chunk_bytes / flow->rate < next)
                next = swarm->now_ms + flow->chunk_bytes / flow->rate;
        }
    }
    return next;
}

/* Those who wait look again. */
static void look_again(struct swarm *swarm)
{
    for (unsigned to = 0; to < swarm->nodes; to++)
        for (unsigned from = 0; from < swarm->nodes; from++) {
            struct swarm_flow *flow = &swarm->flow[to][from];
            if (flow->usable && !flow_active(flow) && flow->look_ms <= swarm->now_ms &&
                !pieces_complete(swarm->node[to].job))
                flow_go_on(swarm, to, from, false);
        }
}

/* Everybody knows who has all; receivers know each other, or not yet. */
static void meet(struct swarm *swarm, bool receivers)
{
    uint8_t *room = calloc(swarm->count / 8 + 1, 1);

    for (unsigned to = 0; to < swarm->nodes; to++)
        for (unsigned from = 0; swarm->node[to].job && from < swarm->nodes; from++) {
            struct swarm_flow *flow = &swarm->flow[to][from];
            if (from == to || flow->usable || (swarm->node[from].job && !receivers))
                continue;
            flow->usable = true;
            pieces_add_source(swarm->node[to].job, from, have_of(swarm, from, room),
                              (int64_t)swarm->now_ms);
            flow->look_ms = swarm->now_ms + 25.0 * to; /* not all at one moment */
        }
    for (unsigned to = 0; to < swarm->nodes; to++)
        for (unsigned from = 0; from < swarm->nodes; from++)
            if (swarm->flow[to][from].usable && !flow_active(&swarm->flow[to][from]))
                flow_go_on(swarm, to, from, false);
    free(room);
}

static void advance(struct swarm *swarm, double next_ms)
{
    double passed_ms = next_ms - swarm->now_ms;
    bool came[SWARM_NODES][SWARM_NODES] = {0};
    double bytes[SWARM_NODES][SWARM_NODES];

    swarm->now_ms = next_ms;
    for (unsigned to = 0; to < swarm->nodes; to++)
        for (unsigned from = 0; from < swarm->nodes; from++) {
            struct swarm_flow *flow = &swarm->flow[to][from];
            double moved = flow->rate * passed_ms;
            if (flow->rate <= 0)
                continue;
            flow->chunk_bytes -= moved;
            bytes[to][from] = flow->left_bytes < CHUNK_BYTES ? flow->left_bytes : CHUNK_BYTES;
            came[to][from] = flow->chunk_bytes < 0.5;
            if (came[to][from])
                flow->left_bytes -= bytes[to][from];
        }
    for (unsigned to = 0; to < swarm->nodes; to++)
        for (unsigned from = 0; from < swarm->nodes; from++) {
            if (came[to][from] && flow_active(&swarm->flow[to][from]))
                chunk_came(swarm, to, from, bytes[to][from]);
            if (swarm->flow[to][from].usable && swarm->node[from].dies_ms <= swarm->now_ms)
                flow_ends(swarm, to, from);
        }
}

double swarm_run(struct swarm *swarm)
{
    double last = 0;
    bool met = swarm->meet_ms <= 0;

    meet(swarm, met);
    for (;;) {
        bool all = true;
        for (unsigned i = 0; i < swarm->nodes; i++) {
            if (swarm->node[i].job && pieces_complete(swarm->node[i].job))
                last = swarm->node[i].done_ms > last ? swarm->node[i].done_ms : last;
            else if (swarm->node[i].job)
                all = false;
        }
        if (all)
            return last;
        share_links(swarm);
        double next = next_event(swarm);
        if (next >= SWARM_NEVER || next > 3600.0 * 1000)
            return SWARM_NEVER;
        advance(swarm, next);
        if (!met && swarm->now_ms >= swarm->meet_ms)
            meet(swarm, met = true);
        look_again(swarm);
    }
}
