/* common/address: what it accepts is written so that it reads back as the same. */
#include "fuzz.h"

#include "common/address.h"
#include "common/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = memory_copy(data, size);
    char formatted[ADDRESS_TEXT_BYTES];
    struct address address;
    struct address again;
    struct error error;

    for (int allow_port_0 = 0; allow_port_0 <= 1; allow_port_0++) {
        if (address_parse(text, allow_port_0, &address, &error)) {
            fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0');
            continue;
        }
        fuzz_check(allow_port_0 || address.port > 0);
        fuzz_check(strlen(address.host) > 0 && strlen(address.host) < ADDRESS_HOST_BYTES);
        address_format(&address, formatted);
        fuzz_check(address_parse(formatted, allow_port_0, &again, NULL) == ERROR_NONE);
        fuzz_check(strcmp(again.host, address.host) == 0 && again.port == address.port);
        (void)address_is_wildcard(&address);
    }
    return 0;
}
