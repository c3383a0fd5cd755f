#include "peer/rpc/lifecycle.h"

#include <grpc/grpc.h>

void rpc_lifecycle_acquire(void)
{
    grpc_init(); /* counts its callers itself */
}

void rpc_lifecycle_release(void)
{
    grpc_shutdown();
}
