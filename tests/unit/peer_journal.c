/* Journals of downloads: what is read back after whatever was left of them. */
#include "unit.h"

#include "common/buffer.h"
#include "common/file_io.h"
#include "common/memory.h"
#include "peer/downloads/journal_format.h"

#include <sys/stat.h>

#define PIECES 20
#define SIZE   ((int64_t)(PIECES * PIECE_BYTES - 5))

static void make_job(struct journal_job *job)
{
    *job = (struct journal_job){.has_content = true, .address_count = 2};
    snprintf(job->name.text, sizeof job->name.text, "ñandú \"1\".bin");
    snprintf(job->temporary, sizeof job->temporary, ".p2p-part-abcdef");
    job->peer = memory_copy_string("Peer 2");
    job->addresses = memory_new(2, sizeof *job->addresses);
    assert_int_equal(address_parse("127.0.0.1:8001", false, &job->addresses[0], NULL), ERROR_NONE);
    assert_int_equal(address_parse("[::1]:8002", false, &job->addresses[1], NULL), ERROR_NONE);
    assert_int_equal(manifest_init(&job->manifest, SIZE, NULL), ERROR_NONE);
    for (size_t i = 0; i < PIECES; i++)
        memset(job->manifest.hashes[i], (int)i, HASH_BYTES);
    manifest_seal(&job->manifest);
}

static void check_same(const struct journal_job *left, const struct journal_job *right)
{
    assert_string_equal(left->name.text, right->name.text);
    assert_string_equal(left->temporary, right->temporary);
    assert_string_equal(left->peer, right->peer);
    assert_int_equal(left->address_count, right->address_count);
    for (size_t i = 0; i < left->address_count; i++) {
        assert_string_equal(left->addresses[i].host, right->addresses[i].host);
        assert_int_equal(left->addresses[i].port, right->addresses[i].port);
    }
    assert_int_equal(left->has_content, right->has_content);
    assert_int_equal(left->manifest.size_bytes, right->manifest.size_bytes);
    assert_true(content_id_equal(&left->manifest.id, &right->manifest.id));
}

static size_t count_held(const struct journal_job *job)
{
    size_t count = 0;

    for (size_t i = 0; i < job->manifest.piece_count; i++)
        count += job->held[i / 8] >> i % 8 & 1;
    return count;
}

static void what_is_written_is_read(void **state)
{
    char folder[UNIT_PATH_BYTES];
    struct journal *journal;
    struct journal_job job, read;
    const uint32_t pieces[] = {0, 19, 7};

    (void)state;
    unit_folder_make(folder);
    make_job(&job);
    assert_int_equal(journal_create(folder, 12, &job, true, &journal, NULL), ERROR_NONE);
    assert_int_equal(journal_add(journal, pieces, 3, NULL), ERROR_NONE);
    assert_int_equal(journal_pause(journal, true, NULL), ERROR_NONE);
    journal_close(journal);

    assert_int_equal(journal_open(folder, 12, &journal, &read, NULL), ERROR_NONE);
    check_same(&job, &read);
    assert_int_equal(count_held(&read), 3);
    assert_int_equal(read.held[0], 1 << 0 | 1 << 7);
    assert_true(read.paused);
    journal_job_done(&read);
    assert_int_equal(journal_pause(journal, false, NULL), ERROR_NONE);
    assert_int_equal(journal_add(journal, &pieces[1], 1, NULL), ERROR_NONE);
    journal_close(journal);

    assert_int_equal(journal_open(folder, 12, &journal, &read, NULL), ERROR_NONE);
    assert_int_equal(count_held(&read), 3);
    assert_false(read.paused);
    journal_job_done(&read);
    journal_remove(journal);
    assert_int_equal(journal_open(folder, 12, &journal, &read, NULL), ERROR_NOT_FOUND);
    journal_job_done(&job);
    unit_folder_remove(folder);
}

static void one_without_content(void **state)
{
    char folder[UNIT_PATH_BYTES];
    struct journal *journal;
    struct journal_job job = {.peer = memory_copy_string("")};
    struct journal_job read;

    (void)state;
    unit_folder_make(folder);
    snprintf(job.name.text, sizeof job.name.text, "a");
    assert_int_equal(journal_create(folder, 1, &job, false, &journal, NULL), ERROR_NONE);
    assert_int_equal(journal_pause(journal, true, NULL), ERROR_NONE);
    journal_close(journal);
    assert_int_equal(journal_open(folder, 1, &journal, &read, NULL), ERROR_NONE);
    check_same(&job, &read);
    assert_true(read.paused);
    journal_job_done(&read);
    journal_close(journal);
    journal_job_done(&job);
    unit_folder_remove(folder);
}

