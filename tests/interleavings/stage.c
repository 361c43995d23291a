/*
 * Stage: see stage.h.
 */
#include "stage.h"

#include <sched.h>

struct stage stage;

/* The turn goes from thread to thread sooner where they share a processor. */
static void stay_on_one_processor(void)
{
	cpu_set_t one;
	int here = sched_getcpu();

	CPU_ZERO(&one);
	if (here >= 0 && here < CPU_SETSIZE) {
		CPU_SET(here, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
}

void stage_play(const struct scenario *scenario, uint64_t seed, bool trace)
{
	stay_on_one_processor();
	memset(&stage, 0, sizeof(stage));
	stage.dice = dice_from(~seed);
	schedule_begin(seed, trace);
	scenario->play();
}

static void act(void *argument)
{
	struct actor *actor = argument;

	actor->body(actor);
}

void enter(void (*body)(struct actor *))
{
	struct actor *actor = &stage.actors[stage.count];

	must(stage.count < SCHEDULE_THREADS, "%u actors", stage.count);
	actor->number = stage.count++;
	actor->dice = dice_from(roll(&stage.dice));
	actor->body = body;
	schedule_start(act, actor);
}

void run_all(void)
{
	stage.result = schedule_run();
}

bool try_to_make(struct acre *arena, struct piece *piece, size_t size, struct dice *dice)
{
	piece->size = size;
	piece->key = roll(dice);
	piece->block = acre_malloc(arena, size);
	if (piece->block)
		fill(piece->block, size, piece->key);
	return piece->block != NULL;
}

void make(struct acre *arena, struct piece *piece, size_t size, struct dice *dice)
{
	must(try_to_make(arena, piece, size, dice), "%zu bytes", size);
}

void verify(const struct piece *piece)
{
	must(holds(piece->block, piece->size, piece->key), "%zu bytes at %p", piece->size,
	     (void *)piece->block);
}

void drop(struct acre *arena, struct piece *piece)
{
	verify(piece);
	acre_free(arena, piece->block);
	piece->block = NULL;
}

void put(const struct piece *piece)
{
	must(stage.bag.count < COUNT_OF(stage.bag.pieces), "the bag is full");
	stage.bag.pieces[stage.bag.count++] = *piece;
}

bool draw(struct piece *piece, struct dice *dice)
{
	unsigned i;

	if (!stage.bag.count)
		return false;
	i = (unsigned)roll_between(dice, 0, stage.bag.count - 1);
	*piece = stage.bag.pieces[i];
	stage.bag.pieces[i] = stage.bag.pieces[--stage.bag.count];
	return true;
}

void empty_the_bag(struct actor *actor)
{
	struct piece piece;

	while (stage.working || stage.bag.count)
		if (draw(&piece, &actor->dice))
			drop(stage.arena, &piece);
		else
			schedule_pause();
}

void must_have_sound_tenants(struct acre *arena)
{
	bool idle[PLOT_LAST + 1] = { false };

	for (uint32_t id = arena->idle_plot; id; id = plot_at(arena, id)->next_idle) {
		must(id <= plots_made(arena), "plot %u is idle, of %u", id, plots_made(arena));
		must(!idle[id], "plot %u is idle twice", id);
		must(!plot_at(arena, id)->holder, "plot %u is idle, and held", id);
		idle[id] = true;
	}
}

void must_be_out_of(struct acre *arena, size_t size)
{
	char *base = arena_base(arena);
	uint64_t granules = granules_for(size);

	schedule_hold(true);
	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);

		must(!plot->inbox, "%zu bytes refused, plot %u has mail", size, id);
		for (unsigned i = 0; i < plot->leases; i++) {
			struct heap *heap = &plot_lease(arena, plot, i)->heap;

			must(!heap_find(base, heap, granules), "%zu bytes refused, plot %u has them",
			     size, id);
			must(!heap_empty(heap), "%zu bytes refused, plot %u has a spare", size, id);
		}
	}
	must(!heap_find(base, &arena->commons, granules), "%zu bytes refused, the commons have them",
	     size);
	schedule_hold(false);
}

/* What was added and taken away under no lock, once nothing is in use. */
static void must_have_sound_sums(struct acre *arena)
{
	uint64_t granted = 0;
	uint64_t used = arena->used_bytes;

	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		granted += plot_at(arena, id)->cache.granted;
		used += (uint64_t)plot_at(arena, id)->unreported;
	}
	must(arena->caches_granted == granted, "the caches have %lu bytes, granted are %lu",
	     granted, (unsigned long)arena->caches_granted);
	must(!used, "%ld bytes in use, of none", (long)used);
}

void must_end_whole(struct acre *arena)
{
	must_have_sound_tenants(arena);
	must_be_sound(arena);
	must_be_honest(arena);
	must(stats_of(arena).live_blocks == 0, "%zu blocks live", stats_of(arena).live_blocks);
	must_be_whole(arena);
	must_have_sound_sums(arena);
	end_arena(arena);
}
