#include "common/accept_trouble.h"

#include <errno.h>

bool trouble_begins(struct trouble *trouble, int64_t now_ms)
{
    int64_t last_ms = atomic_exchange(&trouble->last_ms, now_ms);

    return last_ms == 0 || now_ms - last_ms > TROUBLE_EPISODE_MS;
}

bool accept_lost_one(int errno_value)
{
    switch (errno_value) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM: /* a firewall's word */
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}
