/*
 * G2, No hostage: NULL comes back only if no free block anywhere in the arena fits, apart from what
 * the caches of the other live threads hold. Every refusal here is held against what is free, down
 * to single holes in another thread's land.
 */
#include "support.h"

/*
 * Holes that only the leases of a sleeping thread's plot have.
 */
static int by_address(const void *one, const void *two)
{
	uintptr_t a = (uintptr_t)((const struct piece *)one)->block;
	uintptr_t b = (uintptr_t)((const struct piece *)two)->block;

	return a < b ? -1 : a > b;
}

struct sleeper {
	struct acre *arena;
	struct piece *pieces;
	size_t size;
	size_t count;
	sem_t full;
	sem_t wake;
	bool gone;
};

/* Fills the arena with blocks of one size, keeps nothing in its cache, and sleeps. */
static void *fill_and_sleep(void *argument)
{
	struct sleeper *sleeper = argument;

	for (;;) {
		struct piece piece = { acre_malloc(sleeper->arena, sleeper->size), sleeper->size,
				       0 };

		if (!piece.block)
			break;
		piece.key = sleeper->count;
		fill(piece.block, piece.size, piece.key);
		sleeper->pieces[sleeper->count++] = piece;
	}
	acre_flush(sleeper->arena);
	sem_post(&sleeper->full);
	if (!sleeper->gone)
		await(&sleeper->wake);
	return NULL;
}

/* A hole is a run of freed blocks; a request fits into each hole once. */
static const struct {
	size_t block;
	size_t run;
	size_t request;
	bool gone;
} holes[] = {
	{ 1000, 1, 1000, false },  { 1000, 1, 1000, true },  { 1000, 24, 20000, false },
	{ 1000, 24, 20000, true }, { 100, 1, 100, false },   { 200, 40, 6000, false },
	{ 8, 1, 8, false },	   { 5000, 1, 5000, false }, { 30000, 2, 50000, false },
	{ 1000, 2, 1500, false },  { 40, 5, 200, true },
};

struct finder {
	struct acre *arena;
	size_t request;
	size_t holes;
	int way;
};

static void *find_holes(void *argument)
{
	struct finder *finder = argument;
	size_t extra = 0;

	for (size_t i = 0; i < finder->holes; i++) {
		char *block;

		switch (finder->way + (int)i % 2) {
		case 0:
			block = acre_malloc(finder->arena, finder->request);
			break;
		case 1:
			block = acre_calloc(finder->arena, 1, finder->request);
			must(!block || all_bytes(block, finder->request, 0), "hole %zu", i);
			break;
		default:
			block = acre_realloc(finder->arena, NULL, finder->request);
		}
		must(block, "%zu of %zu holes of %zu bytes were found", i, finder->holes,
		     finder->request);
		memset(block, 0x77, finder->request);
	}
	/* A remainder at a lease's end, too small by itself, may make room with the hole beside it. */
	while (acre_malloc(finder->arena, finder->request))
		extra++;
	must(extra <= stats_of(finder->arena).leases, "%zu more holes than were made", extra);
	return NULL;
}

START_TEST(holes_in_a_sleeping_threads_land)
{
	struct acre *arena = new_arena(8 * MIB, NULL);
	struct sleeper sleeper = { .arena = arena,
				   .pieces = calloc(8 * MIB / 16, sizeof(struct piece)),
				   .size = holes[_i].block,
				   .gone = holes[_i].gone };
	struct finder finder = { arena, holes[_i].request, 0, (int)_i % 2 };
	size_t run = holes[_i].run;
	pthread_t thread;

	if (run > 1 && policy_under_test() == ACRE_BUDDY) {
		skip("blocks that lie side by side needn't be buddies");
		return;
	}
	sem_init(&sleeper.full, 0, 0);
	sem_init(&sleeper.wake, 0, 0);
	thread = start(fill_and_sleep, &sleeper);
	await(&sleeper.full);
	if (sleeper.gone)
		finish(thread);
	qsort(sleeper.pieces, sleeper.count, sizeof(struct piece), by_address);
	for (size_t i = 0; i + run < sleeper.count;) {
		struct piece *first = &sleeper.pieces[i];
		size_t step = acre_usable_size(arena, first->block) + 8;
		bool adjacent = true;

		for (size_t k = 1; k < run && adjacent; k++)
			adjacent = first[k].block == first[k - 1].block + step &&
				   acre_usable_size(arena, first[k].block) + 8 == step;
		if (!adjacent) {
			i++;
			continue;
		}
		for (size_t k = 0; k < run; k++)
			acre_free(arena, first[k].block);
		for (size_t k = 0; k < run; k++)
			first[k].block = NULL;
		finder.holes++;
		i += run + 1;
	}
	acre_flush(arena);
	ck_assert_uint_ge(finder.holes, 4 * MIB / (holes[_i].block * (run + 1) + 64));
	finish(start(find_holes, &finder));
	for (size_t i = 0; i < sleeper.count; i++)
		if (sleeper.pieces[i].block)
			must(holds(sleeper.pieces[i].block, sleeper.size, sleeper.pieces[i].key),
			     "block %zu", i);
	must_be_sound(arena);
	if (!sleeper.gone) {
		sem_post(&sleeper.wake);
		finish(thread);
	}
	free(sleeper.pieces);
	end_arena(arena);
}
END_TEST

