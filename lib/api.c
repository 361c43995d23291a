/*
 * The public functions of allocation: arguments, the fast path, and the call of the slow one.
 */
#include <errno.h>
#include <string.h>

#include "arena.h"
#include "cache.h"
#include "guard.h"
#include "purge.h"
#include "release.h"
#include "report.h"
#include "resize.h"
#include "supply.h"
#include "thread.h"

static void *slowly(struct acre *arena, struct cache *cache, size_t size, size_t alignment,
		    bool zero)
{
	void *block = NULL;

	if (!supply_fails(arena))
		block = arena->guard.kinds ? guard_take(arena, size, alignment, zero) :
					     supply(arena, cache, size, alignment, zero);
	return block ? block : supply_refuse(arena, cache);
}

void *acre_malloc(struct acre *arena, size_t size)
{
	struct cache *cache = thread_cache(arena);
	void *block = cache_take(cache, size);

	return block ? block : slowly(arena, cache, size, 0, false);
}

void *acre_calloc(struct acre *arena, size_t count, size_t size)
{
	struct cache *cache = thread_cache(arena);
	size_t bytes;
	void *block;

	/* A product that overflows asks for more than any arena has. */
	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	block = cache_take(cache, bytes);
	return block ? memset(block, 0, bytes) : slowly(arena, cache, bytes, 0, true);
}

void acre_free(struct acre *arena, void *block)
{
	struct cache *cache;

	if (!block)
		return;
	cache = thread_cache_to_free(arena);
	if (cache_put(cache, block))
		return;
	if (arena->guard.kinds)
		guard_give(arena, block);
	else
		release(arena, cache, block);
}

/* Whether the block may be what a request of so many bytes has got. */
static bool serves(const struct acre *arena, const void *block, uint64_t granules, size_t size)
{
	return arena->guard.kinds ? guard_request(arena, block, "free_sized") == size :
				    resize_serves(arena, granules, size);
}

void acre_free_sized(struct acre *arena, void *block, size_t size)
{
	if (block) {
		uint64_t at = release_expect(arena, block, "free_sized");
		const struct tag *tag = tag_at(arena_base(arena), at);

		if (!serves(arena, block, tag_size(tag), size))
			report_misuse_of("free_sized", block, tag_size(tag), tag_plot(tag),
					 "it isn't of the size given");
	}
	acre_free(arena, block);
}

void *acre_realloc(struct acre *arena, void *block, size_t size)
{
	struct cache *cache;
	void *fresh;

	if (!block)
		return acre_malloc(arena, size);
	if (!size) {
		acre_free(arena, block);
		return NULL;
	}
	cache = thread_cache(arena);
	fresh = cache_resize(cache, block, size);
	if (!fresh)
		fresh = arena->guard.kinds ? guard_resize(arena, block, size) :
					     resize(arena, cache, block, size);
	return fresh ? fresh : supply_refuse(arena, cache);
}

void *acre_aligned_alloc(struct acre *arena, size_t alignment, size_t size)
{
	if (!alignment || alignment & (alignment - 1)) {
		errno = EINVAL;
		return NULL;
	}
	if (alignment <= GRANULE)
		return acre_malloc(arena, size);
	return slowly(arena, thread_cache(arena), size, alignment, false);
}

size_t acre_usable_size(const struct acre *arena, const void *block)
{
	char *base = arena_base(arena);

	if (!block)
		return 0;
	if (arena->guard.kinds)
		return guard_request(arena, block, "usable_size");
	return payload_bytes(tag_size(tag_at(base, release_expect(arena, block, "usable_size"))));
}

void acre_flush(struct acre *arena)
{
	if (arena->guard.kinds)
		guard_flush(arena);
	else if (arena->plot_bytes)
		supply_reclaim(arena, thread_held(arena));
}

size_t acre_trim(struct acre *arena)
{
	acre_flush(arena);
	return purge_all(arena);
}
