/*
 * What only the start needed of the program's and its libraries' code is let go of.
 */
#pragma once

/* Unmaps the pages of read-only code and data of everything that is loaded; what is used again is
 * mapped again from the page cache. Of the 20 MiB that an idle peer has in memory, 17 are such
 * pages, most of them touched once, by the linker and by the libraries' own preparations. Once,
 * after the start; other threads may run. */
void startup_pages_release(void);
