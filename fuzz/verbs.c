/*
 * Verbs: see verbs.h.
 */
#include "verbs.h"

#include <errno.h>

#include "model.h"
#include "os.h"
#include "reader.h"
#include "view.h"

#define KIB		((size_t)1 << 10)
#define MIB		((size_t)1 << 20)
#define CALLS_MOST	8000u
#define BYTES_MOST	(32 * MIB)	/* filled and verified: a play lasts some 20 ms at most */
#define ERRNO_KEPT	4242		/* no error has this number */

struct game game;

const char *const verb_names[VERBS] = {
	[MALLOC] = "malloc", [CALLOC] = "calloc", [ALIGNED] = "aligned_alloc",
	[REALLOC] = "realloc", [FREE] = "free", [FREE_SIZED] = "free_sized",
	[RUN] = "run", [FREE_RUN] = "free run", [FILL] = "fill", [FLUSH] = "flush",
	[TRIM] = "trim", [TURN] = "turn", [EXIT] = "exit", [CHECK] = "check", [BUSY] = "busy",
	[PASS] = "pass", [REFUSE] = "refuse", [ARENA] = "arena", [DESTROY] = "destroy",
	[USE] = "use",
};

static struct land *in_use(void)
{
	return &model.lands[game.land];
}

static struct acre *arena_in_use(void)
{
	return in_use()->arena;
}

/*
 * Calls. Each is counted, and joins its arena.
 */
static bool may_call(void)
{
	return game.calls < CALLS_MOST && model.bytes < BYTES_MOST;
}

static void count_call(unsigned land)
{
	game.calls++;
	model_join(land, game.worker);
	errno = ERRNO_KEPT;
}

static bool may_allocate(void)
{
	return may_call() && arena_in_use() && model.count < PLAY_PIECES;
}

/* What a call returned that was to have so many bytes. */
static bool got(void *block, size_t size, size_t alignment)
{
	if (block)
		model_took(game.land, block, size, alignment);
	else
		model_refused(game.land, size, alignment, NULL);
	return block;
}

static bool get(size_t size)
{
	if (!may_allocate())
		return false;
	count_call(game.land);
	return got(acre_malloc(arena_in_use(), size), size, 16);
}

static bool get_zeros(size_t size, unsigned varied)
{
	static const size_t members[] = { 1, 3, 16 };
	struct acre *arena = arena_in_use();
	size_t count, each, bytes;
	void *block;

	if (!may_allocate())
		return false;
	count_call(game.land);
	if (varied == 3) {
		/* The product is size / 2, but for the overflow. */
		block = acre_calloc(arena, (SIZE_MAX / 2 + 1) + size / 4, 2);
		must(!block, "calloc: an overflow");
		model_refused(game.land, SIZE_MAX, 16, NULL);
		return false;
	}
	count = members[varied];
	each = size / count;
	bytes = count * each;
	block = acre_calloc(arena, count, each);
	if (block)
		model_zero(block, bytes);
	return got(block, bytes, 16);
}

static void get_aligned(size_t alignment, size_t size)
{
	void *block;

	if (!may_allocate())
		return;
	count_call(game.land);
	block = acre_aligned_alloc(arena_in_use(), alignment, size);
	if (alignment & (alignment - 1) || !alignment)
		must(!block && errno == EINVAL, "alignment %zu: %p, errno %d", alignment, block,
		     errno);
	else
		got(block, size, alignment < 16 ? 16 : alignment);
}

static void change(size_t number, size_t size)
{
	struct piece *piece = &model.pieces[number];
	void *block;

	model_verify(piece);
	count_call(piece->land);
	block = acre_realloc(model.lands[piece->land].arena, piece->block, size);
	if (block)
		model_moved(piece, block, size);
	else
		model_refused(piece->land, size, 16, piece);
}

enum way { BY_FREE, BY_REALLOC, BY_FREE_SIZED, BY_FREE_USABLE };

