/*
 * Bytes as hexadecimal digits. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Lower case, two digits a byte, and a NUL. */
void hex_format(const void *bytes, size_t length, char *out);
/* Of 2 * length digits in lower case; false: something else is among them. */
bool hex_parse(const char *text, size_t length, void *bytes);
