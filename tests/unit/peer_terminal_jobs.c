/* Downloads on the screen: the table, the bars, what is explained. */
#include "unit.h"

#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/commands/get_private.h"
#include "peer/terminal/commands/want_list.h"
#include "peer/terminal/explain_text.h"
#include "peer/terminal/job_board.h"
#include "peer/terminal/job_table.h"
#include "peer/terminal/job_text.h"

#define MIB (INT64_C(1) << 20)

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static P2p__Control__Job job_of(uint64_t id, const char *name, enum download_state state)
{
    P2p__Control__Job job = P2P__CONTROL__JOB__INIT;

    job.id = id;
    job.name = text_of(name);
    job.state = state;
    return job;
}

/* One that runs, one that waits, one of unknown size, one that is over. */
struct jobs {
    P2p__Control__Job rows[4];
    P2p__Control__Job *pointers[4];
};

static void fill(struct jobs *jobs)
{
    jobs->rows[0] = job_of(1, "debian.iso", DOWNLOAD_RUNNING);
    jobs->rows[0].bytes = 45 * MIB;
    jobs->rows[0].total_bytes = 100 * MIB;
    jobs->rows[0].bytes_per_second = 5 * MIB;
    jobs->rows[0].active_sources = 4;
    jobs->rows[1] = job_of(12, "a\033[2J ñandú 日本.iso", DOWNLOAD_WAITING);
    jobs->rows[1].total_bytes = 100 * MIB;
    jobs->rows[1].reason = text_of("no hay fuentes\n");
    jobs->rows[2] = job_of(13, "x", DOWNLOAD_SEARCHING);
    jobs->rows[3] = job_of(14, "z", DOWNLOAD_DONE);
    for (size_t i = 0; i < ARRAY_LENGTH(jobs->rows); i++)
        jobs->pointers[i] = &jobs->rows[i];
}

static void check_table(size_t columns, const char *expected)
{
    struct jobs jobs;
    auto_buffer out;

    fill(&jobs);
    buffer_init(&out, 1 << 16);
    job_table_format(jobs.pointers, ARRAY_LENGTH(jobs.pointers), columns, &out);
    assert_string_equal(out.data, expected);
}

static void tables(void **state)
{
    (void)state;
    check_table(JOB_TABLE_ANY_WIDTH,
                "ID  ESTADO         %  VELOCIDAD  QUEDA  FUENTES  NOMBRE\n"
                " 1  descargando   45  5.0 MiB/s   0:11        4  debian.iso\n"
                "12  espera         0          -      -        0  a?[2J ñandú 日本.iso\n"
                "    no hay fuentes?\n"
                "13  buscando       -          -      -        0  x\n"
                "14  terminada    100          -      -        -  z\n");
    check_table(50, "ID  ESTADO         %  VELOCIDAD  NOMBRE\n"
                    " 1  descargando   45  5.0 MiB/s  debian.iso\n"
                    "12  espera         0          -  a?[2J ñandú 日本…\n"
                    "    no hay fuentes?\n"
                    "13  buscando       -          -  x\n"
                    "14  terminada    100          -  z\n");
    check_table(20, "ID    %  NOMBRE\n"
                    " 1   45  debian.iso\n"
                    "12    0  a?[2J ñand…\n"
                    "    no hay fuentes?\n"
                    "13    -  x\n"
                    "14  100  z\n");
}

/* get --output puts it where only that command knows. */
static void done_elsewhere(void **state)
{
    P2p__Control__SourcesReply sources = P2P__CONTROL__SOURCES_REPLY__INIT;
    P2p__Control__Job job = job_of(7, "a", DOWNLOAD_DONE);
    struct explain explain = {.job = &job, .sources = &sources};
    auto_buffer text;

    (void)state;
    job.path = text_of("");
    buffer_init(&text, 1 << 16);
    job_describe(&job, &text);
    assert_string_equal(text.data, "terminada, entregada a get --output");
    buffer_clear(&text);
    explain_limit(&explain, &text);
    assert_string_equal(text.data, "Ha terminado: se entregó a get --output.");
}

/* Only where somebody has set one of those that go on. */
static void priorities(void **state)
{
    struct jobs jobs;
    auto_buffer out;
    auto_buffer text;

    (void)state;
    fill(&jobs);
    buffer_init(&out, 1 << 16);
    buffer_init(&text, 1 << 16);
    jobs.rows[0].priority = DOWNLOAD_HIGH;
    jobs.rows[1].priority = DOWNLOAD_LOW;
    jobs.rows[3].priority = DOWNLOAD_HIGH;
    job_table_format(jobs.pointers, 4, JOB_TABLE_ANY_WIDTH, &out);
    assert_string_equal(
        out.data,
        "ID  ESTADO       PRIORIDAD    %  VELOCIDAD  QUEDA  FUENTES  NOMBRE\n"
        " 1  descargando  alta        45  5.0 MiB/s   0:11        4  debian.iso\n"
        "12  espera       baja         0          -      -        0  a?[2J ñandú 日本.iso\n"
        "    no hay fuentes?\n"
        "13  buscando     normal       -          -      -        0  x\n"
        "14  terminada    -          100          -      -        -  z\n");
    buffer_clear(&out);
    job_table_format(&jobs.pointers[3], 1, JOB_TABLE_ANY_WIDTH, &out);
    assert_null(strstr(out.data, "PRIORIDAD"));
    job_describe(&jobs.rows[1], &text);
    assert_string_equal(text.data, "espera, 0 % de 100.0 MiB, prioridad baja: no hay fuentes\n");
    assert_string_equal(job_priority_text(7), "?");
}