static void give(size_t number, enum way way)
{
	struct piece piece = model_drop(number);
	struct acre *arena = model.lands[piece.land].arena;

	count_call(piece.land);
	switch (way) {
	case BY_FREE:
		acre_free(arena, piece.block);
		break;
	case BY_REALLOC:
		must(!acre_realloc(arena, piece.block, 0), "realloc to 0 returned a block");
		break;
	case BY_FREE_SIZED:
		acre_free_sized(arena, piece.block, piece.asked);
		break;
	case BY_FREE_USABLE:
		acre_free_sized(arena, piece.block, piece.usable);
		break;
	}
	must(errno == ERRNO_KEPT, "a free changed errno to %d", errno);
}

void verb_free(size_t number)
{
	give(number, BY_FREE);
}

bool verb_enough(void)
{
	return !may_call();
}

/*
 * Operations.
 */
static void do_realloc(unsigned varied)
{
	size_t number, size;

	if (varied == 3 || !model.count) {
		size = next_size(in_use());
		if (may_allocate()) {
			count_call(game.land);
			got(acre_realloc(arena_in_use(), NULL, size), size, 16);
		}
		return;
	}
	number = next_piece();
	game.land = model.pieces[number].land;
	size = next_size(in_use());
	if (may_call() && size)
		change(number, size);
}

static void do_free(unsigned varied)
{
	if (varied == 3 && arena_in_use()) {
		errno = ERRNO_KEPT;
		acre_free(arena_in_use(), NULL);
		acre_free_sized(arena_in_use(), NULL, 100);
		must(acre_usable_size(arena_in_use(), NULL) == 0, "NULL has usable bytes");
		must(errno == ERRNO_KEPT, "free of NULL changed errno to %d", errno);
	}
	if (varied < 3 && model.count)
		give(next_piece(), varied == 2 ? BY_REALLOC : BY_FREE);
}

static void do_free_sized(unsigned varied)
{
	static const enum way ways[] = { BY_FREE_SIZED, BY_FREE_SIZED, BY_FREE_SIZED, BY_FREE_USABLE };

	if (model.count)
		give(next_piece(), ways[varied]);
}

static void do_run(unsigned varied)
{
	unsigned count = next_byte() + 1;
	size_t size;

	say(" %u times", count);
	size = next_size(in_use());
	while (count-- && (varied == 1 ? get_zeros(size, 0) : get(size)))
		;
}

static void do_free_run(unsigned varied)
{
	size_t from = model.count ? next_piece() : 0;
	unsigned count = next_byte() + 1;

	say(" and %u from there on, each %u", count, varied + 1);
	for (; count-- && from < model.count; from += varied + 1)
		give(from, BY_FREE);
}

static void do_fill(unsigned varied)
{
	size_t size = next_size(in_use());

	for (;; size /= 2) {
		while (get(size))
			;
		if (!varied || !size)
			break;
	}
}

static void do_flush(void)
{
	if (!arena_in_use())
		return;
	acre_flush(arena_in_use());
	if (!os.busy_met)
		in_use()->unflushed = false;
}

static void do_trim(unsigned varied)
{
	const struct land *land = in_use();
	size_t given;

	if (!land->arena)
		return;
	for (unsigned i = 0; i <= varied % 2; i++) {
		given = acre_trim(land->arena);
		must(given <= land->size + 4096 && !(land->memory && given),
		     "trim gave %zu bytes back", given);
	}
}

static void do_check(unsigned varied)
{
	if (!varied)
		for (unsigned i = 0; i < PLAY_ARENAS; i++)
			model_inspect(i);
	else if (arena_in_use())
		view_stop(game.land, varied * varied - 1, varied == 1 ? -7 : 7);
}

void verb_refuse(unsigned what, unsigned after)
{
	os.refuse[OS_MPROTECT] = what == 1 ? after + 1 : 0;
	os.refuse[OS_MADVISE] = what == 2 ? after + 1 : 0;
	os.refuse[OS_MREMAP] = what == 3 ? after + 1 : 0;
}

