/* peer/network/directory_replies: what a directory answers to a login; times are usable. */
#include "fuzz.h"

#include "common/text.h"
#include "peer/network/directory_replies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct directory_session session;
    struct error error;
    char detail[64];

    directory_parse_detail(text, size, detail, sizeof detail);
    fuzz_check(strlen(detail) < sizeof detail && text_is_utf8(detail, strlen(detail)));
    fuzz_check(!text_has_control(detail, strlen(detail)));
    if (directory_parse_login(text, size, &session, &error)) {
        fuzz_check(error.code == ERROR_CORRUPT && error.text[0] != '\0');
        return 0;
    }
    fuzz_check(strlen(session.token) < sizeof session.token);
    fuzz_check(session.heartbeat_ms > 0 && session.heartbeat_ms < session.expiry_ms);
    fuzz_check(session.tells_expiry || session.expiry_ms == DIRECTORY_EXPIRY_MS);
    return 0;
}
