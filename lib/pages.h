/*
 * The operating system's memory: the only file that asks for any, or gives any back.
 */
#ifndef ACRE_PAGES_H
#define ACRE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes in a page; a power of two. */
size_t pages_size(void);

/* Reserves a range of whole pages, not yet accessible. NULL if the OS refuses. */
void *pages_reserve(size_t bytes);

/* The same, such that the byte at offset, of whole pages, is at a multiple of alignment. */
void *pages_reserve_aligned(size_t bytes, size_t alignment, size_t offset);

/* Makes whole pages of a reserved range readable and writable. False if the OS refuses. */
bool pages_commit(void *start, size_t bytes);

/* Makes whole pages neither readable nor writable. False if the OS refuses. */
bool pages_forbid(void *start, size_t bytes);

/* Gives a reserved range back, wholly. */
void pages_release(void *start, size_t bytes);

/*
 * Empties whole pages: they read as zero afterwards. False if the OS refuses (they are as before).
 */
bool pages_purge(void *start, size_t bytes);

/*
 * Moves whole pages onto others of the same range, leaving zeros. False if it can't be done. The
 * source must be one mapping: kernels before 6.17 unmap the target before they notice that it's
 * not. Each move may leave the process with two mappings more.
 */
bool pages_move(void *from, void *to, size_t bytes);

/* Bytes of a range that are in memory now. */
size_t pages_resident(void *start, size_t bytes);

/* Asks for huge pages in a range: a hint. */
void pages_huge(void *start, size_t bytes);

/* Makes committed pages resident. */
void pages_prefault(void *start, size_t bytes);

#endif
