/* What is said of the HTTP interface, made at build time: openapi.json.in and docs_page.html.in. */
#pragma once

#include <stddef.h>

extern const unsigned char directory_openapi[];
extern const size_t directory_openapi_bytes;

/* One page that shows the same, and needs nothing else. */
extern const unsigned char directory_docs_page[];
extern const size_t directory_docs_page_bytes;
