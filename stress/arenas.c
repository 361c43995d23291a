/*
 * arenas: arenas are created and destroyed while other threads work in others.
 *
 * There are PLACES for arenas. A worker visits one at random: it creates an arena where there is
 * none, works in it, leaves some blocks to whoever comes next, and goes. Whoever leaves an empty
 * place may destroy its arena, with the caches that earlier visitors have in it; those live on, use
 * other arenas, and end at some later time. Between visits all work in the run's own arena, which
 * stays.
 *
 * The arenas have all policies and flags in turn. Half of them lie in a buffer of the program, at
 * any address and of any size. Bytes around it must stay as they are while the arena lives, and all
 * of the buffer after its end.
 */
#include "stress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES		5
#define LEFT		32	/* blocks that visitors may leave */
#define GUARD		256	/* bytes around a buffer */
#define GUARD_BYTE	0xa5
#define GRAVE_BYTE	0x5a
#define MOST_ARENA	(2 * MIB)
#define MOST		8192	/* bytes in a block */
#define VISIT_STEPS	300
#define HOME_BLOCKS	100

struct place {
	pthread_mutex_t lock;
	unsigned users;
	struct acre *arena;	/* NULL: none; then the buffer, if any, is a grave */
	struct range range;
	unsigned char *memory;	/* the buffer with its guards; NULL: from the OS */
	unsigned char *buffer;
	size_t size;
	uint64_t refusals;
	bool flushed;		/* all visitors have flushed */
	mailbox left[LEFT];
};

static void check_bytes(const unsigned char *from, const unsigned char *to, unsigned char wanted,
			const char *what)
{
	for (; from < to; from++)
		if (*from != wanted)
			fault("%s: the byte at %p is %#x, should be %#x", what, (const void *)from,
			      *from, wanted);
}

static void check_guards(const struct place *place)
{
	const unsigned char *end = place->memory + place->size + 2 * GUARD;

	check_bytes(place->memory, place->buffer, GUARD_BYTE, "before an arena's buffer");
	check_bytes(place->buffer + place->size, end, GUARD_BYTE, "behind an arena's buffer");
}

static void clear_grave(struct place *place)
{
	if (place->memory == NULL)
		return;
	check_bytes(place->buffer, place->buffer + place->size, GRAVE_BYTE,
		    "the buffer of a destroyed arena");
	free(place->memory);
	place->memory = NULL;
}

static void found(struct place *place, struct run *run, struct random *random)
{
	static const unsigned flags[] = {
		0, 0, 0, 0, ACRE_NO_CACHE, ACRE_NO_PURGE, ACRE_HUGE_PAGES, ACRE_PREFAULT,
	};
	struct acre_options options = {
		.policy = (enum acre_policy)draw_below(random, ACRE_GOOD_FIT + 1),
		.flags = flags[draw_below(random, sizeof(flags) / sizeof(flags[0]))],
		.cache_bytes = draw_below(random, 2) == 0 ? 0 : draw_from(random, 1, 64 * KIB),
	};

	clear_grave(place);
	place->size = draw_from(random, 64 * KIB, MOST_ARENA);
	if (draw_below(random, 2) == 0) {
		place->arena = acre_create(place->size, &options);
	} else {
		place->memory = get_memory(place->size + 2 * GUARD, 1);
		memset(place->memory, GUARD_BYTE, place->size + 2 * GUARD);
		place->buffer = place->memory + draw_below(random, GUARD);
		place->arena = acre_create_at(place->buffer, place->size, &options);
	}
	if (place->arena == NULL)
		fault("an arena of %zu bytes%s with flags %#x can't be had: %s", place->size,
		      place->memory != NULL ? " in a buffer" : "", options.flags, strerror(errno));
	place->range = range_of(place->arena);
	place->refusals = 0;
	place->flushed = true;
	atomic_fetch_add_explicit(&run->board->arenas, 1, memory_order_relaxed);
}

/* Ends the arena of a place that nobody uses. guest is at work there. */
static void end(struct place *place, struct worker *guest)
{
	struct acre_stats stats;

	mailboxes_empty(guest, place->left, LEFT, 0, 1);
	acre_flush(place->arena);
	inspect(place->arena, &place->range);
	acre_stats(place->arena, &stats);
	if (stats.live_blocks != 0 || stats.refusals != place->refusals)
		fault("an arena ends with %zu live blocks, not 0, and %zu refusals, not %llu",
		      stats.live_blocks, stats.refusals, (unsigned long long)place->refusals);
	if (place->flushed)
		audit_whole(place->arena, &place->range, guest->run->most_alive);
	atomic_fetch_add_explicit(&guest->run->board->refusals, stats.refusals,
				  memory_order_relaxed);
	if (acre_destroy(place->arena) != 0)
		fault("acre_destroy: %s", strerror(errno));
	place->arena = NULL;
	if (place->memory != NULL) {
		check_guards(place);
		memset(place->buffer, GRAVE_BYTE, place->size);
	}
}