/*
 * Threads that take turns near the arena's limit: every refusal is checked against a walk.
 */
#define TURNS 4
#define TURN_CACHE 20000

struct player {
	struct acre *arena;
	sem_t turn;
	sem_t done;
	struct piece *piece; /* freed if it has a block, else allocated; NULL ends the player */
	size_t alignment;
};

static void *play(void *argument)
{
	struct player *player = argument;

	for (;;) {
		struct piece *piece;

		await(&player->turn);
		piece = player->piece;
		if (!piece)
			return NULL;
		if (piece->block) {
			acre_free(player->arena, piece->block);
			piece->block = NULL;
		} else if (player->alignment) {
			piece->block =
				acre_aligned_alloc(player->arena, player->alignment, piece->size);
		} else {
			piece->block = acre_malloc(player->arena, piece->size);
		}
		sem_post(&player->done);
	}
}

/* The largest block that could be had; blocks in other threads' caches don't count. */
static void refusal_must_be_right(struct acre *arena, const struct piece *piece, size_t alignment,
				  struct image *image)
{
	size_t usable = (piece->size + 8 + 15) / 16 * 16 - 8;
	size_t buddy = 16;

	while (buddy < usable + 8 || buddy < alignment)
		buddy *= 2;
	if (policy_under_test() == ACRE_BUDDY)
		usable = buddy - 8;
	look(arena, image);
	for (size_t i = 0; i < image->count; i++) {
		const struct acre_block *block = &image->blocks[i];
		uintptr_t low = (uintptr_t)block->address;
		uintptr_t at =
			alignment ? (low + alignment - 1) & ~(uintptr_t)(alignment - 1) : low;

		if (block->state == ACRE_FREE)
			must(at - low + usable > block->size,
			     "%zu bytes at %zu were refused; %zu are free at %p in plot %u",
			     piece->size, alignment, block->size, block->address, block->plot);
	}
	must(bytes_in_state(image, ACRE_CACHED) <= (TURNS - 1) * TURN_CACHE, "%zu bytes are cached",
	     bytes_in_state(image, ACRE_CACHED));
}

START_TEST(no_refusal_while_a_free_block_fits)
{
	struct acre_options options = { .cache_bytes = TURN_CACHE };
	struct acre *arena = new_arena(_i % 2 ? 300 * KIB : 4 * MIB, &options);
	struct player players[TURNS];
	pthread_t threads[TURNS];
	struct dice dice = dice_from(43 + (uint64_t)_i);
	struct image image = { 0 };
	static struct piece pieces[3000];
	int steps = SCALE(60000, 5000);
	size_t refused = 0;

	memset(pieces, 0, sizeof(pieces));
	for (size_t i = 0; i < TURNS; i++) {
		players[i] = (struct player){ .arena = arena };
		sem_init(&players[i].turn, 0, 0);
		sem_init(&players[i].done, 0, 0);
		threads[i] = start(play, &players[i]);
	}
	for (int step = 0; step < steps; step++) {
		struct player *player = &players[roll_between(&dice, 0, TURNS - 1)];
		struct piece *piece = &pieces[roll_between(&dice, 0, COUNT_OF(pieces) - 1)];
		bool freed = piece->block;

		if (freed) {
			must(holds(piece->block, piece->size, piece->key), "%zu bytes",
			     piece->size);
		} else {
			piece->size = _i < 2 ? roll_log(&dice, 1, 20000) :
					       roll_between(&dice, 1500, 6000);
			piece->key = (uint64_t)step;
		}
		player->piece = piece;
		player->alignment =
			roll_between(&dice, 0, 29) ? 0 : (size_t)1 << roll_between(&dice, 5, 13);
		sem_post(&player->turn);
		await(&player->done);
		if (piece->block) {
			fill(piece->block, piece->size, piece->key);
		} else if (!freed) {
			refused++;
			refusal_must_be_right(arena, piece, player->alignment, &image);
		}
	}
	/* Of small sizes one step in 75 is refused, counting those that fill the arena. */
	must(refused > (size_t)steps / 250, "only %zu refusals", refused);
	for (size_t i = 0; i < TURNS; i++) {
		players[i].piece = NULL;
		sem_post(&players[i].turn);
		finish(threads[i]);
	}
	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		acre_free(arena, pieces[i].block);
	must_be_whole(arena);
	forget(&image);
	end_arena(arena);
}
END_TEST

