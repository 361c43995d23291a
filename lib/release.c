/*
 * Release: where a freed block goes when the fast path can't take it.
 *
 *	just the size of a class	the thread's cache, which may first give part of a bin back
 *	all else			its heap, under the owner's lock, or its plot's inbox
 */
#include "release.h"

#include "commons.h"
#include "plot.h"
#include "purge.h"
#include "registry.h"
#include "report.h"

/* What is wrong with a block whose tag isn't that of a live one. */
static const char *cause_of(char *base, uint64_t at, uint32_t key)
{
	const struct tag *tag = tag_at(base, at);

	if (tag_state(tag) == TAG_FREE)
		return "it is free already; look for a double free";
	if ((tag_state(tag) == TAG_WAITING || tag_state(tag) == TAG_STRAY) &&
	    tag_sound(base, at, key))
		return "it was handed to acre_free_rcu() before; look for a double free";
	if (tag_state(tag) == TAG_CACHED && tag_sound(base, at, key))
		return "it was freed before; look for a double free";
	return "no block begins here, or its tag was overwritten; look for a write past the end of "
	       "the block before, or for a pointer into a block";
}

uint64_t release_expect(const struct acre *arena, const void *block, const char *call)
{
	char *base = arena_base(arena);
	size_t offset = (uintptr_t)block - (uintptr_t)base;
	const struct tag *tag;
	uint64_t at, size;

	if (offset >= arena->size || offset / GRANULE <= arena->commons.start ||
	    offset >= atomic_load_explicit(&arena->committed, memory_order_relaxed))
		registry_foreign(arena, block, call);
	if (offset % GRANULE)
		report_misuse(call, block, "no block begins here: it isn't aligned to 16");
	at = offset / GRANULE - 1;
	tag = tag_at(base, at);
	size = tag_size(tag);
	/* No such size, or no such plot. */
	if (size > arena->size / GRANULE - at || tag_plot(tag) > plots_made(arena))
		size = 0;
	else if (tag_face(tag) == face_of(at, size, TAG_LIVE, tag_plot(tag), arena->key))
		return at;
	if (size && tag_sound(base, at, arena->key))
		report_misuse_of(call, block, size, tag_plot(tag), cause_of(base, at, arena->key));
	report_misuse(call, block, cause_of(base, at, arena->key));
}

/* To the commons. Its tag is looked at again: another thread may be freeing it too. */
static void give_to_commons(struct acre *arena, uint64_t at)
{
	lock_take(&arena->lock);
	heap_expect(arena_base(arena), at, 0, arena->key, TAG_LIVE);
	commons_give(arena, at);
	lock_drop(&arena->lock);
}

/*
 * To its plot, likewise. Where somebody is in there, a thread without a plot sends the block by post,
 * as it would from a cache. Others wait: what they posted would add up beside their caches.
 */
static void give_to_plot(struct acre *arena, uint64_t at, uint32_t owner, bool waits)
{
	struct plot *plot = plot_at(arena, owner);
	struct tag *tag = tag_at(arena_base(arena), at);

	if (waits) {
		lock_take(&plot->lock);
	} else if (!lock_try(&plot->lock)) {
		tag_set_state(tag, TAG_CACHED);
		cache_give(arena, NULL, &at, 1);
		return;
	}
	heap_expect(arena_base(arena), at, owner, arena->key, TAG_LIVE);
	tag_set_state(tag, TAG_CACHED);
	plot_give(arena, plot, &at, 1);
	plot_let_go(arena, plot);
}

/* Into the cache; false if that isn't for it. */
static bool give_to_cache(struct cache *cache, void *block, uint64_t size)
{
	unsigned class;

	if (!cache->plot || size > CLASSED_MOST)
		return false;
	class = arena_class(cache->arena, size);
	return cache->arena->plan.granules[class] == size && cache_keep(cache, block, class);
}

void release(struct acre *arena, struct cache *cache, void *block)
{
	uint64_t at = release_expect(arena, block, "free");
	struct tag *tag = tag_at(arena_base(arena), at);
	uint64_t size = tag_size(tag);
	uint32_t owner = tag_plot(tag);

	if (cache->plot)
		cache_reach(cache, arena);
	SHADOW_RETIRE(block, payload_bytes(size));
	SHADOW_HIDE(block, payload_bytes(size));
	if (!give_to_cache(cache, block, size)) {
		if (owner)
			give_to_plot(arena, at, owner, cache->plot);
		else
			give_to_commons(arena, at);
	}
	purge_maybe(arena, size * GRANULE);
}
