/*
 * Faults, white box: what is refused to the library, and what it then refuses (G6). One script of
 * calls, in which every call there is has its turn and threads come and go, runs again and again,
 * with something else going wrong each time:
 *
 *	the n-th request		acre_options.fail_at
 *	the n-th thing that the		a system call, a lease of the commons, a plot for a thread
 *	library itself asks for
 *
 * alone, or with all that come after it, for every n until a run isn't hit any more. Whenever a call
 * returns NULL, errno is ENOMEM, realloc's old block is as it was, and the arena is sound; at the
 * end all is freed, and the arena is whole.
 *
 * pages.c, plot.c and thread.c are compiled into this program once more: what they ask for passes
 * through here.
 */
#include <sys/mman.h>

#include "arena.h"
#include "commons.h"
#include "plot.h"

#define madvise asked_madvise
#define mincore asked_mincore
#define mmap asked_mmap
#define mprotect asked_mprotect
#define mremap asked_mremap
#define commons_lease asked_lease
#define plot_join asked_join
static int asked_madvise(void *start, size_t bytes, int advice);
static int asked_mincore(void *start, size_t bytes, unsigned char *present);
static void *asked_mmap(void *start, size_t bytes, int access, int flags, int file, off_t offset);
static int asked_mprotect(void *start, size_t bytes, int access);
static void *asked_mremap(void *start, size_t had, size_t bytes, int flags, void *to);
static uint64_t asked_lease(struct acre *arena, uint32_t plot, uint64_t least, uint64_t wanted,
			    uint64_t *size);
static struct plot *asked_join(struct acre *arena, uintptr_t holder);
#include "pages.c"
#include "plot.c"
#include "thread.c"
#undef madvise
#undef mincore
#undef mmap
#undef mprotect
#undef mremap
#undef commons_lease
#undef plot_join

#include "purge.h"
#include "support.h"

#include <signal.h>
#include <sys/wait.h>

/*
 * What the library asks for.
 */
enum { RESERVE, COMMIT, PURGE, RESIDENT, MOVE, LEASE, PLOT, KINDS };

static struct {
	size_t at;		/* the number of the request that's refused; 0 = none */
	bool onward;		/* and all after it */
	size_t count;		/* so far */
	size_t refused[KINDS];	/* in all runs */
	bool gone;		/* a refused move has unmapped its target */
	bool for_good;		/* which then can't be mapped again */
} ask;

static bool refuse(int kind)
{
	bool now = ++ask.count == ask.at || (ask.onward && ask.at && ask.count > ask.at);

	ask.refused[kind] += now;
	/* The system says why. */
	if (now && kind < LEASE)
		errno = ENOMEM;
	return now;
}

static int asked_madvise(void *start, size_t bytes, int advice)
{
	return refuse(PURGE) ? -1 : madvise(start, bytes, advice);
}

static int asked_mincore(void *start, size_t bytes, unsigned char *present)
{
	return refuse(RESIDENT) ? -1 : mincore(start, bytes, present);
}

