#include "directory/http_head.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

/* What is told by several headers together. */
struct seen {
    unsigned hosts, lengths, encodings;
    bool unknown_encoding, close, keep_alive;
};

static bool is_token_char(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c);
}

bool http_head_can_begin(char first)
{
    return first == '\r' || first == '\n' || is_token_char((unsigned char)first);
}

size_t http_head_length(const char *text, size_t length, size_t *scanned)
{
    size_t start = *scanned;
    const char *end;

    while (start < length && (end = memchr(text + start, '\n', length - start))) {
        size_t line = (size_t)(end - text) - start;
        size_t next = start + line + 1;
        if (line == 0 || (line == 1 && text[start] == '\r'))
            return next;
        start = next;
    }
    *scanned = start;
    return 0;
}

/* Ends the line that begins at text with a NUL, without its CR; returns the next one. */
static char *cut_line(char *text, char *end, size_t *length)
{
    char *next = memchr(text, '\n', (size_t)(end - text));

    *length = (size_t)(next - text);
    if (*length > 0 && text[*length - 1] == '\r')
        --*length;
    text[*length] = '\0';
    return next + 1;
}

/* ---- the request line ---- */

static unsigned parse_version(const char *text, struct http_head *head)
{
    if (strncmp(text, "HTTP/", 5) != 0 || text[5] < '0' || text[5] > '9' || text[6] != '.' ||
        text[7] < '0' || text[7] > '9' || text[8] != '\0')
        return 400;
    if (text[5] != '1')
        return 505;
    head->old = text[7] == '0';
    return 0;
}

static unsigned parse_line(char *line, size_t length, struct http_head *head)
{
    char *space = memchr(line, ' ', length);

    if (!space || space == line)
        return 400;
    for (const char *c = line; c < space; c++)
        if (!is_token_char((unsigned char)*c))
            return 400;
    *space = '\0';
    head->method = line;
    head->target = space + 1;
    char *end = head->target;
    /* Bytes above 0x7f are let through: what they mean is told by who decodes the target. */
    while ((unsigned char)*end > ' ' && *end != 0x7f)
        end++;
    if (end == head->target || *end != ' ')
        return 400;
    *end = '\0';
    head->target_length = (size_t)(end - head->target);
    unsigned status = parse_version(end + 1, head);
    if (!status && end + 9 != line + length)
        return 400; /* a NUL in the line */
    return status;
}

/* ---- headers ---- */

static void take_length(const char *value, struct seen *seen, struct http_head *head, bool *fine)
{
    unsigned long long bytes = 0;

    seen->lengths++;
    *fine = *value != '\0';
    for (; *value; value++) {
        if (*value < '0' || *value > '9') {
            *fine = false;
            return;
        }
        unsigned digit = (unsigned)(*value - '0');
        bytes = bytes > (ULLONG_MAX - digit) / 10 ? ULLONG_MAX : bytes * 10 + digit;
    }
    head->body = HTTP_BODY_LENGTH;
    head->body_bytes = bytes;
}

static void take_connection(const char *value, struct seen *seen)
{
    while (*value) {
        value += strspn(value, " \t,");
        size_t length = strcspn(value, " \t,");
        if (length == 5 && strncasecmp(value, "close", length) == 0)
            seen->close = true;
        if (length == 10 && strncasecmp(value, "keep-alive", length) == 0)
            seen->keep_alive = true;
        value += length;
    }
}

static bool take_header(const char *name, const char *value, struct seen *seen,
                        struct http_head *head)
{
    bool fine = true;

    if (strcasecmp(name, "Host") == 0) {
        seen->hosts++;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        take_length(value, seen, head, &fine);
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        seen->encodings++;
        seen->unknown_encoding |= strcasecmp(value, "chunked") != 0;
    } else if (strcasecmp(name, "Connection") == 0) {
        take_connection(value, seen);
    } else if (strcasecmp(name, "Expect") == 0) {
        head->expects |= strcasecmp(value, "100-continue") == 0;
    } else if (strcasecmp(name, "Content-Type") == 0) {
        head->content_type = head->content_type ? head->content_type : value;
    } else if (strcasecmp(name, "Authorization") == 0) {
        head->authorization = head->authorization ? head->authorization : value;
    }
    return fine;
}

static bool parse_header(char *line, size_t length, struct seen *seen, struct http_head *head)
{
    char *name_end = line;

    while (is_token_char((unsigned char)*name_end))
        name_end++;
    if (name_end == line || *name_end != ':')
        return false;
    *name_end = '\0';
    char *value = name_end + 1;
    char *end = line + length;
    for (const char *c = value; c < end; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return false;
    while (*value == ' ' || *value == '\t')
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    return take_header(line, value, seen, head);
}

unsigned http_head_parse(char *text, size_t length, struct http_head *head)
{
    struct seen seen = {0};
    char *end = text + length;
    size_t line_length;

    *head = (struct http_head){.method = ""};
    char *line = text;
    char *next = cut_line(line, end, &line_length);
    unsigned status = parse_line(line, line_length, head);
    if (status)
        return status;
    for (line = next; line < end; line = next) {
        next = cut_line(line, end, &line_length);
        if (line_length == 0)
            break;
        if (!parse_header(line, line_length, &seen, head))
            return 400;
    }
    if (seen.hosts > 1 || (seen.hosts == 0 && !head->old))
        return 400;
    /* HTTP/1.0 has no encodings, and a proxy of that age would pass the header on unread. */
    head->ambiguous = seen.lengths + seen.encodings > 1 || seen.unknown_encoding ||
                      (seen.encodings > 0 && head->old);
    if (seen.encodings > 0)
        head->body = HTTP_BODY_CHUNKED;
    head->keeps_alive = !seen.close && (!head->old || seen.keep_alive);
    head->expects &= !head->old;
    return 0;
}
