/*
 * Play: reads operations and carries them out. See play.h for the format.
 */
#include "play.h"

#include "baton.h"
#include "model.h"
#include "os.h"
#include "purge.h"
#include "reader.h"
#include "thread.h"
#include "verbs.h"

#define STEPS_MOST 4000u

static unsigned how;
static bool over;

static bool is_costly(void)
{
	static const unsigned each[] = { 1, 8, 32, 128 };

	return where.step % each[how & 3] == 0;
}

static enum baton_end step(void)
{
	unsigned varied;
	enum verb verb = next_verb(&varied);
	enum baton_end end;

	where.step++;
	where.worker = game.worker;
	where.land = game.land;
	where.verb = verb_names[verb];
	say("%u: worker %u, arena %u: %s", where.step, where.worker, where.land, where.verb);
	os.refused = 0;
	os.busy_met = 0;
	end = verb_do(verb, varied);
	model_tidy();
	say("\n");
	/* What the OS was to refuse is for the operation that follows. */
	if (verb != REFUSE)
		verb_refuse(0, 0);
	for (unsigned i = 0; i < PLAY_ARENAS && os.busy_met; i++)
		model.lands[i].unflushed = true;
	if (is_costly())
		model_inspect(game.land);
	over = reader_ended() || where.step == STEPS_MOST || verb_enough();
	return end;
}

/* Steps of one worker, until it's another's turn. */
static enum baton_end take_turn(unsigned worker)
{
	enum baton_end end = BATON_BACK;

	while (!over && game.worker == worker && end == BATON_BACK)
		end = step();
	return end;
}

/* The thread that plays is as if it were new. */
static void forget_thread(void)
{
	purge_ticks = 0;
	acre_private_thread.evicted = false;
	for (unsigned i = 0; i < THREAD_SLOTS; i++)
		acre_private_thread.slots[i].serial = THREAD_NO_ARENA;
}

/*
 * The end: every worker frees some of what is held, and gives its caches back.
 */
static enum baton_end end_turn(unsigned worker)
{
	where.worker = game.worker = worker;
	for (size_t i = 0; i < model.count; i++) {
		where.land = model.pieces[i].land;
		if ((model.pieces[i].id + worker) % 3 == 0)
			verb_free(i);
	}
	model_tidy();
	for (unsigned i = 0; i < PLAY_ARENAS; i++)
		if (model.lands[i].arena)
			acre_flush(model.lands[i].arena);
	return BATON_BACK;
}

static enum baton_end leave(unsigned worker)
{
	(void)worker;
	return BATON_EXIT;
}

static void end_workers(void)
{
	for (unsigned worker = 1; worker < PLAY_WORKERS; worker++)
		if (baton_alive(worker)) {
			baton_hand(worker, leave);
			model_leave(worker, !baton_left_last(worker));
		}
}

static void settle(void)
{
	where.verb = NULL;
	os.busy = 0;
	os.refused = 0;
	verb_refuse(0, 0);
	for (unsigned i = 0; i < PLAY_ARENAS; i++) {
		where.land = i;
		model_inspect(i);
		model.lands[i].unflushed = false;
	}
	if (how & 4)
		end_workers();
	for (unsigned worker = PLAY_WORKERS; worker--;)
		if (baton_alive(worker))
			baton_hand(worker, end_turn);
	for (size_t i = model.count; i--;)
		verb_free(i);
	model_tidy();
	for (unsigned i = 0; i < PLAY_ARENAS; i++) {
		where.land = i;
		model_whole(i);
		/* Of the threads that used it some end before it does, some after. */
		if (i == 1)
			end_workers();
		if (model.lands[i].arena)
			model_destroy(i);
	}
	end_workers();
}

void play(const uint8_t *bytes, size_t size)
{
	baton_setup();
	os_begin();
	model_begin();
	forget_thread();
	game = (struct game){ 0 };
	reader_begin(bytes, size);
	how = next_byte();
	verb_arena(0);
	over = reader_ended();
	while (!over) {
		unsigned worker = game.worker;

		baton_hand(worker, take_turn);
		if (!baton_alive(worker))
			model_leave(worker, !baton_left_last(worker));
	}
	settle();
}