static void tables_fit_every_width(void **state)
{
    struct jobs jobs;

    (void)state;
    fill(&jobs);
    for (size_t columns = 20; columns < 120; columns++) {
        auto_buffer out;
        buffer_init(&out, 1 << 16);
        job_table_format(jobs.pointers, ARRAY_LENGTH(jobs.pointers), columns, &out);
        for (char *line = out.data; *line;) {
            size_t length = strcspn(line, "\n");
            line[length] = '\0';
            check_row(columns, text_columns(line) <= columns);
            line += length + 1;
        }
    }
}

static void bars(void **state)
{
    struct jobs jobs;
    char line[JOB_LINE_BYTES];

    (void)state;
    fill(&jobs);
    assert_string_equal(
        job_line(&jobs.rows[0], 90, line),
        "debian.iso   45 % [===========>                ]  45.0 MiB  5.0 MiB/s  0:11  4 fuentes");
    assert_string_equal(job_line(&jobs.rows[1], 90, line),
                        "a?[2J ñandú 日本.iso    0 %  espera: no hay fuentes?");
    assert_string_equal(job_line(&jobs.rows[2], 90, line), "x  buscando");
    for (size_t i = 0; i < ARRAY_LENGTH(jobs.rows); i++)
        for (size_t columns = 1; columns < 120; columns++)
            check_row(columns, text_columns(job_line(&jobs.rows[i], columns, line)) <= columns);
}

static void figures(void **state)
{
    static const struct {
        enum download_state state;
        int64_t bytes, total_bytes;
        int percent;
    } rows[] = {
        {DOWNLOAD_RUNNING, 0, 0, -1},      {DOWNLOAD_RUNNING, 0, 10, 0},
        {DOWNLOAD_RUNNING, 999, 1000, 99}, {DOWNLOAD_RUNNING, 11, 10, -1},
        {DOWNLOAD_DONE, 0, 0, 100},        {DOWNLOAD_PAUSED, INT64_MAX / 2, INT64_MAX, 50},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        P2p__Control__Job job = job_of(1, "a", rows[i].state);
        job.bytes = rows[i].bytes;
        job.total_bytes = rows[i].total_bytes;
        check_row(i, job_percent(&job) == rows[i].percent);
    }
    P2p__Control__Job unknown = job_of(1, "a", DOWNLOAD_STATE_COUNT);
    assert_string_equal(job_state_text(&unknown), "?");
    assert_false(job_is_over(&unknown));
}

/* ---- explaining ---- */

static P2p__Control__JobSource source_of(const char *who, enum download_source_state state)
{
    P2p__Control__JobSource source = P2P__CONTROL__JOB_SOURCE__INIT;

    source.who = text_of(who);
    source.state = state;
    return source;
}

static void explanations(void **state)
{
    struct jobs jobs;
    P2p__Control__Failure failure = P2P__CONTROL__FAILURE__INIT;
    P2p__Control__JobSource rows[] = {
        source_of("Peer2 (h:1)", DOWNLOAD_SOURCE_ACTIVE),
        source_of("Peer3 (h:2)", DOWNLOAD_SOURCE_ACTIVE),
        source_of("Peer4 (h:3)", DOWNLOAD_SOURCE_LATER),
        source_of("Peer5 (h:4)", DOWNLOAD_SOURCE_DROPPED),
        source_of("Peer6 (h:5)", DOWNLOAD_SOURCE_READY),
        source_of("Peer7 (h:6)", DOWNLOAD_SOURCE_ACTIVE),
    };
    P2p__Control__JobSource *pointers[ARRAY_LENGTH(rows)];
    P2p__Control__SourcesReply sources = P2P__CONTROL__SOURCES_REPLY__INIT;
    auto_buffer out;

    (void)state;
    fill(&jobs);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        pointers[i] = &rows[i];
    sources.sources = pointers;
    sources.n_sources = ARRAY_LENGTH(rows);
    rows[0].bytes = 3 * MIB;
    rows[0].bytes_per_second = 4 * MIB;
    rows[1].bytes_per_second = MIB;
    failure.text = text_of("se fue");
    rows[2].failure = &failure;
    rows[2].retry_in_ms = 4100;
    rows[3].liar = true;
    rows[5].place = 3;
    struct explain explain = {.job = &jobs.rows[0], .sources = &sources};
    buffer_init(&out, 1 << 16);
    explain_format(&explain, &out);
    assert_string_equal(
        out.data,
        "Descarga 1: debian.iso\n"
        "Estado: descargando, 45 % (45.0 MiB de 100.0 MiB), a 5.0 MiB/s, quedan 0:11.\n"
        "Fuentes:\n"
        "- Peer2 (h:1): envía ahora, a 4.0 MiB/s. Comprobados de ella: 3.0 MiB.\n"
        "- Peer3 (h:2): envía ahora, a 1.0 MiB/s.\n"
        "- Peer4 (h:3): falló; se reintenta en 0:05. Último fallo: se fue.\n"
        "- Peer5 (h:4): descartada porque envió datos que no son los del archivo.\n"
        "- Peer6 (h:5): todavía no se le ha pedido nada.\n"
        "- Peer7 (h:6): nos tiene en su cola, en el puesto 3.\n"
        "Limita lo que envían las 2 fuentes activas: la más rápida 4.0 MiB/s, la más lenta 1.0 "
        "MiB/s; 1 nos tiene en cola; 1 que falló se reintentará.\n");
}

