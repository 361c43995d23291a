/*
 * Scenario of what waits for a grace period: threads that hand in, readers, and a worker, which does
 * what that of lib/rcu.c does but for the waiting itself. Here a section is a count that's odd, and a
 * grace period is over once each that was odd has changed.
 */
#include <acre/rcu.h>

#include "stage.h"

#define READERS		2u
#define SLOTS		6u
#define WORKS		2u	/* grace.state: so nobody starts another worker */

static int no(void)
{
	return 0;
}

/* The others aren't called: no request is refused, and the library waits for nobody. */
static const struct rcu_flavor_struct flavor = { .read_ongoing = no };

static struct piece slots[SLOTS];
static unsigned sections[READERS];
static unsigned drowsy;		/* how often the worker found nothing to do */

/* A piece is in two minds while it's read: it must stay as it was when the section began. */
static void read_slots(struct actor *actor)
{
	unsigned self = actor->number % READERS;

	while (stage.working) {
		struct piece *slot = &slots[roll(&actor->dice) % SLOTS];
		struct piece piece = *slot;

		sections[self]++;
		piece = *slot;
		for (size_t i = roll_between(&actor->dice, 0, 20); i; i--) {
			verify(&piece);
			schedule_pause();
		}
		verify(&piece);
		stage.seen += slot->block != piece.block;
		sections[self]++;
		schedule_pause();
	}
}

static void replace_one(struct actor *actor, size_t size)
{
	struct piece *slot = &slots[roll(&actor->dice) % SLOTS];
	struct piece fresh, old;

	make(stage.arena, &fresh, size, &actor->dice);
	old = *slot;
	*slot = fresh;
	acre_free_rcu_flavor(stage.arena, old.block, &flavor);
}

/* Until the worker is about to fall asleep; the other one's blocks may keep it awake. */
static void let_worker_rest(void)
{
	unsigned before = drowsy;

	for (unsigned i = 0; i < 200 && drowsy == before; i++)
		schedule_pause();
}

static void replace_slots(struct actor *actor)
{
	for (unsigned i = 0; i < 150; i++)
		replace_one(actor, i % 30 ? roll_between(&actor->dice, 8, 60) : 3000);
	/* And now single ones, that it mustn't miss. */
	for (unsigned i = 0; i < 3; i++) {
		let_worker_rest();
		replace_one(actor, 40);
	}
	stage.working--;
}

static void wait_for_readers(void)
{
	unsigned seen[READERS];

	memcpy(seen, sections, sizeof(seen));
	for (unsigned i = 0; i < READERS; i++)
		while (seen[i] % 2 && sections[i] == seen[i])
			schedule_pause();
}

static void pass_grace_period(bool free)
{
	uint64_t begun = acre_private_grace_begin(stage.arena, 0);

	wait_for_readers();
	acre_private_grace_end(stage.arena, 0, begun);
	if (free)
		acre_private_grace_free(stage.arena, 0);
}

/* Sleeps until it's called, where it may; what is wanted. */
static uint32_t sleep_as_worker(struct grace *grace)
{
	bool settled = false;

	if (!acre_private_waiting_any(stage.arena, 0)) {
		atomic_store(&grace->idle, true);
		drowsy++;
		settled = acre_private_waiting_settle(stage.arena, 0);
	}
	do
		schedule_pause();
	while (settled && !atomic_load(&grace->wanted) && stage.working);
	must(!settled || atomic_load(&grace->wanted) ||
		     !acre_private_waiting_any(stage.arena, 0),
	     "blocks wait, and nobody has called the worker");
	atomic_store(&grace->idle, false);
	return atomic_exchange(&grace->wanted, 0);
}

static void work(struct actor *actor)
{
	struct grace *grace = &stage.arena->graces[0];

	while (stage.working) {
		uint32_t wanted = sleep_as_worker(grace);

		if (wanted || acre_private_waiting_any(stage.arena, 0))
			pass_grace_period(roll_between(&actor->dice, 0, 3) == 0);
	}
}

static void play_grace(void)
{
	struct acre_options options = { .cache_bytes = 8192, .rcu_bytes = 64 * MIB };

	stage.arena = new_arena(4 * MIB, &options);
	atomic_store(&stage.arena->graces[0].state, WORKS);
	/* The first one sets up what each process has once: the schedule can't see who waits for that. */
	acre_free_rcu_flavor(stage.arena, acre_malloc(stage.arena, 40), &flavor);
	for (unsigned i = 0; i < SLOTS; i++)
		make(stage.arena, &slots[i], 40, &stage.dice);
	stage.working = 2;
	for (unsigned i = 0; i < READERS; i++)
		enter(read_slots);
	enter(replace_slots);
	enter(replace_slots);
	enter(work);
	run_all();
	must_be_sound(stage.arena);
	must_be_honest(stage.arena);
	pass_grace_period(true);
	for (unsigned i = 0; i < SLOTS; i++)
		drop(stage.arena, &slots[i]);
	must(!stats_of(stage.arena).waiting_blocks, "%zu wait",
	     stats_of(stage.arena).waiting_blocks);
	atomic_store(&stage.arena->graces[0].state, 0);
	must_end_whole(stage.arena);
}

const struct scenario grace_scenarios[1] = {
	{ "grace", play_grace },
};