/* With content and without; the last record counts. */
static void a_priority_is_kept(void **state)
{
    char folder[UNIT_PATH_BYTES];
    struct journal *journal;
    struct journal_job job, read;
    const uint32_t piece = 3;

    (void)state;
    unit_folder_make(folder);
    for (int with_content = 0; with_content <= 1; with_content++) {
        make_job(&job);
        job.has_content = with_content;
        job.priority = DOWNLOAD_LOW;
        assert_int_equal(journal_create(folder, 1, &job, false, &journal, NULL), ERROR_NONE);
        journal_close(journal);
        assert_int_equal(journal_open(folder, 1, &journal, &read, NULL), ERROR_NONE);
        assert_int_equal(read.priority, DOWNLOAD_LOW);
        journal_job_done(&read);
        assert_int_equal(journal_set_priority(journal, DOWNLOAD_NORMAL, NULL), ERROR_NONE);
        assert_int_equal(journal_set_priority(journal, DOWNLOAD_HIGH, NULL), ERROR_NONE);
        assert_int_equal(journal_pause(journal, true, NULL), ERROR_NONE);
        if (with_content)
            assert_int_equal(journal_add(journal, &piece, 1, NULL), ERROR_NONE);
        journal_close(journal);
        assert_int_equal(journal_open(folder, 1, &journal, &read, NULL), ERROR_NONE);
        assert_int_equal(read.priority, DOWNLOAD_HIGH);
        assert_true(read.paused);
        assert_true(!with_content || count_held(&read) == 1);
        journal_job_done(&read);
        journal_remove(journal);
        journal_job_done(&job);
    }
    unit_folder_remove(folder);
}

static void a_journal_has_one_user(void **state)
{
    char folder[UNIT_PATH_BYTES];
    struct journal *journal, *other;
    struct journal_job job, read;

    (void)state;
    unit_folder_make(folder);
    make_job(&job);
    assert_int_equal(journal_create(folder, 1, &job, true, &journal, NULL), ERROR_NONE);
    assert_int_equal(journal_open(folder, 1, &other, &read, NULL), ERROR_BUSY);
    journal_close(journal);
    assert_int_equal(journal_open(folder, 1, &other, &read, NULL), ERROR_NONE);
    journal_job_done(&read);
    journal_close(other);
    journal_job_done(&job);
    unit_folder_remove(folder);
}

/* Header, hashes and three records. */
static void make_text(struct buffer *text)
{
    struct journal_job job;

    buffer_init(text, JOURNAL_MAX_BYTES);
    make_job(&job);
    journal_format(&job, text);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t record[JOURNAL_RECORD_BYTES];
        journal_format_record(&job.manifest.id, i * 5, "", record);
        buffer_append(text, record, sizeof record);
    }
    assert_false(text->failed);
    journal_job_done(&job);
}

static void a_journal_cut_anywhere(void **state)
{
    auto_buffer text;
    struct journal_job read;

    (void)state;
    make_text(&text);
    size_t records = text.length - (size_t)3 * JOURNAL_RECORD_BYTES;
    for (size_t length = 0; length <= text.length; length++) {
        enum error_code code = journal_parse(text.data, length, "", &read, NULL);
        if (length < records) {
            check_row(length, code == ERROR_CORRUPT && !read.peer && !read.held);
            continue;
        }
        size_t whole = (length - records) / JOURNAL_RECORD_BYTES;
        check_row(length, code == ERROR_NONE);
        check_row(length, count_held(&read) == whole);
        check_row(length, read.good_bytes == records + whole * JOURNAL_RECORD_BYTES);
        journal_job_done(&read);
    }
}

static void a_journal_with_a_wrong_byte_anywhere(void **state)
{
    auto_buffer text;
    struct journal_job read;

    (void)state;
    make_text(&text);
    size_t records = text.length - (size_t)3 * JOURNAL_RECORD_BYTES;
    for (size_t at = 0; at < text.length; at++) {
        text.data[at] ^= 0x41;
        if (journal_parse(text.data, text.length, "", &read, NULL) == ERROR_NONE) {
            check_row(at, at >= records && count_held(&read) == 2);
            if (at >= text.length - JOURNAL_RECORD_BYTES)
                check_row(at, read.good_bytes == text.length - JOURNAL_RECORD_BYTES);
            journal_job_done(&read);
        } else {
            check_row(at, at < records);
        }
        text.data[at] ^= 0x41;
    }
}