static void limits(void **state)
{
    static const struct {
        enum download_state state;
        int64_t limit;
        const char *text;
    } rows[] = {
        {DOWNLOAD_QUEUED, 0, "Espera su turno"},
        {DOWNLOAD_SEARCHING, 0, "Se está preguntando quién tiene el archivo."},
        {DOWNLOAD_RUNNING, 0, "Llega entera de una fuente, que no da"},
        {DOWNLOAD_RUNNING, MIB,
         "Limita el tope de descarga de este peer, 1.0 MiB/s (p2p-peer limit)."},
        {DOWNLOAD_RUNNING, 3 * MIB, "Llega entera de una fuente"},
        {DOWNLOAD_WAITING, 0, "Espera, y sigue sola en cuanto pueda: el disco está lleno."},
        {DOWNLOAD_PAUSED, 0, "Está en pausa; sigue con: p2p-peer downloads resume 7"},
        {DOWNLOAD_DONE, 0, "Ha terminado: /data/a"},
        {DOWNLOAD_FAILED, 0, "Ha fallado: no."},
        {DOWNLOAD_CANCELLED, 0, "Se ha cancelado."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        P2p__Control__SourcesReply sources = P2P__CONTROL__SOURCES_REPLY__INIT;
        P2p__Control__Failure failure = P2P__CONTROL__FAILURE__INIT;
        P2p__Control__Job job = job_of(7, "a", rows[i].state);
        struct explain explain = {.job = &job,
                                  .sources = &sources,
                                  .download_limit = rows[i].limit,
                                  .bytes_per_second = MIB};
        P2p__Control__JobSource whole = source_of("Peer2 (h:1)", DOWNLOAD_SOURCE_ACTIVE);
        P2p__Control__JobSource *pointers[] = {&whole};
        auto_buffer out;
        buffer_init(&out, 1 << 16);
        whole.whole_stream = true;
        sources.sources = pointers;
        sources.n_sources = rows[i].state == DOWNLOAD_RUNNING;
        failure.text = text_of("no");
        job.failure = &failure;
        job.reason = text_of("el disco está lleno");
        job.path = text_of("/data/a");
        explain_limit(&explain, &out);
        check_row(i, strncmp(out.data, rows[i].text, strlen(rows[i].text)) == 0);
    }
}

/* ---- many at once ---- */

static void totals(void **state)
{
    static const struct {
        struct get_totals totals;
        const char *text;
    } rows[] = {
        {{.files = 100}, "0 de 100 archivos, 0 B"},
        {{.files = 100, .done = 7, .failed = 1, .bytes = 7 * MIB},
         "7 de 100 archivos, 1 fallido, 7.0 MiB"},
        {{.files = 100, .done = 7, .failed = 2, .bytes = 7 * MIB, .bytes_per_second = MIB},
         "7 de 100 archivos, 2 fallidos, 7.0 MiB, 1.0 MiB/s"},
    };
    char line[JOB_LINE_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, strcmp(get_totals_format(&rows[i].totals, line), rows[i].text) == 0);
}

static void wants(void **state)
{
    enum { COUNT = 3000 };
    struct want_list list = {.wants = NULL};
    char name[16];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            snprintf(name, sizeof name, "%d", i * 7 % COUNT);
            want_list_add(&list, name);
        }
    }
    assert_int_equal(list.count, COUNT);
    assert_string_equal(list.wants[1]->name, "7"); /* as they were given */
    assert_null(want_list_find(&list, 1));
    for (size_t i = 0; i < COUNT; i += 2)
        want_list_begin(&list, list.wants[i], 10 + i);
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(want_list_find(&list, 10 + i), i % 2 == 0 ? list.wants[i] : NULL);
    assert_null(want_list_find(&list, 9));
    assert_null(want_list_find(&list, 10 + COUNT));
    list.wants[4]->state = WANT_OVER;
    assert_null(want_list_find(&list, 14));
    want_list_done(&list);
    assert_int_equal(list.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals),       cmocka_unit_test(wants),
        cmocka_unit_test(priorities),   cmocka_unit_test(done_elsewhere),
        cmocka_unit_test(tables),       cmocka_unit_test(tables_fit_every_width),
        cmocka_unit_test(bars),         cmocka_unit_test(figures),
        cmocka_unit_test(explanations), cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
