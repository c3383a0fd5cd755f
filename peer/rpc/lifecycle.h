/*
 * gRPC core's own start and end. Every server and channel holds one reference while it lives. Any
 * thread.
 *
 * Once up, the library stays so until the process ends: its last shutdown joins a thread that polls
 * for up to ten seconds when a write had to wait for its socket lately (run_poller in the core's
 * tcp_posix.cc), and a daemon has two to stop.
 */
#pragma once

void rpc_lifecycle_acquire(void);
void rpc_lifecycle_release(void);
