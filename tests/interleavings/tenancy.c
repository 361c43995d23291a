/*
 * Scenarios of tenancy and of blocks on their way home: who owns a plot, who frees its blocks, and
 * what of both is under way when a thread comes or goes.
 */
#include "stage.h"
#include "thread.h"

/* Caches that soon give back what they hold. */
static const struct acre_options small_caches = { .cache_bytes = 600 };

static size_t small_size(struct dice *dice)
{
	return 24 + 32 * roll_between(dice, 0, 3);
}

/*
 * A thread allocates and ends, while others free its blocks and yet another gets its plot.
 */
static void make_and_exit(struct actor *actor)
{
	struct piece piece;

	for (unsigned i = 0; i < 30; i++) {
		make(stage.arena, &piece, small_size(&actor->dice), &actor->dice);
		put(&piece);
	}
	stage.working--;
}

static void inherit(struct actor *actor)
{
	struct piece pieces[12];

	/* Now and then long enough for the plot to be left. */
	for (size_t i = roll_between(&actor->dice, 0, 200); i; i--)
		schedule_pause();
	for (unsigned i = 0; i < COUNT_OF(pieces); i++)
		make(stage.arena, &pieces[i], small_size(&actor->dice), &actor->dice);
	stage.seen += thread_held(stage.arena)->plot->id == 1;
	for (unsigned i = 0; i < COUNT_OF(pieces); i++)
		drop(stage.arena, &pieces[i]);
}

static void make_exit_and_leave_to_an_heir(struct actor *actor)
{
	make_and_exit(actor);
	enter(inherit);
}

static void play_exit(void)
{
	stage.arena = new_arena(MIB, &small_caches);
	stage.working = 1;
	enter(make_exit_and_leave_to_an_heir);
	enter(empty_the_bag);
	enter(empty_the_bag);
	run_all();
	must_end_whole(stage.arena);
}

/*
 * A thread (the main one) sleeps while others free its blocks, and meet at its lock. Nobody else
 * takes it: so whenever none of them is in a call, none of their posts lies in its inbox.
 */
static unsigned inside;

static void look_into_the_inbox(void)
{
	const struct plot *plot = plot_at(stage.arena, 1);

	must(!plot->inbox, "mail that nobody looks for, and its owner sleeps");
	must(!plot->inbox_blocks && !plot->inbox_bytes, "%lu blocks of %lu bytes in no mail",
	     (unsigned long)plot->inbox_blocks, (unsigned long)plot->inbox_bytes);
}

static void free_some(struct actor *actor)
{
	struct piece piece;

	/* So that it has a cache, which sends what it has too much of. */
	thread_cache(stage.arena);
	for (unsigned i = 0; i < 24 && draw(&piece, &actor->dice); i++) {
		inside++;
		drop(stage.arena, &piece);
		if (!--inside)
			look_into_the_inbox();
	}
	/* None leaves, which is a call too, before all are done. */
	stage.working--;
	while (stage.working)
		schedule_pause();
}

static void play_posts(void)
{
	struct piece piece;

	stage.arena = new_arena(MIB, &small_caches);
	stage.working = (unsigned)roll_between(&stage.dice, 2, 3);
	for (unsigned i = 0; i < 24 * stage.working; i++) {
		make(stage.arena, &piece, small_size(&stage.dice), &stage.dice);
		put(&piece);
	}
	for (unsigned i = stage.working; i; i--)
		enter(free_some);
	run_all();
	stage.seen = stage.result.busy;
	look_into_the_inbox();
	must_end_whole(stage.arena);
}

/*
 * The same, while another wants what they free, and so empties the inbox: what they post then may
 * well be left behind. Once they are gone the sleeping owner holds nothing of it.
 */
static pthread_key_t last_words_key;
static unsigned rounds[SCHEDULE_THREADS];
static size_t wanted;

