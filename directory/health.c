#include "directory/health.h"

void health_raise(struct health *health, enum health_fault fault)
{
    atomic_fetch_or(&health->faults, 1U << fault);
}

void health_clear(struct health *health, enum health_fault fault)
{
    atomic_fetch_and(&health->faults, ~(1U << fault));
}

unsigned health_faults(const struct health *health)
{
    return atomic_load(&health->faults);
}
