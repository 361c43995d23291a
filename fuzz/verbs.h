/*
 * Verbs: the operations of a play, carried out on the arenas and on the model.
 */
#ifndef FUZZ_VERBS_H
#define FUZZ_VERBS_H

#include <stdbool.h>

#include "baton.h"
#include "play.h"

/* Where a play is; of whose turn it is. */
struct game {
	unsigned calls;			/* of those that allocate or free, so far */
	unsigned land;			/* the one in use */
	unsigned worker;		/* whose turn it is */
};

extern struct game game;

extern const char *const verb_names[VERBS];

/* Carries out one operation, whose further bytes are read as it goes. */
enum baton_end verb_do(enum verb verb, unsigned varied);

/* An arena is read, and takes the place of the one with this number. */
void verb_arena(unsigned number);

/* Frees the piece; its place is empty until model_tidy(). */
void verb_free(size_t number);

/* What the OS is to refuse, and after how many; 0 for nothing. See REFUSE. */
void verb_refuse(unsigned what, unsigned after);

/* Whether the play has lasted long enough. */
bool verb_enough(void);

#endif