static void a_flipped_bit_in_the_header_is_seen(void **state)
{
    auto_buffer text;
    struct journal_job read;

    (void)state;
    make_text(&text);
    for (char *byte = text.data; *byte != '\n'; byte++)
        for (int bit = 0; bit < 8; bit++) {
            *byte = (char)(*byte ^ 1 << bit);
            check_row(byte - text.data,
                      journal_parse(text.data, text.length, "", &read, NULL) == ERROR_CORRUPT);
            *byte = (char)(*byte ^ 1 << bit);
        }
    assert_int_equal(journal_parse(text.data, text.length, "", &read, NULL), ERROR_NONE);
    journal_job_done(&read);
}

/* Whoever wrote it: a name that leads elsewhere is none. */
static void names_are_checked(void **state)
{
    static const struct {
        const char *name;
        enum error_code code;
    } rows[] = {
        {"sub/a.bin", ERROR_NONE},    {"../a", ERROR_CORRUPT}, {"sub/../../a", ERROR_CORRUPT},
        {"/a", ERROR_CORRUPT},        {"a//b", ERROR_CORRUPT}, {"a/", ERROR_CORRUPT},
        {"a/\x1b[2J", ERROR_CORRUPT}, {"", ERROR_CORRUPT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct journal_job job;
        struct journal_job read;
        auto_buffer text;
        buffer_init(&text, JOURNAL_MAX_BYTES);
        make_job(&job);
        snprintf(job.name.text, sizeof job.name.text, "%s", rows[i].name);
        journal_format(&job, &text);
        check_row(i, journal_parse(text.data, text.length, "", &read, NULL) == rows[i].code);
        if (rows[i].code == ERROR_NONE)
            journal_job_done(&read);
        journal_job_done(&job);
    }
}

static void a_torn_end_is_cut_off(void **state)
{
    char folder[UNIT_PATH_BYTES], path[UNIT_PATH_BYTES];
    struct journal *journal;
    struct journal_job read;
    auto_buffer text;
    const uint32_t piece = 11;

    (void)state;
    unit_folder_make(folder);
    make_text(&text);
    unit_file_write(unit_path(folder, "3.journal", path), text.data, text.length - 7);
    assert_int_equal(journal_open(folder, 3, &journal, &read, NULL), ERROR_NONE);
    assert_int_equal(count_held(&read), 2);
    journal_job_done(&read);
    assert_int_equal(journal_add(journal, &piece, 1, NULL), ERROR_NONE);
    journal_close(journal);
    assert_int_equal(journal_open(folder, 3, &journal, &read, NULL), ERROR_NONE);
    assert_int_equal(count_held(&read), 3);
    journal_job_done(&read);
    journal_close(journal);
    unit_folder_remove(folder);
}

/* A note counts while the machine runs; what comes after it, always. */
static void notes_are_of_one_boot(void **state)
{
    auto_buffer text;
    struct journal_job job, read;
    uint8_t record[JOURNAL_RECORD_BYTES];
    static const struct {
        const char *boot;
        size_t held;
    } rows[] = {{"this", 5}, {"another", 4}, {"", 4}};

    (void)state;
    make_text(&text);
    make_job(&job);
    journal_format_record(&job.manifest.id, 3, "this", record);
    buffer_append(&text, record, sizeof record);
    journal_format_record(&job.manifest.id, 4, "", record);
    buffer_append(&text, record, sizeof record);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(journal_parse(text.data, text.length, rows[i].boot, &read, NULL),
                         ERROR_NONE);
        check_row(i, count_held(&read) == rows[i].held);
        check_row(i, read.good_bytes == text.length);
        journal_job_done(&read);
    }
    journal_job_done(&job);
}

/* The header of an older version has no sum. */
static void make_older(struct buffer *text, char version)
{
    char *end = strchr(text->data, '\n');
    char *sum = strstr(text->data, "} ") + 1;

    *(strstr(text->data, "\"version\":") + strlen("\"version\":")) = version;
    memmove(sum, end, text->length - (size_t)(end - text->data));
    text->length -= (size_t)(end - sum);
}