/* In the last round of destructors. */
static void say_gone(void *value)
{
	struct actor *actor = value;

	if (++rounds[actor->number] < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(last_words_key, actor);
	else
		stage.working--;
}

static void free_all_and_leave(struct actor *actor)
{
	struct piece piece;

	pthread_setspecific(last_words_key, actor);
	while (draw(&piece, &actor->dice))
		drop(stage.arena, &piece);
}

static void want_it(struct actor *actor)
{
	struct piece piece;
	bool gone;

	do {
		gone = !stage.working;
		if (try_to_make(stage.arena, &piece, wanted, &actor->dice)) {
			drop(stage.arena, &piece);
			return;
		}
		schedule_pause();
	} while (!gone);
	must(false, "%zu bytes are free, the largest block has %zu of %zu, and nobody is awake",
	     stats_of(stage.arena).free_bytes, stats_of(stage.arena).largest_free, wanted);
}

static void play_mail(void)
{
	/* Four blocks of this size, and two a thread in the depot. */
	const struct acre_options options = { .cache_bytes = 5000 };
	struct piece piece;
	void *most;

	stage.arena = new_arena(MIB, &options);
	must(pthread_key_create(&last_words_key, say_gone) == 0, "no key");
	acre_free(stage.arena, acre_malloc(stage.arena, 1));
	acre_flush(stage.arena);
	/* What is left has room for the plots' slabs too. */
	most = acre_malloc(stage.arena, stats_of(stage.arena).largest_free - 160 * KIB);
	must(most, "no room");
	for (unsigned i = 0; i < 100; i++) {
		make(stage.arena, &piece, 700, &stage.dice);
		put(&piece);
	}
	acre_flush(stage.arena);
	wanted = 110 * KIB;
	stage.working = 2;
	enter(free_all_and_leave);
	enter(free_all_and_leave);
	enter(want_it);
	run_all();
	stage.seen = stage.result.busy;
	acre_free(stage.arena, most);
	must_end_whole(stage.arena);
}

/*
 * Generations of threads that join and leave, one on the heels of the other. Some of them are gone
 * without leaving, since they first allocate in their last destructor; others look for their plots.
 */
#define TENANTS 10u

static void last_words(void *value)
{
	struct actor *actor = value;
	struct piece piece;

	if (++rounds[actor->number] < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(last_words_key, actor);
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		make(stage.arena, &piece, small_size(&actor->dice), &actor->dice);
		put(&piece);
	}
	stage.working--;
}

static unsigned deserted_plots(void)
{
	unsigned count = 0;

	for (uint32_t id = 1; id <= plots_made(stage.arena); id++)
		count += plot_deserted(plot_at(stage.arena, id));
	return count;
}

static void live(struct actor *actor)
{
	struct piece piece;
	bool late = roll_between(&actor->dice, 0, 3) == 0;

	if (late)
		pthread_setspecific(last_words_key, actor);
	for (unsigned i = 0; i < 5 && !late; i++) {
		make(stage.arena, &piece, small_size(&actor->dice), &actor->dice);
		put(&piece);
		if (i % 2 && draw(&piece, &actor->dice))
			drop(stage.arena, &piece);
	}
	if (!late && roll_between(&actor->dice, 0, 1)) {
		stage.seen += deserted_plots();
		acre_flush(stage.arena);
	}
	if (stage.count < TENANTS) {
		stage.working++;
		enter(live);
	}
	if (!late)
		stage.working--;
}

static void play_tenants(void)
{
	stage.arena = new_arena(MIB, &small_caches);
	must(pthread_key_create(&last_words_key, last_words) == 0, "no key");
	stage.working = 3;
	for (unsigned i = 0; i < 3; i++)
		enter(live);
	enter(empty_the_bag);
	run_all();
	must_end_whole(stage.arena);
}

/*
 * The same, where every thread that joins looks for deserted plots first.
 */
static void desert(struct actor *actor)
{
	pthread_setspecific(last_words_key, actor);
}

static void join_and_free(struct actor *actor)
{
	struct piece piece;

	if (actor->number % 2 == 0)
		enter(desert);
	stage.seen += deserted_plots();
	stage.arena->reap_at = 0;
	make(stage.arena, &piece, small_size(&actor->dice), &actor->dice);
	put(&piece);
	if (draw(&piece, &actor->dice))
		drop(stage.arena, &piece);
	stage.working--;
}

static void play_newcomers(void)
{
	stage.arena = new_arena(MIB, &small_caches);
	must(pthread_key_create(&last_words_key, last_words) == 0, "no key");
	stage.working = 10;
	for (unsigned i = 0; i < 3; i++)
		enter(desert);
	for (unsigned i = 0; i < 5; i++)
		enter(join_and_free);
	enter(empty_the_bag);
	run_all();
	must_end_whole(stage.arena);
}

/*
 * Threads in a ring: each hands its blocks on and allocates out of what it has got and freed, so
 * that every cache holds blocks of all plots.
 */
#define RING 3u
#define RING_BLOCKS 10u

static struct {
	struct piece pieces[RING_BLOCKS];
	bool full;
} ring[RING];

static void hand_on(struct actor *actor)
{
	struct piece pieces[RING_BLOCKS];
	unsigned next = (actor->number + 1) % RING;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < RING_BLOCKS; i++) {
			make(stage.arena, &pieces[i], small_size(&actor->dice), &actor->dice);
			stage.seen += tag_plot(tag_of(pieces[i].block)) !=
				      thread_held(stage.arena)->plot->id;
		}
		while (ring[next].full)
			schedule_pause();
		memcpy(ring[next].pieces, pieces, sizeof(pieces));
		ring[next].full = true;
		while (!ring[actor->number].full)
			schedule_pause();
		memcpy(pieces, ring[actor->number].pieces, sizeof(pieces));
		ring[actor->number].full = false;
		for (unsigned i = 0; i < RING_BLOCKS; i++)
			drop(stage.arena, &pieces[i]);
	}
}

static void play_ring(void)
{
	stage.arena = new_arena(MIB, &small_caches);
	for (unsigned i = 0; i < RING; i++)
		enter(hand_on);
	run_all();
	must_end_whole(stage.arena);
}

const struct scenario tenancy_scenarios[6] = {
	{ "exit", play_exit },
	{ "posts", play_posts },
	{ "mail", play_mail },
	{ "tenants", play_tenants },
	{ "newcomers", play_newcomers },
	{ "ring", play_ring },
};
