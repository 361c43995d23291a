/*
 * Scenarios of memory that's short, grows in place, or goes back to the OS.
 */
#include "dirt.h"
#include "purge.h"
#include "stage.h"

/*
 * Two threads fill an arena, free everything and then sleep; a third wants most of it all the
 * while. The blocks are such as the caches can't keep, so nothing of them may stay where they were.
 */
#define STARVING_MOST (600 * KIB)

static unsigned asleep;
static bool fed;

static void fill_free_and_sleep(struct actor *actor)
{
	struct piece piece;

	for (unsigned i = 0; i < 150; i++) {
		if (!try_to_make(stage.arena, &piece, roll_between(&actor->dice, 6000, 30000),
				 &actor->dice))
			break;
		put(&piece);
	}
	while (draw(&piece, &actor->dice))
		drop(stage.arena, &piece);
	asleep++;
	while (!fed)
		schedule_pause();
}

static void starve(struct actor *actor)
{
	struct piece piece;

	for (;;) {
		bool all_asleep = asleep == 2;

		if (try_to_make(stage.arena, &piece, STARVING_MOST, &actor->dice))
			break;
		must(!all_asleep, "%zu bytes are free, the largest block has %zu, and nobody is awake",
		     stats_of(stage.arena).free_bytes, stats_of(stage.arena).largest_free);
		schedule_pause();
	}
	fed = true;
	drop(stage.arena, &piece);
}

static void play_starving(void)
{
	/* A class's blocks of more than a KiB would exceed this at once. */
	const struct acre_options no_medium = { .cache_bytes = 512 };

	stage.arena = new_arena(MIB, &no_medium);
	enter(fill_free_and_sleep);
	enter(fill_free_and_sleep);
	enter(starve);
	run_all();
	stage.seen = stats_of(stage.arena).refusals;
	must_end_whole(stage.arena);
}

/*
 * Three threads in an arena that's full. Who is refused while nobody else is in a call, was rightly
 * so; now and then one asks for as long as the others wait.
 */
static unsigned inside, calls, refused;
static bool quiet;

static void come_in(void)
{
	inside++;
	calls++;
}

static bool want(struct actor *actor, struct piece *piece, size_t size)
{
	bool alone = !inside;
	unsigned before = calls;
	bool had;

	come_in();
	had = try_to_make(stage.arena, piece, size, &actor->dice);
	inside--;
	if (had)
		return true;
	must(errno == ENOMEM, "%s", strerror(errno));
	refused++;
	if (alone && calls == before + 1) {
		stage.seen++;
		must_be_out_of(stage.arena, size);
	}
	return false;
}

static bool drop_one(struct actor *actor)
{
	struct piece piece;

	if (!draw(&piece, &actor->dice))
		return false;
	come_in();
	drop(stage.arena, &piece);
	inside--;
	return true;
}

static void want_in_peace(struct actor *actor)
{
	struct piece piece;

	quiet = true;
	while (inside)
		schedule_pause();
	while (want(actor, &piece, roll_log(&actor->dice, 100, 60000)))
		put(&piece);
	quiet = false;
}

static void exhaust(struct actor *actor)
{
	struct piece piece;

	for (unsigned i = 0; i < 24; i++) {
		while (quiet)
			schedule_pause();
		if (roll_between(&actor->dice, 0, 19) == 0)
			want_in_peace(actor);
		else if (roll_between(&actor->dice, 0, 3) == 0)
			drop_one(actor);
		else if (want(actor, &piece, roll_log(&actor->dice, 16, 60000)))
			put(&piece);
	}
	while (drop_one(actor))
		;
	/* To leave is a call too, but not counted. */
	stage.working--;
	while (stage.working)
		schedule_pause();
}

static void play_exhaustion(void)
{
	const struct acre_options options = { .cache_bytes = 4096 };
	struct piece piece;

	stage.arena = new_arena(MIB, &options);
	for (unsigned i = 0; i < 40; i++) {
		make(stage.arena, &piece, 16 * KIB, &stage.dice);
		put(&piece);
	}
	stage.working = 3;
	for (unsigned i = 0; i < 3; i++)
		enter(exhaust);
	run_all();
	must(stats_of(stage.arena).refusals == refused, "%zu refusals, there were %u",
	     stats_of(stage.arena).refusals, refused);
	must_end_whole(stage.arena);
}

/*
 * Pages go back to the OS while their neighbours come and go: what's live stays as it is, calloc's
 * blocks are zero, and nothing is purged for two.
 */
static uint64_t now = 1000;

static void check_zero(struct actor *actor)
{
	size_t size = roll_log(&actor->dice, 4096, 200000);
	char *block = acre_calloc(stage.arena, 1, size);

	must(block, "%zu bytes", size);
	must(all_bytes(block, size, 0), "calloc of %zu bytes", size);
	memset(block, 1, size);
	acre_free(stage.arena, block);
}

static void spend(struct actor *actor)
{
	struct piece piece;

	for (unsigned i = 0; i < 12; i++) {
		make(stage.arena, &piece, roll_log(&actor->dice, 3000, 150000), &actor->dice);
		put(&piece);
		if (roll_between(&actor->dice, 0, 1) && draw(&piece, &actor->dice))
			drop(stage.arena, &piece);
		if (roll_between(&actor->dice, 0, 2) == 0)
			check_zero(actor);
		now += roll_between(&actor->dice, 0, 900);
		purge_at_ms(stage.arena, now);
		/* Its own way there: by the clock, if enough was freed. */
		purge_ticks = PURGE_TICKS - 1;
		if (roll_between(&actor->dice, 0, 9) == 0)
			stage.seen += acre_trim(stage.arena) > 0;
	}
	while (draw(&piece, &actor->dice))
		drop(stage.arena, &piece);
}