/*
 * All threads at the limit at once, and back.
 */
#define STARVING 8

static struct {
	struct acre *arena;
	pthread_barrier_t gate;
	size_t got[STARVING];
	struct piece *pieces[STARVING];
	size_t room;
	int rounds;
} famine;

static void *starve(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	struct dice dice = dice_from(self + 50);

	for (int round = 0; round < famine.rounds; round++) {
		struct piece *mine = famine.pieces[self];
		size_t other = (self + (size_t)round) % STARVING;
		size_t n = 0;

		for (int refusals = 0; refusals < 50 && n < famine.room;) {
			mine[n].size = roll_log(&dice, 1, 4000);
			mine[n].block = acre_malloc(famine.arena, mine[n].size);
			if (!mine[n].block) {
				must(errno == ENOMEM, "%s", strerror(errno));
				refusals++;
				continue;
			}
			mine[n].key = self * 1000000 + n;
			fill(mine[n].block, mine[n].size, mine[n].key);
			n++;
		}
		famine.got[self] = n;
		meet(&famine.gate);
		for (size_t i = 0; i < famine.got[other]; i++) {
			struct piece *piece = &famine.pieces[other][i];

			must(holds(piece->block, piece->size, piece->key), "block %zu", i);
			acre_free(famine.arena, piece->block);
		}
		acre_flush(famine.arena);
		meet(&famine.gate);
		if (self == 0) {
			size_t sum = 0;

			for (size_t i = 0; i < STARVING; i++)
				sum += famine.got[i];
			must(sum > stats_of(famine.arena).size / 4000, "%zu blocks in round %d",
			     sum, round);
			must_be_whole(famine.arena);
		}
		meet(&famine.gate);
	}
	return NULL;
}

/* G6: exhaustion at any call; G4 after each round, with all threads alive. */
START_TEST(starving_together_and_recovering)
{
	pthread_t threads[STARVING];

	famine.arena = new_arena(_i ? 400 * KIB : 16 * MIB, NULL);
	famine.rounds = SCALE(_i ? 100 : 12, _i ? 10 : 3);
	famine.room = 1 << 16;
	pthread_barrier_init(&famine.gate, NULL, STARVING);
	for (size_t i = 0; i < STARVING; i++)
		famine.pieces[i] = calloc(famine.room, sizeof(struct piece));
	for (size_t i = 0; i < STARVING; i++)
		threads[i] = start(starve, (void *)(uintptr_t)i);
	for (size_t i = 0; i < STARVING; i++)
		finish(threads[i]);
	must_be_whole(famine.arena);
	for (size_t i = 0; i < STARVING; i++)
		free(famine.pieces[i]);
	end_arena(famine.arena);
}
END_TEST

static void *join_and_wait(void *argument)
{
	struct sleeper *sleeper = argument;

	acre_free(sleeper->arena, acre_malloc(sleeper->arena, 8));
	sem_post(&sleeper->full);
	await(&sleeper->wake);
	return NULL;
}

/*
 * A plot that's made when all of the arena was accessible takes the end of the commons away: a block
 * there may still grow into the free one before it.
 */
START_TEST(a_slide_below_a_new_plot)
{
	struct sleeper sleeper = { .arena = new_arena(MIB + 4 * KIB, NULL) };
	struct acre *arena = sleeper.arena;
	void *most = acre_malloc(arena, stats_of(arena).largest_free - 8 * KIB);
	char *low, *high;
	pthread_t thread;
	size_t part, usable;

	if (policy_under_test() == ACRE_BUDDY) {
		skip("a buddy doesn't slide");
		return;
	}
	ck_assert_ptr_nonnull(most);
	acre_free(arena, most);
	acre_flush(arena);
	sem_init(&sleeper.full, 0, 0);
	sem_init(&sleeper.wake, 0, 0);
	thread = start(join_and_wait, &sleeper);
	await(&sleeper.full);
	part = stats_of(arena).largest_free / 10;
	low = acre_malloc(arena, 6 * part);
	high = acre_malloc(arena, 2 * part);
	ck_assert(low && high && low < high);
	usable = acre_usable_size(arena, low);
	acre_free(arena, low);
	fill(high, 2 * part, 7);
	high = acre_realloc(arena, high, usable + 4 * KIB);
	ck_assert_ptr_nonnull(high);
	ck_assert(holds(high, 2 * part, 7));
	acre_free(arena, high);
	sem_post(&sleeper.wake);
	finish(thread);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("refusal");
	TCase *cases = tcase_create("refusal");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, holes_in_a_sleeping_threads_land, 0, COUNT_OF(holes));
	tcase_add_loop_test(cases, no_refusal_while_a_free_block_fits, 0, 4);
	tcase_add_test(cases, a_slide_below_a_new_plot);
	tcase_add_loop_test(cases, starving_together_and_recovering, 0, 2);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
