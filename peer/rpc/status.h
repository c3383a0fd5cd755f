/*
 * The one place where error codes become gRPC statuses and back. Pure.
 *
 * A gRPC status says less than our codes do (a full disk and a message that is too large are both
 * RESOURCE_EXHAUSTED), UNAVAILABLE is also what the core says of a broken connection, and CANCELLED
 * what it says of a call of a server that stops. In these cases the server adds the trailing
 * metadata RPC_ERROR_METADATA with a word for the code; foreign clients ignore it.
 */
#pragma once

#include "common/error.h"

#include <grpc/status.h>
#include <stdbool.h>
#include <stddef.h>

#define RPC_ERROR_METADATA "p2p-error"

grpc_status_code rpc_status_of(enum error_code code);

/* For statuses that no code of ours makes, the nearest: UNAUTHENTICATED is ERROR_DENIED, UNKNOWN
 * is ERROR_IO, and so on. */
enum error_code rpc_status_to_code(grpc_status_code status);

/* Whether the status alone loses something, so that the metadata is needed. */
bool rpc_status_needs_word(enum error_code code);

/* The value of the metadata for a code (static), and back; false for a word that we do not know. */
const char *rpc_status_word(enum error_code code);
bool rpc_status_parse_word(const char *word, size_t length, enum error_code *code);
