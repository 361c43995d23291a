/*
 * About the least that malloc could cost: to compare with, no allocator to use. A freed block goes
 * on its thread's list for that size, where the next request of the size finds it; else one is cut
 * off memory never used. Nothing is checked, split, merged or returned: where blocks are large or
 * grow, or threads free each other's, an allocator that saves page faults and copies may be lower.
 *
 * A block is a word that holds its room, then the payload. The room is that of both: a multiple of
 * 16 bytes; above 1 KiB one of 8 sizes in each doubling, or most of so many lists would be found
 * empty; above 64 KiB a power of two. A thread's heap is left to a later thread.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORD = 8, ALIGNMENT = 16, EXACT = 1 << 10, PAGE = 4096, SMALL = 1 << 16, SLICE = 1 << 20 };

struct heap {
	uintptr_t next, end;			/* of its slice of the chunk */
	void *small[SMALL / ALIGNMENT + 1];	/* free payloads, by room / 16, linked */
	void *large[64];			/* the same, by the room's power of two */
	struct heap *other;			/* of those that no thread has */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of all but mine */
static pthread_key_t key;
static struct heap *spare;
static uintptr_t chunk_next, chunk_end;
static __thread struct heap *mine;

static void leave(void *heap)
{
	mine = NULL;
	pthread_mutex_lock(&lock);
	((struct heap *)heap)->other = spare;
	spare = heap;
	pthread_mutex_unlock(&lock);
}

static void map_chunk(void)
{
	size_t size = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * PAGE;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED || pthread_key_create(&key, leave))
		abort();
	chunk_next = (uintptr_t)memory;
	chunk_end = chunk_next + size;
}

/* A range of the chunk that is nobody else's, or 0. */
static uintptr_t take(size_t size)
{
	uintptr_t begin;

	pthread_mutex_lock(&lock);
	begin = size <= chunk_end - chunk_next ? chunk_next : 0;
	chunk_next += begin ? size : 0;
	pthread_mutex_unlock(&lock);
	if (!begin)
		errno = ENOMEM;
	return begin;
}

static struct heap *enter(void)
{
	pthread_mutex_lock(&lock);
	if (!chunk_next)
		map_chunk();
	mine = spare;
	if (mine)
		spare = mine->other;
	pthread_mutex_unlock(&lock);
	if (!mine)
		mine = (struct heap *)take((sizeof(*mine) + PAGE - 1) / PAGE * PAGE);
	pthread_setspecific(key, mine);
	return mine;
}

static inline struct heap *my_heap(void)
{
	return __builtin_expect(mine != NULL, 1) ? mine : enter();
}

static inline size_t room_of(size_t size)
{
	/* Of what is more, there is none. */
	size_t room = (size < PTRDIFF_MAX / 2 ? size : PTRDIFF_MAX / 2) + WORD, step = ALIGNMENT;

	if (room > EXACT)
		step = (room > SMALL ? (size_t)16 : 1) << (60 - __builtin_clzl(room - 1));
	return (room + step - 1) & ~(step - 1);
}

static inline void **list_of(struct heap *heap, size_t room)
{
	return room <= SMALL ? &heap->small[room / ALIGNMENT] : &heap->large[__builtin_ctzl(room)];
}

/* A block that was never used, and is zero; what alignment skips is lost, as is a slice's rest. */
static void *cut(struct heap *heap, size_t room, size_t alignment)
{
	uintptr_t payload;

	if (room + alignment > heap->end - heap->next) {
		size_t slice = SLICE + room + alignment;
		uintptr_t begin = take(slice);

		if (!begin)
			return NULL;
		heap->next = begin;
		heap->end = begin + slice;
	}
	payload = (heap->next + WORD + alignment - 1) & ~(alignment - 1);
	((size_t *)payload)[-1] = room;
	heap->next = payload - WORD + room;
	return (void *)payload;
}

void *malloc(size_t size)
{
	struct heap *heap = my_heap();
	size_t room = room_of(size);
	void **list = list_of(heap, room), **block = *list;

	if (!block)
		return cut(heap, room, ALIGNMENT);
	*list = *block;
	return block;
}

void free(void *block)
{
	if (block) {
		void **list = list_of(my_heap(), ((size_t *)block)[-1]);

		*(void **)block = *list;
		*list = block;
	}
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	if (!*list_of(my_heap(), room_of(bytes)))
		return malloc(bytes);	/* cut off, thus zero */
	return memset(malloc(bytes), 0, bytes);
}

size_t malloc_usable_size(void *block)
{
	return block ? ((size_t *)block)[-1] - WORD : 0;
}

/* What shrinks stays, to 0 bytes as well. */
void *realloc(void *block, size_t size)
{
	size_t old = malloc_usable_size(block);
	void *grown;

	if (block && size <= old)
		return block;
	grown = malloc(size);
	if (!grown || !block)
		return grown;
	memcpy(grown, block, old);
	free(block);
	return grown;
}

void *memalign(size_t alignment, size_t size)
{
	void **list = list_of(my_heap(), room_of(size));

	/* The first of the list will do in a program that asks for one alignment. */
	if (alignment <= ALIGNMENT || (*list && (uintptr_t)*list % alignment == 0))
		return malloc(size);
	return cut(my_heap(), room_of(size), alignment);
}

void *aligned_alloc(size_t alignment, size_t size) __attribute__((alias("memalign")));

int posix_memalign(void **result, size_t alignment, size_t size)
{
	return (*result = memalign(alignment, size)) ? 0 : ENOMEM;
}

void *valloc(size_t size)
{
	return memalign(PAGE, size);
}
