/*
 * Scenarios of who looks on while others work, of arenas that come and go, and of all at once.
 */
#include "plot.h"
#include "stage.h"
#include "thread.h"

static const struct acre_options small_caches = { .cache_bytes = 2048 };

static void work(struct actor *actor, unsigned steps)
{
	struct piece piece;

	for (unsigned i = 0; i < steps; i++) {
		if (roll_between(&actor->dice, 0, 1)) {
			make(stage.arena, &piece, roll_log(&actor->dice, 8, 20000), &actor->dice);
			put(&piece);
		} else if (draw(&piece, &actor->dice)) {
			if (roll_between(&actor->dice, 0, 1))
				drop_piece(stage.arena, &piece, &actor->dice);
			else
				drop(stage.arena, &piece);
		}
	}
}

static void work_and_leave(struct actor *actor)
{
	work(actor, 40);
	stage.working--;
}

/*
 * Walk, statistics and check while two others work. Blocks that stay all the while are met in each
 * walk, whoever has their plot just then.
 */
static struct piece staying[12];
static unsigned met;

static int step_on(const struct acre_block *block, void *user)
{
	const char **last = user;

	must((const char *)block->address > *last, "%p after %p", block->address,
	     (const void *)*last);
	must(block->size, "a block of no size at %p", block->address);
	*last = (const char *)block->address + block->size - 1;
	for (unsigned i = 0; i < COUNT_OF(staying); i++)
		met += block->address == staying[i].block && block->state == ACRE_LIVE;
	stage.seen += block->plot && block->state == ACRE_LIVE;
	return 0;
}

static void view(struct actor *actor)
{
	(void)actor;
	while (stage.working) {
		const char *last = NULL;
		struct acre_stats stats;

		met = 0;
		must(acre_walk(stage.arena, step_on, &last) == 0, "the walk was cut short");
		must(met == COUNT_OF(staying), "%u of %zu blocks", met, COUNT_OF(staying));
		acre_stats(stage.arena, &stats);
		must(stats.largest_free <= stats.free_bytes && stats.cached_bytes <= stats.size &&
			     stats.plots <= 5,
		     "%zu bytes free, the largest %zu, %zu cached, %zu plots", stats.free_bytes,
		     stats.largest_free, stats.cached_bytes, stats.plots);
		must_be_sound(stage.arena);
		schedule_pause();
	}
}

static void play_views(void)
{
	struct piece piece;

	stage.arena = new_arena(MIB, &small_caches);
	for (unsigned i = 0; i < COUNT_OF(staying); i++)
		make(stage.arena, &staying[i], i % 4 ? 100 : 12000, &stage.dice);
	/* Some of the main thread's own for the others to free, so that its plot is busy too. */
	for (unsigned i = 0; i < 30; i++) {
		make(stage.arena, &piece, 100, &stage.dice);
		put(&piece);
	}
	stage.working = 2;
	enter(work_and_leave);
	enter(work_and_leave);
	enter(view);
	enter(empty_the_bag);
	run_all();
	for (unsigned i = 0; i < COUNT_OF(staying); i++)
		drop(stage.arena, &staying[i]);
	must_end_whole(stage.arena);
}

/*
 * A second arena is made, used by two, and ended while the other may be leaving. In the threads'
 * tables both arenas have the same entry.
 */
static struct acre *second;
static unsigned guests;

static void use_second(struct actor *actor)
{
	struct piece pieces[8], others[8];

	while (!second)
		schedule_pause();
	for (unsigned i = 0; i < COUNT_OF(pieces); i++) {
		make(second, &pieces[i], roll_log(&actor->dice, 8, 3000), &actor->dice);
		make(stage.arena, &others[i], roll_log(&actor->dice, 8, 3000), &actor->dice);
	}
	stage.seen += acre_private_thread.evicted;
	for (unsigned i = 0; i < COUNT_OF(pieces); i++) {
		drop(second, &pieces[i]);
		drop(stage.arena, &others[i]);
	}
	guests--;
}

static void host(struct actor *actor)
{
	guests = 2;
	second = new_arena(MIB, &small_caches);
	use_second(actor);
	while (guests)
		schedule_pause();
	must_be_sound(second);
	end_arena(second);
	work_and_leave(actor);
}

static void guest(struct actor *actor)
{
	use_second(actor);
	work_and_leave(actor);
}

static void play_arenas(void)
{
	struct acre *between[THREAD_SLOTS - 1];

	stage.arena = new_arena(MIB, &small_caches);
	for (unsigned i = 0; i < COUNT_OF(between); i++)
		between[i] = new_arena(64 * KIB, NULL);
	for (unsigned i = 0; i < COUNT_OF(between); i++)
		end_arena(between[i]);
	stage.working = 3;
	enter(host);
	enter(guest);
	enter(work_and_leave);
	enter(empty_the_bag);
	run_all();
	must_end_whole(stage.arena);
}

/*
 * All at once: work, flushes, looks, trims, threads that end and others that begin, and destructors
 * that work on.
 */
static pthread_key_t key;
static unsigned rounds[SCHEDULE_THREADS];

static void work_on(void *value)
{
	struct actor *actor = value;

	work(actor, 4);
	if (++rounds[actor->number] < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(key, actor);
	else
		stage.working--;
}

static void do_anything(struct actor *actor)
{
	struct acre_stats stats;

	pthread_setspecific(key, actor);
	for (unsigned i = 0; i < 6; i++) {
		work(actor, 4);
		switch (roll_between(&actor->dice, 0, 9)) {
		case 0:
			acre_flush(stage.arena);
			break;
		case 1:
			acre_trim(stage.arena);
			break;
		case 2:
			acre_stats(stage.arena, &stats);
			break;
		case 3:
			must_be_sound(stage.arena);
			break;
		case 4:
			if (stage.count < 6) {
				stage.working++;
				stage.seen++;
				enter(do_anything);
			}
			break;
		default:
			break;
		}
	}
}

static void play_all(void)
{
	stage.arena = new_arena(4 * MIB, &small_caches);
	must(pthread_key_create(&key, work_on) == 0, "no key");
	stage.working = 3;
	for (unsigned i = 0; i < 3; i++)
		enter(do_anything);
	enter(empty_the_bag);
	run_all();
	must_end_whole(stage.arena);
}

const struct scenario view_scenarios[3] = {
	{ "views", play_views },
	{ "arenas", play_arenas },
	{ "all", play_all },
};
