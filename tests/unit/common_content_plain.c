/* The tests of common_content.c without the library that hashes several messages at once: what is
 * included here takes the place of the module that was built. */
#include "common/multi_hash_none.c"
#include "common_content.c"
