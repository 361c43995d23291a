/*
 * Choices: see choice.h. The rule of each policy is applied to the picture before, and said
 * only where it leads to the block that was taken.
 */
#include "choice.h"

#include "screen.h"

/* The free blocks that would serve. */
struct choice {
	const struct lab_block *taken;
	size_t fit;			/* so many fit */
	size_t alike;			/* as many bytes as the one that was taken */
	const struct lab_block *lowest, *smallest, *largest;	/* the lowest of these, each */
	const struct lab_block *next;	/* the first that ends behind the place */
};

static struct choice look(const struct lab_change *change, size_t size)
{
	struct choice choice = { .taken = lab_block_around(&change->before, change->now) };

	for (size_t i = 0; i < change->before.count; i++) {
		const struct lab_block *block = &change->before.blocks[i];

		if (block->live || block->size < size)
			continue;
		choice.fit++;
		choice.alike += block->size == choice.taken->size;
		if (!choice.lowest)
			choice.lowest = block;
		if (!choice.smallest || block->size < choice.smallest->size)
			choice.smallest = block;
		if (!choice.largest || block->size > choice.largest->size)
			choice.largest = block;
		if (!choice.next && block->offset + block->size > change->place)
			choice.next = block;
	}
	return choice;
}

static void say_next(FILE *text, const struct choice *choice, size_t place)
{
	const struct lab_block *hole = choice->next ? choice->next : choice->lowest;

	if (choice->taken != hole)
		return;
	if (!choice->next)
		fprintf(text, ", the first from the start again, as none fits behind %zu", place);
	else if (place > 0 && hole->offset < place)
		fprintf(text, ", the one that %zu lies in, where the last block ended", place);
	else if (place > 0)
		fprintf(text, ", the first behind %zu, where the last block ended", place);
	else
		fprintf(text, ", the first from the start");
}

static void say_extreme(FILE *text, const struct choice *choice, const char *extreme,
			const struct lab_block *hole)
{
	if (choice->taken != hole)
		return;
	fprintf(text, ", the %s", extreme);
	if (choice->alike == choice->fit)
		fprintf(text, " and lowest, as all have %zu", hole->size);
	else if (choice->alike > 1)
		fprintf(text, ", and the lowest of %zu as large", choice->alike);
}

void lab_choice_say(FILE *text, enum acre_policy policy, const struct lab_change *change)
{
	size_t size = lab_block_size(policy, change->op.size);
	struct choice choice = look(change, size);

	fprintf(text, "after %zu step%s: ", change->steps, lab_plural(change->steps));
	if (choice.fit == 1 && choice.taken == choice.lowest) {
		fprintf(text, "the only hole that fits, %zu at %zu. ", choice.taken->size,
			choice.taken->offset);
		return;
	}
	fprintf(text, "of %zu holes that fit", choice.fit);
	switch (policy) {
	case ACRE_FIRST_FIT:
		if (choice.taken == choice.lowest)
			fprintf(text, ", the lowest");
		break;
	case ACRE_NEXT_FIT:
		say_next(text, &choice, change->place);
		break;
	case ACRE_WORST_FIT:
		say_extreme(text, &choice, "largest", choice.largest);
		break;
	case ACRE_BEST_FIT:
	case ACRE_BUDDY:
		say_extreme(text, &choice, "smallest", choice.smallest);
		break;
	case ACRE_GOOD_FIT:
		break;
	}
	fprintf(text, ": %zu at %zu. ", choice.taken->size, choice.taken->offset);
}
