/* peer/downloads/journal_format: a journal of a download; what was read is written and read again.
 */
#include "fuzz.h"

#include "common/buffer.h"
#include "peer/downloads/journal_format.h"

static void check_again(const struct journal_job *job)
{
    struct journal_job again;
    auto_buffer text;

    buffer_init(&text, JOURNAL_MAX_BYTES);
    journal_format(job, &text);
    if (text.failed)
        return; /* a header that was just short enough, with other white space */
    fuzz_check(journal_parse(text.data, text.length, "boot", &again, NULL) == ERROR_NONE);
    fuzz_check(strcmp(again.name.text, job->name.text) == 0);
    fuzz_check(strcmp(again.peer, job->peer) == 0);
    fuzz_check(again.address_count == job->address_count);
    fuzz_check(again.has_content == job->has_content);
    fuzz_check(again.good_bytes == text.length);
    journal_job_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_job job;
    struct error error;

    if (journal_parse((const char *)data, size, "boot", &job, &error)) {
        fuzz_check(error.code == ERROR_CORRUPT && !job.peer && !job.held);
        return 0;
    }
    fuzz_check(job.good_bytes <= size);
    fuzz_check(job.address_count <= JOURNAL_ADDRESSES_MAX);
    fuzz_check(!job.has_content || manifest_check(&job.manifest, NULL) == ERROR_NONE);
    check_again(&job);
    journal_job_done(&job);
    return 0;
}
