/*
 * POST /login: who it is, then what he shares. What takes long goes to other threads, and the reply
 * follows from there:
 *
 *   HTTP thread ── unknown password ──▶ verifier
 *        │  └───── long body ─────────▶ worker ◀┘ │
 *        │ short and known                │       │
 *        └──────────────▶ registry ◀──────┴───────┘
 *                         │      └─ new peer, changed list ──▶ writer ──▶ reply
 *                         └─ nothing new ──▶ reply
 *
 * The order of the checks is the reference's: what is missing (422), the password (401), the list
 * (400). Of a bad list nothing is stored and the peer stays as it was. A body is taken apart before
 * the password only when the password is in it.
 */
#pragma once

#include "common/thread_pool.h"
#include "directory/health.h"
#include "directory/http.h"
#include "directory/index_writer.h"
#include "directory/registry.h"
#include "directory/users.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Bodies and lists longer than this are parsed by the worker: about a millisecond's work. */
#define LOGIN_SHORT_BYTES (64 << 10)
/* Logins with long bodies that wait for the worker; http.h bounds their bytes. */
#define LOGIN_WAITING_MAX 128
/* Logins that wait for each thread of the verifier: the last has waited about four seconds then;
 * more are answered 503. One thread takes one core and 19 MiB, and strangers with wrong passwords
 * can have all of them: so there is one fewer than cores. */
#define LOGIN_VERIFYING_MAX    128
#define LOGIN_VERIFIER_THREADS 8 /* at most */
/* Names of newly indexed files that one login writes to the log. */
#define LOGIN_LOGGED_FILES INDEX_WRITER_ADDED_MAX

/* What a login needs of the daemon; borrowed for as long as requests are served. */
struct login_services {
    struct users *users;
    struct registry *registry;
    struct thread_pool *verifier;
    struct thread_pool *worker;
    struct index_writer *writer;
    int64_t expiry_s;
    const atomic_bool *stopping; /* logins that wait for these are refused */
    const struct health *health; /* NULL: not known. What it says already is not logged */
};

/* As http_handler: true with the reply, or false and the reply follows. query is the target's part
 * behind the '?', "" for none, changeable until the reply. */
bool login_handle(const struct login_services *services, struct http_exchange *exchange,
                  char *query, size_t query_length, struct http_reply *reply);