static void *asked_mmap(void *start, size_t bytes, int access, int flags, int file, off_t offset)
{
	/* What puts right a refused move is another matter: see a_target_that_is_gone. */
	if (start ? ask.for_good : refuse(RESERVE)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return mmap(start, bytes, access, flags, file, offset);
}

static int asked_mprotect(void *start, size_t bytes, int access)
{
	return refuse(COMMIT) ? -1 : mprotect(start, bytes, access);
}

static void *asked_mremap(void *start, size_t had, size_t bytes, int flags, void *to)
{
	if (ask.gone)
		munmap(to, bytes);
	if (refuse(MOVE) || ask.gone) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return mremap(start, had, bytes, flags, to);
}

static uint64_t asked_lease(struct acre *arena, uint32_t plot, uint64_t least, uint64_t wanted,
			    uint64_t *size)
{
	return refuse(LEASE) ? 0 : commons_lease(arena, plot, least, wanted, size);
}

static struct plot *asked_join(struct acre *arena, uintptr_t holder)
{
	return refuse(PLOT) ? NULL : plot_join(arena, holder);
}

/*
 * The script.
 */
#define SLOTS 40
#define PARTS 6		/* each by a thread, one after the other */
#define STEPS 60	/* of a part */

struct script {
	struct acre *arena;
	struct piece slots[SLOTS];
	struct dice dice;
	size_t refused;
	bool huge;	/* also a block whose pages are moved */
};

static size_t some_size(struct script *script)
{
	if (roll_between(&script->dice, 0, 9) == 0)
		return roll_between(&script->dice, 60 * KIB, 300 * KIB);
	return roll_log(&script->dice, 1, 12000);
}

/* A call gave nothing: it said why, and the arena is as sound as before. */
static void note_refusal(struct script *script)
{
	must(errno == ENOMEM, "a refusal with errno %d", errno);
	script->refused++;
	must_be_sound(script->arena);
}

static void take(struct script *script, struct piece *slot, size_t size)
{
	uint64_t key = roll(&script->dice);
	size_t alignment = (size_t)16 << roll_between(&script->dice, 0, 10);
	size_t way = roll_between(&script->dice, 0, 5);

	errno = 0;
	slot->block = way == 0 ? acre_calloc(script->arena, 1, size) :
		      way == 1 ? acre_aligned_alloc(script->arena, alignment, size) :
		      way == 2 ? acre_realloc(script->arena, NULL, size) :
				 acre_malloc(script->arena, size);
	if (!slot->block) {
		note_refusal(script);
		return;
	}
	must(errno == 0, "errno %d", errno);
	if (way == 0)
		must(all_bytes(slot->block, size, 0), "calloc of %zu bytes", size);
	slot->size = size;
	slot->key = key;
	fill(slot->block, size, key);
}

static void change(struct script *script, struct piece *slot, size_t size)
{
	size_t kept = size < slot->size ? size : slot->size;
	size_t usable = acre_usable_size(script->arena, slot->block);
	char *block;

	errno = 0;
	block = acre_realloc(script->arena, slot->block, size);
	if (!block) {
		must(size > usable, "%zu to %zu bytes: a shrink was refused", usable, size);
		note_refusal(script);
		must(acre_usable_size(script->arena, slot->block) == usable, "%zu bytes", usable);
		must(holds(slot->block, slot->size, slot->key), "%zu bytes", slot->size);
		return;
	}
	must(errno == 0, "errno %d", errno);
	must(holds(block, kept, slot->key), "%zu to %zu bytes", slot->size, size);
	slot->block = block;
	slot->size = size;
	fill(block, size, slot->key);
}

static void drop(struct script *script, struct piece *slot)
{
	must(holds(slot->block, slot->size, slot->key), "%zu bytes", slot->size);
	if (roll_between(&script->dice, 0, 3) == 0)
		must(!acre_realloc(script->arena, slot->block, 0), "%zu bytes", slot->size);
	else
		acre_free_sized(script->arena, slot->block, slot->size);
	slot->block = NULL;
}

static void step(struct script *script)
{
	struct piece *slot = &script->slots[roll_between(&script->dice, 0, SLOTS - 1)];

	if (!slot->block)
		take(script, slot, some_size(script));
	else if (roll_between(&script->dice, 0, 2))
		change(script, slot, some_size(script) + 1);
	else
		drop(script, slot);
}

static void *part(void *argument)
{
	struct script *script = argument;

	for (int i = 0; i < STEPS; i++)
		step(script);
	return NULL;
}

/* A large block, which something behind keeps from growing where it is. */
static void move_a_large_one(struct script *script)
{
	struct piece large = { 0 };
	struct piece behind = { 0 };

	take(script, &large, MIB + MIB / 4);
	take(script, &behind, 300 * KIB);
	if (large.block)
		change(script, &large, 2 * MIB);
	if (behind.block)
		drop(script, &behind);
	if (large.block)
		drop(script, &large);
}

/* From an empty arena to an empty arena. */
static void play(struct script *script, struct acre *arena)
{
	*script = (struct script){ .arena = arena, .dice = dice_from(7), .huge = script->huge };
	for (int i = 0; i < PARTS; i++) {
		if (i % 2)
			finish(start(part, script));
		else
			part(script);
		if (i % 3 == 1)
			acre_trim(arena);
		/* Due now, as long as there's something left. */
		for (int passes = 0; i % 3 == 2 && passes < 100; passes++) {
			arena->purge_at = 1;
			purge_at_ms(arena, 1);
		}
		must(stats_of(arena).refusals == script->refused, "%zu refusals, %zu counted",
		     script->refused, stats_of(arena).refusals);
		must_be_honest(arena);
	}
	if (script->huge)
		move_a_large_one(script);
	for (size_t i = 0; i < SLOTS; i++)
		if (script->slots[i].block)
			drop(script, &script->slots[i]);
	must_be_whole(arena);
}

/*
 * Each request in turn.
 */
static const struct {
	struct acre_options options;
	bool buffer;
} kinds[] = {
	{ { .policy = ACRE_FIRST_FIT }, false },
	{ { .policy = ACRE_FIRST_FIT, .flags = ACRE_NO_CACHE }, false },
	{ { .policy = ACRE_GOOD_FIT }, false },
	{ { .policy = ACRE_GOOD_FIT, .flags = ACRE_NO_CACHE }, true },
	{ { .policy = ACRE_FIRST_FIT }, true },
};

START_TEST(each_request_refused)
{
	static char buffer[16 * MIB];
	struct acre_options options = kinds[_i % (int)COUNT_OF(kinds)].options;
	bool onward = _i >= (int)COUNT_OF(kinds);
	struct script script = { .huge = false };
	size_t runs = 0;

	for (size_t n = 1;; n += SCALE(1, 9)) {
		struct acre *arena;

		options.fail_at = n;
		options.fail_count = onward ? SIZE_MAX : n % 3;
		arena = kinds[_i % (int)COUNT_OF(kinds)].buffer ?
			acre_create_at(buffer, sizeof(buffer), &options) :
			new_arena(sizeof(buffer), &options);
		ck_assert_ptr_nonnull(arena);
		play(&script, arena);
		end_arena(arena);
		if (!script.refused)
			break;
		must(onward || script.refused <= (n % 3 ? n % 3 : 1), "%zu refusals from %zu on",
		     script.refused, n);
		runs++;
	}
	ck_assert_uint_gt(runs, SCALE(150, 15));
}
END_TEST

/*
 * Each thing that the library asks for.
 */
static const struct acre_options inner_kinds[] = {
	{ .policy = ACRE_FIRST_FIT },
	{ .policy = ACRE_FIRST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_GOOD_FIT, .flags = ACRE_HUGE_PAGES },
	{ .policy = ACRE_GOOD_FIT, .flags = ACRE_PREFAULT },
};

/* A run with the n-th refused; false once that is beyond the end. */
static bool play_inside(struct script *script, size_t n, bool onward,
			const struct acre_options *options)
{
	size_t before = mapped_bytes();
	struct acre *arena;

	ask.at = n;
	ask.onward = onward;
	ask.count = 0;
	errno = 0;
	arena = acre_create(8 * MIB, options);
	if (!arena) {
		must(errno == ENOMEM, "errno %d", errno);
		must(UNDER_TSAN || UNDER_ASAN || mapped_bytes() == before,
		     "%zu bytes stay mapped when the arena is refused", mapped_bytes() - before);
		return true;
	}
	script->huge = true;
	play(script, arena);
	/* One thing less is no reason for a refusal, where there are two ways. */
	if (!onward && arena->plot_bytes)
		must(!script->refused, "%zu requests were refused for want of number %zu",
		     script->refused, n);
	end_arena(arena);
	return ask.count >= n;
}

START_TEST(each_thing_inside_refused)
{
	struct script script = { .refused = 0 };
	bool onward = _i % 2;
	size_t n = 1;

	memset(ask.refused, 0, sizeof(ask.refused));
	while (play_inside(&script, n, onward, &inner_kinds[_i / 2]))
		n += SCALE(1, 9);
	ask.at = 0;
	ck_assert_uint_gt(n, 20);
	for (int kind = 0; kind < KINDS; kind++)
		must(ask.refused[kind] || UNDER_TSAN || UNDER_ASAN ||
		     (kind >= MOVE && inner_kinds[_i / 2].flags & ACRE_NO_CACHE),
		     "kind %d was never refused", kind);
}
END_TEST

/*
 * Some kernels unmap the target of a move before they refuse it.
 */
static void move_to_nowhere(void *argument)
{
	struct acre *arena = new_arena(64 * MIB, NULL);
	char *block = acre_malloc(arena, 4 * MIB);
	char *behind = acre_malloc(arena, 24);
	char *moved;

	must(block && behind, "4 MiB");
	fill(block, 4 * MIB, 1);
	fill(behind, 24, 2);
	ask.gone = true;
	ask.for_good = argument;
	moved = acre_realloc(arena, block, 8 * MIB);
	ask.gone = false;
	must(moved && moved != block && ask.count, "nothing was to be moved");
	must(holds(moved, 4 * MIB, 1) && holds(behind, 24, 2), "another content");
	acre_free(arena, behind);
	acre_free(arena, moved);
	acre_trim(arena);
	must_be_whole(arena);
	end_arena(arena);
}

START_TEST(a_target_that_is_gone)
{
	struct outcome outcome;

	in_child(&outcome, move_to_nowhere, NULL, 30);
	must_succeed(&outcome, "it can be mapped again");
	in_child(&outcome, move_to_nowhere, &outcome, 30);
	must(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT,
	     "status %#x: %s", (unsigned)outcome.status, outcome.text);
	must(outcome.lines == 1 && strncmp(outcome.text, "acre: ", 6) == 0, "it said: %s",
	     outcome.text);
}
END_TEST

/* The next thing that the library asks for is refused, and it must be this kind of thing. */
static void refuse_next(int kind)
{
	ask.at = 1;
	ask.onward = false;
	ask.count = 0;
	ask.refused[kind] = 0;
}

static void must_be_refused(int kind)
{
	ask.at = 0;
	must(ask.refused[kind] == 1, "another thing was asked for, or none");
}

/*
 * Where no guard page can be made, a block does without; where one can't be made an ordinary page again,
 * its block stays as it is, and nobody gets it.
 */
START_TEST(guard_pages_refused)
{
	const struct acre_options options = { .guards = ACRE_GUARD_PAGES };
	struct acre *arena = new_arena(8 * MIB, &options);
	char *lost = acre_malloc(arena, 3 * 4096);
	char *block = acre_malloc(arena, 3 * 4096);

	must(lost && block, "12 KiB");
	acre_free(arena, block);
	refuse_next(COMMIT);
	block = acre_malloc(arena, 3 * 4096);
	must_be_refused(COMMIT);
	must(block, "no block for want of a guard page");
	memset(block, 1, 3 * 4096);
	must_be_sound(arena);
	acre_free(arena, block);

	refuse_next(COMMIT);
	acre_free(arena, lost);
	must_be_refused(COMMIT);
	must_be_sound(arena);
	must_be_honest(arena);
	ck_assert_uint_eq(stats_of(arena).live_blocks, 1);
	while ((block = acre_malloc(arena, 5000)))
		memset(block, 1, 5000);
	must_be_sound(arena);
	/* It may be tried once more. */
	acre_free(arena, lost);
	block = acre_malloc(arena, 3 * 4096);
	must(block, "the block doesn't come back");
	memset(block, 2, 3 * 4096);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults");
	TCase *cases = tcase_create("faults");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, each_request_refused, 0, 2 * COUNT_OF(kinds));
	tcase_add_loop_test(cases, each_thing_inside_refused, 0, 2 * COUNT_OF(inner_kinds));
	tcase_add_test(cases, a_target_that_is_gone);
	tcase_add_test(cases, guard_pages_refused);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
