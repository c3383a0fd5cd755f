/*
 * gRPC core's own start and end. Every server and channel holds one reference while it lives, so
 * that the library is up exactly as long as somebody needs it. Any thread.
 */
#pragma once

void rpc_lifecycle_acquire(void);
void rpc_lifecycle_release(void);