/* What must not become an arena doesn't. */
static void offer_nonsense(const struct acre_options *options)
{
	static char space[64];
	struct acre_options unknown = *options;

	unknown.flags |= 0x40000000u;
	errno = 0;
	must(!acre_create(MIB, &unknown) && errno == EINVAL, "an unknown flag: errno %d", errno);
	errno = 0;
	must(!acre_create_at(NULL, MIB, options) && errno == EINVAL, "at NULL: errno %d", errno);
	errno = 0;
	must(!acre_create_at(space, ((size_t)1 << 40) + 1, options) && errno == EINVAL,
	     "in too large a buffer: errno %d", errno);
	errno = 0;
	must(acre_destroy(NULL) == -1 && errno == EINVAL, "destroyed NULL");
	errno = 0;
	must(!acre_create_at((void *)(UINTPTR_MAX - 1000), MIB, options) && errno == EINVAL,
	     "at the end of all addresses: errno %d", errno);
}

void verb_arena(unsigned number)
{
	struct acre_options options = { 0 };
	unsigned kind, shift;
	size_t bytes;

	options.policy = (enum acre_policy)(next_byte() % 8);
	kind = next_byte();
	bytes = next_arena_size();
	shift = next_byte();
	bytes += (size_t)(ptrdiff_t)(int8_t)shift;
	options.flags = kind >> 1 &
			(ACRE_NO_CACHE | ACRE_HUGE_PAGES | ACRE_PREFAULT | ACRE_NO_PURGE);
	options.cache_bytes = next_cache_bytes();
	/* What is made resident should be little. */
	if (bytes > 4 * MIB)
		options.flags &= ~ACRE_PREFAULT;
	if (model.lands[number].arena)
		model_destroy(number);
	say(" %u: policy %d, flags %#x, %zu bytes%s, cache_bytes %zu", number, (int)options.policy,
	    options.flags, bytes, kind & 1 ? " in a buffer" : "", options.cache_bytes);
	if (bytes < 64 * KIB || bytes > SIZE_MAX / 2) {
		offer_nonsense(&options);
		errno = 0;
		must(!acre_create(bytes, NULL) && errno == EINVAL, "%zu bytes: errno %d", bytes,
		     errno);
		bytes = 64 * KIB + shift;
	}
	game.land = number;
	model_create(number, &options, bytes, kind & 1, shift);
}

static enum baton_end do_exit(unsigned varied)
{
	unsigned worker = game.worker;

	if (worker == 0)
		return BATON_BACK;
	game.worker = 0;
	return varied < 2 ? BATON_EXIT : varied == 2 ? BATON_LATE : BATON_LAST;
}

enum baton_end verb_do(enum verb verb, unsigned varied)
{
	switch (verb) {
	case MALLOC:
		get(arena_in_use() ? next_size(in_use()) : 0);
		break;
	case CALLOC:
		get_zeros(arena_in_use() ? next_size(in_use()) : 0, varied);
		break;
	case ALIGNED: {
		size_t alignment = next_alignment();

		get_aligned(alignment, arena_in_use() ? next_size(in_use()) : 0);
		break;
	}
	case REALLOC:
		if (arena_in_use())
			do_realloc(varied);
		break;
	case FREE:
		do_free(varied);
		break;
	case FREE_SIZED:
		do_free_sized(varied);
		break;
	case RUN:
		if (arena_in_use())
			do_run(varied);
		break;
	case FREE_RUN:
		do_free_run(varied);
		break;
	case FILL:
		if (arena_in_use())
			do_fill(varied);
		break;
	case FLUSH:
		do_flush();
		break;
	case TRIM:
		do_trim(varied);
		break;
	case TURN:
		game.worker = next_byte() % PLAY_WORKERS;
		break;
	case EXIT:
		return do_exit(varied);
	case CHECK:
		do_check(varied);
		break;
	case BUSY:
		os.busy = next_byte();
		break;
	case PASS:
		os.clock_ms += next_time();
		break;
	case REFUSE:
		verb_refuse(varied, next_byte() % 16);
		break;
	case ARENA:
		verb_arena(next_byte() % PLAY_ARENAS);
		break;
	case DESTROY: {
		unsigned number = next_byte() % PLAY_ARENAS;

		if (model.lands[number].arena)
			model_destroy(number);
		break;
	}
	case USE:
		game.land = next_byte() % PLAY_ARENAS;
		break;
	case VERBS:
		break;
	}
	return BATON_BACK;
}
