/*
 * Downloads as a table, a line each, and below it why one waits or failed. Pure.
 */
#pragma once

#include "common/buffer.h"
#include "proto/control.pb-c.h"

#include <stddef.h>

#define JOB_TABLE_ANY_WIDTH ((size_t)1 << 20)

/* Adds lines, each ended by a newline and at most `columns` wide (20 at least):
 *
 *   ID  ESTADO         %    VELOCIDAD    QUEDA  FUENTES  NOMBRE
 *    3  descargando   45   12.3 MiB/s     0:11        4  debian.iso
 *    4  espera        12            -        -        0  otro.bin
 *       ningún peer activo tiene este contenido
 *
 * Where the name would get too little room, sources go first, then time left, rate and state; then
 * the name is cut. What is not known is "-". */
void job_table_format(P2p__Control__Job *const *jobs, size_t count, size_t columns,
                      struct buffer *out);
