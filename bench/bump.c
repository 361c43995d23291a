/*
 * An allocator that never frees, to be preloaded: what malloc costs when it does next to nothing,
 * and what it costs to never use memory again, since each page is a page fault. Something to
 * compare with, no allocator to use: it refuses once it holds a quarter of the machine's memory,
 * and a realloc that grows copies.
 *
 * Each thread cuts its blocks off a slice of its own, so that threads meet once for each slice.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What malloc.h doesn't declare. */
void *valloc(size_t size);
void *pvalloc(size_t size);

enum { ALIGNMENT = 16, PAGE = 4096 };

static const size_t slice_size = 1 << 20;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uintptr_t chunk_begin, chunk_end;
static atomic_uintptr_t chunk_next;
static __thread uintptr_t slice_next, slice_end;

static void map_chunk(void)
{
	size_t size = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return;
	chunk_begin = (uintptr_t)memory;
	chunk_end = chunk_begin + size;
	atomic_store(&chunk_next, chunk_begin);
}

/* A range of the chunk that is nobody else's, or 0. */
static uintptr_t take(size_t size)
{
	uintptr_t begin = atomic_load(&chunk_next);

	do {
		if (size > chunk_end - begin)
			return 0;
	} while (!atomic_compare_exchange_weak(&chunk_next, &begin, begin + size));
	return begin;
}

/* A payload with its size in the 8 bytes before it; what alignment skips is lost. */
static void *place(uintptr_t begin, size_t size, size_t alignment)
{
	uintptr_t payload = (begin + sizeof(size_t) + alignment - 1) & ~(alignment - 1);

	((size_t *)payload)[-1] = size;
	return (void *)payload;
}

static void *refill(size_t size, size_t alignment)
{
	size_t room = size + alignment + sizeof(size_t);
	uintptr_t begin;

	pthread_once(&once, map_chunk);
	if (room < size || size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	/* A block of more than a quarter of a slice is cut off the chunk, and the slice stays. */
	begin = take(room > slice_size / 4 ? room : slice_size);
	if (!begin) {
		errno = ENOMEM;
		return NULL;
	}
	if (room <= slice_size / 4) {
		slice_next = begin + room;
		slice_end = begin + slice_size;
	}
	return place(begin, size, alignment);
}

static inline void *cut(size_t size, size_t alignment)
{
	size_t room = size + alignment + sizeof(size_t);

	if (room >= size && room <= slice_end - slice_next) {
		void *payload = place(slice_next, size, alignment);

		slice_next = (uintptr_t)payload + size;
		return payload;
	}
	return refill(size, alignment);
}

void *malloc(size_t size)
{
	return cut(size, ALIGNMENT);
}

void free(void *block)
{
	(void)block;
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	/* Pages of the chunk are zero until their first use, and there is no second. */
	return cut(bytes, ALIGNMENT);
}

void *realloc(void *block, size_t size)
{
	size_t old;
	void *grown;

	if (!block)
		return cut(size, ALIGNMENT);
	if (!size)
		return NULL;
	old = malloc_usable_size(block);
	if (size <= old)
		return block;
	grown = cut(size, ALIGNMENT);
	if (grown)
		memcpy(grown, block, old);
	return grown;
}

size_t malloc_usable_size(void *block)
{
	return block ? ((size_t *)block)[-1] : 0;
}

void *memalign(size_t alignment, size_t size)
{
	if (!alignment || (alignment & (alignment - 1))) {
		errno = EINVAL;
		return NULL;
	}
	return cut(size, alignment < ALIGNMENT ? ALIGNMENT : alignment);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
	int before = errno;
	void *block;

	if (alignment < sizeof(void *) || (alignment & (alignment - 1)))
		return EINVAL;
	block = memalign(alignment, size);
	errno = before;
	if (!block)
		return ENOMEM;
	*result = block;
	return 0;
}

void *valloc(size_t size)
{
	return memalign(PAGE, size);
}

void *pvalloc(size_t size)
{
	return memalign(PAGE, (size + PAGE - 1) & ~(size_t)(PAGE - 1));
}
