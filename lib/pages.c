/*
 * Pages: mmap and its family.
 *
 * A range is reserved without access, which costs nothing under any overcommit policy, and made
 * accessible in steps as the arena is used. Where the kernel counts what is committed (strict
 * overcommit), a step can be refused, and the arena then is full; where it doesn't, the mapping is
 * MAP_NORESERVE and steps always succeed.
 */
#include "pages.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "report.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

size_t pages_size(void)
{
	return (size_t)getauxval(AT_PAGESZ);
}

void *pages_reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void *pages_reserve_aligned(size_t bytes, size_t alignment, size_t offset)
{
	char *p = pages_reserve(bytes + alignment);
	size_t front;

	if (!p)
		return NULL;
	front = -((uintptr_t)p + offset) & (alignment - 1);
	if (front)
		munmap(p, front);
	munmap(p + front + bytes, alignment - front);
	return p + front;
}

static bool protect(void *start, size_t bytes, int access)
{
	int saved = errno;
	bool done = mprotect(start, bytes, access) == 0;

	errno = saved;
	return done;
}

bool pages_commit(void *start, size_t bytes)
{
	return protect(start, bytes, PROT_READ | PROT_WRITE);
}

bool pages_forbid(void *start, size_t bytes)
{
	return protect(start, bytes, PROT_NONE);
}

void pages_release(void *start, size_t bytes)
{
	munmap(start, bytes);
}

bool pages_purge(void *start, size_t bytes)
{
	int saved = errno;
	bool done = madvise(start, bytes, MADV_DONTNEED) == 0;

	errno = saved;
	return done;
}

/* Maps a range again that may be gone. Without it the process can't go on. */
static void restore(void *start, size_t bytes)
{
	struct line line = { 0 };

	if (mmap(start, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) !=
		    MAP_FAILED || errno == EEXIST)
		return;
	line_text(&line, "realloc: the system unmapped ");
	line_number(&line, bytes);
	line_text(&line, " bytes of the arena at ");
	line_address(&line, start);
	line_text(&line, ", and refuses to map them again; look at ulimit -v");
	report(&line);
	abort();
}

bool pages_move(void *from, void *to, size_t bytes)
{
	int saved = errno;
	void *p;

	p = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
	/* Refused for want of memory, perhaps: the target may be gone already. */
	if (p == MAP_FAILED)
		restore(to, bytes);
	errno = saved;
	return p == to;
}

size_t pages_resident(void *start, size_t bytes)
{
	unsigned char present[1024];
	size_t page = pages_size();
	size_t step = sizeof(present) * page;
	size_t sum = 0;
	int saved = errno;

	for (size_t done = 0; done < bytes; done += step) {
		size_t length = bytes - done < step ? bytes - done : step;

		if (mincore((char *)start + done, length, present) != 0)
			break;
		for (size_t i = 0; i < (length + page - 1) / page; i++)
			sum += present[i] & 1 ? page : 0;
	}
	errno = saved;
	return sum;
}

void pages_huge(void *start, size_t bytes)
{
	int saved = errno;

	madvise(start, bytes, MADV_HUGEPAGE);
	errno = saved;
}

void pages_prefault(void *start, size_t bytes)
{
	volatile char *p = start;
	size_t page = pages_size();

	for (size_t done = 0; done < bytes; done += page)
		p[done] = p[done];
}
