/*
 * Many steps at once, by chance. The sequence is the seed's and the heap's alone.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "lab.h"
#include "line.h"
#include "screen.h"
#include "story.h"

#define STEPS_MOST	1000000u
#define SEED_MOST	UINT32_MAX
#define SEED_CHOSEN	10000u	/* short enough to be typed again */
#define TOLD_MOST	12u	/* steps, a line each */

/* The live blocks, in an order of no meaning. */
struct live {
	size_t *blocks;
	size_t count, room;
};

struct tally {
	size_t allocated, freed, resized, refused;
};

/* splitmix64: Steele, Lea and Flood, OOPSLA 2014. */
static uint64_t roll(uint64_t *state, uint64_t below)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* Small ones are common, and none has more than an eighth of the heap. */
static size_t roll_size(const struct lab_session *session, uint64_t *dice)
{
	size_t most = session->heap.size / 8;
	unsigned doublings = 0;

	while ((LAB_GRANULE << (doublings + 1)) <= most)
		doublings++;
	return 1 + roll(dice, LAB_GRANULE << roll(dice, doublings + 1));
}

static void add(struct live *live, size_t block)
{
	live->blocks = lab_grown(live->blocks, live->count, &live->room, sizeof(*live->blocks));
	live->blocks[live->count++] = block;
}

static struct live find_live(const struct lab_session *session)
{
	struct live live = { 0 };

	for (size_t block = 0; block < session->item_count; block++)
		if (session->items[block].live)
			add(&live, block);
	return live;
}

/* One step: more is allocated than freed until two thirds are in use, then less. */
static void step(struct lab_session *session, struct live *live, uint64_t *dice,
		 struct tally *tally, struct lab_change *change)
{
	bool roomy = session->live < session->heap.size / 3 * 2;
	uint64_t chance = roll(dice, 10);
	size_t i = live->count ? roll(dice, live->count) : 0;
	const struct lab_op *op;

	if (!live->count || chance < (roomy ? 6u : 3u)) {
		lab_session_allocate(session, roll_size(session, dice), change);
		op = &session->ops[session->op_count - 1];
		if (!op->refused)
			add(live, op->block);
		tally->allocated += !op->refused;
	} else if (chance < 9) {
		lab_session_free(session, live->blocks[i], change);
		live->blocks[i] = live->blocks[--live->count];
		tally->freed++;
		return;
	} else {
		lab_session_resize(session, live->blocks[i], roll_size(session, dice), change);
		op = &session->ops[session->op_count - 1];
		tally->resized += !op->refused;
	}
	tally->refused += op->refused;
}

static void walk(struct lab *lab, uint64_t steps, uint64_t seed)
{
	struct live live = find_live(&lab->session);
	struct tally tally = { 0 };
	uint64_t dice = seed;
	uint64_t done = 0;

	lab_interrupted = 0;
	for (; done < steps && !lab_interrupted; done++) {
		struct lab_change change = { 0 };

		step(&lab->session, &live, &dice, &tally, steps <= TOLD_MOST ? &change : NULL);
		if (steps <= TOLD_MOST)
			lab_story_tell_short(&change);
		lab_change_end(&change);
	}
	fprintf(lab_screen_text(), "%s%llu random steps, seed %llu: %zu allocated, %zu freed, %zu "
		"resized, %zu refused.", done < steps ? "Stopped after " : "",
		(unsigned long long)done, (unsigned long long)seed, tally.allocated, tally.freed,
		tally.resized, tally.refused);
	lab_screen_say(0);
	free(live.blocks);
}

enum lab_outcome lab_do_random(struct lab *lab, char **words)
{
	uint64_t steps, seed;

	if (!lab_read_number(lab, "a number of steps", words[0], 1, STEPS_MOST, &steps))
		return LAB_WRONG;
	if (words[1]) {
		if (!lab_read_number(lab, "a seed", words[1], 0, SEED_MOST, &seed))
			return LAB_WRONG;
	} else {
		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
			seed = 0;
		seed %= SEED_CHOSEN;
	}
	walk(lab, steps, seed);
	lab_draw(lab, LAB_NOWHERE);
	return LAB_DONE;
}