static void one_of_version_2_goes_on(void **state)
{
    auto_buffer text;
    struct journal_job job, read;

    (void)state;
    make_job(&job);
    make_text(&text);
    make_older(&text, '3');
    assert_int_equal(journal_parse(text.data, text.length, "", &read, NULL), ERROR_CORRUPT);
    buffer_done(&text);
    make_text(&text);
    make_older(&text, '2');
    assert_int_equal(journal_parse(text.data, text.length, "", &read, NULL), ERROR_NONE);
    check_same(&job, &read);
    assert_int_equal(count_held(&read), 3);
    journal_job_done(&read);
    journal_job_done(&job);
}

/* It has hashes that were made in another way: the job begins anew. */
static void of_version_1_it_is_read_what_is_wanted(void **state)
{
    auto_buffer text;
    struct journal_job job, read;

    (void)state;
    make_job(&job);
    make_text(&text);
    make_older(&text, '1');
    assert_int_equal(journal_parse(text.data, text.length, "", &read, NULL), ERROR_NONE);
    assert_string_equal(read.name.text, job.name.text);
    assert_string_equal(read.peer, job.peer);
    assert_int_equal(read.address_count, job.address_count);
    assert_string_equal(read.temporary, "");
    assert_false(read.has_content);
    assert_int_equal(read.good_bytes, strchr(text.data, '\n') + 1 - text.data);
    journal_job_done(&read);
    journal_job_done(&job);
}

static void what_is_noted_is_read(void **state)
{
    char folder[UNIT_PATH_BYTES];
    struct journal *journal;
    struct journal_job job, read;
    const uint32_t piece = 7;

    (void)state;
    unit_folder_make(folder);
    make_job(&job);
    assert_int_equal(journal_create(folder, 1, &job, true, &journal, NULL), ERROR_NONE);
    journal_note(journal, 2);
    journal_note(journal, piece);
    assert_int_equal(journal_add(journal, &piece, 1, NULL), ERROR_NONE);
    journal_note(journal, 9);
    journal_close(journal);
    assert_int_equal(journal_open(folder, 1, &journal, &read, NULL), ERROR_NONE);
    assert_int_equal(count_held(&read), 3);
    journal_job_done(&read);
    journal_remove(journal);
    journal_job_done(&job);
    unit_folder_remove(folder);
}

static void the_folder_is_listed(void **state)
{
    char folder[UNIT_PATH_BYTES], path[UNIT_PATH_BYTES];
    static const char *const others[] = {
        "0.journal", "x.journal", "7.journal.bad", "journal", "-1.journal", "9.journal.new", "5"};
    struct journal *journal;
    struct journal_job job;
    struct share_kept kept;
    size_t count;

    (void)state;
    unit_folder_make(folder);
    make_job(&job);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        unit_file_write(unit_path(folder, others[i], path), "x", 1);
    unit_file_write(unit_path(folder, "2.journal", path), "broken", 6);
    for (uint64_t id = 11; id >= 9; id--) {
        assert_int_equal(journal_create(folder, id, &job, false, &journal, NULL), ERROR_NONE);
        journal_close(journal);
    }
    auto_free uint64_t *ids = journal_list(folder, &count);
    assert_int_equal(count, 4);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 9);
    assert_int_equal(ids[3], 11);
    journal_kept(folder, &kept);
    assert_int_equal(kept.count, 3);
    assert_string_equal(kept.names[2], ".p2p-part-abcdef");
    free(kept.names);
    journal_move_aside(folder, 2);
    assert_int_equal(access(unit_path(folder, "2.journal.bad", path), F_OK), 0);
    assert_null(journal_list("/nowhere/at/all", &count));
    journal_job_done(&job);
    unit_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(one_without_content),
        cmocka_unit_test(a_priority_is_kept),
        cmocka_unit_test(a_journal_has_one_user),
        cmocka_unit_test(a_journal_cut_anywhere),
        cmocka_unit_test(a_journal_with_a_wrong_byte_anywhere),
        cmocka_unit_test(a_flipped_bit_in_the_header_is_seen),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(notes_are_of_one_boot),
        cmocka_unit_test(one_of_version_2_goes_on),
        cmocka_unit_test(of_version_1_it_is_read_what_is_wanted),
        cmocka_unit_test(what_is_noted_is_read),
        cmocka_unit_test(the_folder_is_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
