#include "unit.h"

#include "common/index_sum.h"
#include "common/sha256.h"

#define ID "0b3fd030e94c92a8f30f27aa8fa6ec5ad2be9f2b0f5f6d5d9b32ea0d1a7b4c33"

static struct index_sum hash(const char *message, size_t length)
{
    char copy[256];
    const struct iovec part = {.iov_base = copy, .iov_len = length};
    struct index_sum sum;

    memcpy(copy, message, length);
    sha256_hash(&part, 1, sum.bytes);
    return sum;
}

static void add_plain(struct index_sum *sum, const char *name)
{
    const struct index_sum_file file = {.name = name, .size_bytes = -1};

    index_sum_add(sum, &file);
}

static void what_is_hashed(void **state)
{
    static const struct index_sum_urls urls = {.text = "h:1\0h:2", .length = 8};
    static const char first_bytes[] = "a\0\1\0\0\0\0\0\0\1\2\2";
    static const char last_bytes[] = "\3\4h:1\0h:2";
    struct content_id id;
    char message[256];
    struct index_sum sum = {{0}};

    (void)state;
    assert_true(content_id_parse(ID, &id));
    const struct index_sum_file file = {
        .name = "a", .size_bytes = 258, .id = &id, .partial = true, .urls = &urls};
    memcpy(message, first_bytes, 12);
    memcpy(message + 12, id.bytes, 32);
    memcpy(message + 44, last_bytes, 10);
    const struct index_sum expected = hash(message, 54);
    index_sum_add(&sum, &file);
    assert_true(index_sum_equal(&sum, &expected));
}

static void usual_urls(void **state)
{
    static const struct index_sum_urls none = {0};
    static const struct index_sum_urls one = {.text = "h:1", .length = 4};
    struct index_sum sum = {{0}};

    (void)state;
    struct index_sum expected = hash("\4", 1);
    index_sum_add_usual(&sum, &none);
    assert_true(index_sum_equal(&sum, &expected));
    sum = (struct index_sum){{0}};
    expected = hash("\4h:1", 5);
    index_sum_add_usual(&sum, &one);
    assert_true(index_sum_equal(&sum, &expected));
}

static void order_does_not_matter_and_taking_out_undoes(void **state)
{
    const struct index_sum_file gone = {.name = "x", .size_bytes = 3};
    struct index_sum forward = {{0}};
    struct index_sum backward = {{0}};
    char name[8];

    (void)state;
    index_sum_add(&backward, &gone);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%d", i);
        add_plain(&forward, name);
        snprintf(name, sizeof name, "%d", 999 - i);
        add_plain(&backward, name);
    }
    assert_false(index_sum_equal(&forward, &backward));
    index_sum_subtract(&backward, &gone);
    assert_true(index_sum_equal(&forward, &backward));
}

/* Below zero and back: the carries go all the way. */
static void wraps(void **state)
{
    static const struct index_sum nothing = {{0}};
    const struct index_sum_file file = {.name = "x", .size_bytes = 3};
    struct index_sum sum = nothing;

    (void)state;
    index_sum_subtract(&sum, &file);
    assert_false(index_sum_equal(&sum, &nothing));
    index_sum_add(&sum, &file);
    assert_true(index_sum_equal(&sum, &nothing));
}

static void as_text(void **state)
{
    struct index_sum sum;
    char text[INDEX_SUM_DIGITS + 1];

    (void)state;
    assert_true(index_sum_parse(ID, 64, &sum));
    assert_string_equal(index_sum_format(&sum, text), ID);
    assert_false(index_sum_parse(ID, 63, &sum)); /* a NUL inside */
    assert_false(index_sum_parse("", 0, &sum));
    assert_false(index_sum_parse(ID "0", 65, &sum));
    text[0] = 'A';
    assert_false(index_sum_parse(text, 64, &sum));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_hashed),
        cmocka_unit_test(usual_urls),
        cmocka_unit_test(order_does_not_matter_and_taking_out_undoes),
        cmocka_unit_test(wraps),
        cmocka_unit_test(as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