static void play_purge(void)
{
	uint64_t freed;

	stage.arena = new_arena(8 * MIB, NULL);
	for (unsigned i = 0; i < 3; i++)
		enter(spend);
	run_all();
	freed = stage.arena->freed_bytes;
	must(freed < UINT64_C(1) << 40, "%lu bytes freed", (unsigned long)freed);
	must(stage.arena->purge_at != PURGE_BUSY, "nobody purges, and none may");
	/* Two rounds: the one under way, and one for what was freed since it began. */
	for (unsigned i = 0; i < 2; i++) {
		stage.arena->purge_at = 1;
		do
			purge_at_ms(stage.arena, now += 2000);
		while (stage.arena->purge_at);
	}
	must(!stage.arena->freed_bytes, "%lu bytes freed, after a round",
	     (unsigned long)stage.arena->freed_bytes);
	must_end_whole(stage.arena);
}

/*
 * Blocks grow and shrink in place, and move into the hole before, while their neighbours come and
 * go.
 */
static void resize_one(struct actor *actor, struct piece *piece)
{
	size_t size = roll_between(&actor->dice, 0, 1) ? piece->size * 3 / 2 :
							 piece->size * 2 / 3;
	char *had = piece->block;

	size = size < 600 ? 600 : size;
	verify(piece);
	piece->block = acre_realloc(stage.arena, piece->block, size);
	must(piece->block, "%zu bytes to %zu", piece->size, size);
	must(holds(piece->block, size < piece->size ? size : piece->size, piece->key),
	     "%zu bytes to %zu at %p", piece->size, size, (void *)piece->block);
	stage.seen += piece->block == had && size > piece->size;
	piece->size = size;
	piece->key = roll(&actor->dice);
	fill(piece->block, size, piece->key);
}

static void resize_some(struct actor *actor)
{
	struct piece piece;

	for (unsigned i = 0; i < 40; i++) {
		switch (roll_between(&actor->dice, 0, 5)) {
		case 0:
		case 1:
			make(stage.arena, &piece, roll_log(&actor->dice, 1200, 70000), &actor->dice);
			put(&piece);
			break;
		case 2:
			if (draw(&piece, &actor->dice))
				drop(stage.arena, &piece);
			break;
		default:
			if (draw(&piece, &actor->dice)) {
				resize_one(actor, &piece);
				put(&piece);
			}
		}
	}
	while (draw(&piece, &actor->dice))
		drop(stage.arena, &piece);
}

static void play_realloc(void)
{
	/* Blocks of a few KiB go to their plots at once. */
	const struct acre_options options = { .cache_bytes = 2048 };

	stage.arena = new_arena(8 * MIB, &options);
	for (unsigned i = 0; i < 3; i++)
		enter(resize_some);
	run_all();
	must_end_whole(stage.arena);
}

/*
 * A thread has left blocks behind, all over the arena, in the depot. While one takes them home,
 * another needs half the arena.
 */
enum { LARGE = 20000, LARGE_BLOCKS = 750 };

static void fill_the_depot(struct acre *arena)
{
	void *blocks[LARGE_BLOCKS];
	unsigned count = 0;

	while (count < LARGE_BLOCKS && (blocks[count] = acre_malloc(arena, LARGE)))
		count++;
	/* Those come first, and stay, that lie far from each other. */
	for (unsigned k = 0; k < count; k += 50)
		acre_free(arena, blocks[k]);
	for (unsigned k = 0; k < count; k++)
		if (k % 50)
			acre_free(arena, blocks[k]);
}

static void *leave_blocks_behind(void *arena)
{
	fill_the_depot(arena);
	return NULL;
}

static void flush_the_depot(struct actor *actor)
{
	for (unsigned i = roll_between(&actor->dice, 0, 30); i; i--)
		acre_free(stage.arena, acre_malloc(stage.arena, 100));
	acre_flush(stage.arena);
}

static void need_much(struct actor *actor)
{
	void *block;

	for (unsigned i = roll_between(&actor->dice, 0, 30); i; i--)
		schedule_pause();
	stage.seen += depot_count(stage.arena) != 0;
	block = acre_malloc(stage.arena, 8 * MIB);
	must(block, "8 MiB refused, though nothing is in use");
	acre_free(stage.arena, block);
	/* So that no two seeds pass the same locks. */
	for (unsigned i = roll_between(&actor->dice, 0, 200); i; i--)
		acre_free(stage.arena, acre_malloc(stage.arena, 40000));
}

static void play_depot(void)
{
	pthread_t thread;

	stage.arena = new_arena(16 * MIB, NULL);
	/* This thread has a cache, for whose sake the depot may hold something. */
	acre_free(stage.arena, acre_malloc(stage.arena, 100));
	must(pthread_create(&thread, NULL, leave_blocks_behind, stage.arena) == 0, "no thread");
	must(pthread_join(thread, NULL) == 0, "no join");
	must(depot_count(stage.arena) > 4, "%zu blocks in the depot", depot_count(stage.arena));
	must(stats_of(stage.arena).largest_free < 8 * MIB, "the blocks lie too close together");
	enter(flush_the_depot);
	enter(need_much);
	run_all();
	must_end_whole(stage.arena);
}

const struct scenario memory_scenarios[5] = {
	{ "starving", play_starving },
	{ "exhaustion", play_exhaustion },
	{ "purge", play_purge },
	{ "realloc", play_realloc },
	{ "depot", play_depot },
};
