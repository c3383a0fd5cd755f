/* directory/listing: a cursor that is accepted names a place, and that place's cursor names it
 * again. */
#include "fuzz.h"

#include "common/memory.h"
#include "directory/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = memory_copy(data, size);
    char again_text[LISTING_CURSOR_BYTES];
    struct index_place place;
    struct index_place again;
    struct error error;

    if (listing_parse_cursor(text, &place, &error)) {
        fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0');
        return 0;
    }
    fuzz_check(place.peer_id >= 0 && place.name_id >= 0);
    listing_format_cursor(&place, again_text);
    fuzz_check(strlen(again_text) < sizeof again_text);
    fuzz_check(listing_parse_cursor(again_text, &again, NULL) == ERROR_NONE);
    fuzz_check(again.peer_id == place.peer_id && again.name_id == place.name_id);
    return 0;
}