static void stay(struct worker *guest, struct place *place)
{
	for (unsigned i = 0; i < VISIT_STEPS; i++) {
		struct slot *slot;

		if (draw_below(&guest->random, 8) == 0) {
			mailbox_exchange(guest, &place->left[draw_below(&guest->random, LEFT)],
					 MOST);
		} else if (guest->slot_count == 0 || draw_below(&guest->random, 2) == 0) {
			slot = slots_add(guest);
			if (!slot_fill(guest, slot, draw_size(&guest->random, MOST), ANY_MANNER))
				slots_remove(guest, slot);
		} else {
			slot = &guest->slots[draw_below(&guest->random, guest->slot_count)];
			slot_empty(guest, slot);
			slots_remove(guest, slot);
		}
	}
	slots_empty(guest, guest);
}

static void visit(struct worker *worker, struct place *place)
{
	struct worker guest;
	bool flush = draw_below(&worker->random, 4) != 0;

	worker_init(&guest, worker->run, worker->index);
	guest.random.state = draw(&worker->random);
	guest.serial = worker->serial;

	pthread_mutex_lock(&place->lock);
	if (place->arena == NULL)
		found(place, worker->run, &worker->random);
	place->users++;
	guest.arena = place->arena;
	guest.range = &place->range;
	pthread_mutex_unlock(&place->lock);

	stay(&guest, place);
	if (flush)
		acre_flush(guest.arena);

	pthread_mutex_lock(&place->lock);
	place->refusals += guest.refusals;
	place->flushed = place->flushed && flush;
	place->users--;
	if (place->users == 0 && draw_below(&worker->random, 3) == 0)
		end(place, &guest);
	pthread_mutex_unlock(&place->lock);

	worker->serial = guest.serial;
	worker->taken += guest.taken;
	worker->given += guest.given;
	worker->taken_bytes += guest.taken_bytes;
	worker->given_bytes += guest.given_bytes;
	worker->operations += guest.operations;
	publish(worker);
	worker_clear(&guest);
}

static void work_at_home(struct worker *worker)
{
	while (worker->slot_count < HOME_BLOCKS)
		if (!slot_fill(worker, slots_add(worker), draw_size(&worker->random, MOST),
			       ANY_MANNER))
			return;
	for (unsigned i = 0; i < HOME_BLOCKS / 2; i++) {
		struct slot *slot = &worker->slots[draw_below(&worker->random, worker->slot_count)];

		if (slot->block != NULL)
			slot_empty(worker, slot);
		slots_remove(worker, slot);
	}
}

/* A life of a worker; the next one inherits its blocks at home. */
static void *work(void *argument)
{
	struct worker *worker = argument;
	struct place *places = worker->run->main.extra;
	size_t visits = draw_from(&worker->random, 1, 60);

	while (visits-- != 0 && !asked_to_stop(worker->run)) {
		visit(worker, &places[draw_below(&worker->random, PLACES)]);
		work_at_home(worker);
	}
	return NULL;
}

static void end_all(struct run *run, struct place *places)
{
	struct worker guest;

	for (unsigned i = 0; i < PLACES; i++) {
		worker_init(&guest, run, run->threads);
		guest.arena = places[i].arena;
		guest.range = &places[i].range;
		if (places[i].arena != NULL)
			end(&places[i], &guest);
		run->main.given += guest.given;
		run->main.given_bytes += guest.given_bytes;
		clear_grave(&places[i]);
		pthread_mutex_destroy(&places[i].lock);
	}
}

static void arenas(struct run *run)
{
	struct place *places = get_memory(PLACES, sizeof(*places));

	run_open(run, 0);
	for (unsigned i = 0; i < PLACES; i++)
		pthread_mutex_init(&places[i].lock, NULL);
	run->main.extra = places;
	run_start(run, work);
	while (!time_is_up(run))
		for (unsigned i = 0; i < run->threads; i++) {
			join_thread(run->workers[i].thread);
			run->workers[i].thread = start_thread(work, &run->workers[i], 0);
		}
	atomic_store_explicit(&run->stop, true, memory_order_relaxed);
	run_join(run);
	for (unsigned i = 0; i < run->threads; i++)
		slots_empty(&run->main, &run->workers[i]);
	end_all(run, places);
	free(places);
	run_close(run);
}

const struct scenario scenario_arenas = {
	.name = "arenas",
	.summary = "arenas created and destroyed while other threads work in others",
	.arena = 32 * MIB,
	.work = arenas,
};
