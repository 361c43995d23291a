/*
 * Baton: threads that take turns, so that a play is the same each time.
 *
 * Worker 0 is the caller itself, and never ends. The others begin when they first have a turn. All
 * wait, but for the one that has the baton; a semaphore carries it, and with it all the play's
 * state.
 *
 *	caller	post go[k] ... wait back[k]          post go[k] ... join
 *	worker        wait, works, post back, wait .... wait, works, ends
 *
 * A worker that leaves late ends its function, lets the library's destructor of thread-specific
 * data run, and takes further turns in a destructor of our own, which comes after that. One that
 * leaves last does so in the last round of destructors that there is: an arena that it first uses
 * then isn't told of its end.
 */
#ifndef FUZZ_BATON_H
#define FUZZ_BATON_H

#include <stdbool.h>

#include "play.h"

enum baton_end { BATON_BACK, BATON_EXIT, BATON_LATE, BATON_LAST };

/* What a worker does in its turn; how it ends. */
typedef enum baton_end baton_turn(unsigned worker);

/* One turn of this worker, in its own thread. */
void baton_hand(unsigned worker, baton_turn *turn);

bool baton_alive(unsigned worker);

/* Whether it has left last, and so may have ended without a word. */
bool baton_left_last(unsigned worker);

/* Before anything else, once in a process. */
void baton_setup(void);

#endif
