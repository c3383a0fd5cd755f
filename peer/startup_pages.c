#include "peer/startup_pages.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that nobody may write are as they are in their file, and so nothing is lost; what the
 * linker has written (relocations) is in the others. */
static int release_segments(struct dl_phdr_info *object, size_t size, void *page_bytes)
{
    uintptr_t mask = *(const uintptr_t *)page_bytes - 1;

    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W))
            continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~mask;
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz + mask) & ~mask;
        madvise((void *)start, end - start, MADV_DONTNEED); /* a hint: no matter if it fails */
    }
    return 0;
}

void startup_pages_release(void)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);

    dl_iterate_phdr(release_segments, &page_bytes);
}
