#include "peer/rpc/greeting.h"

#include <string.h>

#define PREFACE       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_BYTES (sizeof PREFACE - 1)

#define TYPE_SETTINGS   4
#define FRAME_MAX_BYTES 16384 /* as long as we have not allowed more (RFC 9113, 4.2) */

enum greeting greeting_check(const uint8_t *head, size_t head_bytes, size_t bytes)
{
    size_t compared = head_bytes < PREFACE_BYTES ? head_bytes : PREFACE_BYTES;
    const uint8_t *frame = head + PREFACE_BYTES;
    size_t length;

    if (memcmp(head, PREFACE, compared) != 0)
        return GREETING_WRONG;
    if (head_bytes < GREETING_HEAD_BYTES)
        return GREETING_PART;
    length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
    if (frame[3] != TYPE_SETTINGS || length > FRAME_MAX_BYTES)
        return GREETING_WRONG;
    return bytes >= GREETING_HEAD_BYTES + length ? GREETING_WHOLE : GREETING_PART;
}
