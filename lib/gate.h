/*
 * Gate: who is in a grace period, for fork's sake. Of libacre-rcu.
 *
 * A child in which liburcu's locks are held by a thread that isn't there can't use RCU again. So
 * nobody of this library shall be in synchronize_rcu() at a fork: the gate counts who is, keeps
 * others out, and the fork handler waits until they are through, for no longer than a second.
 * Exception: where liburcu-bp's own handler has been called before this one, it holds the lock that
 * the worker may be waiting for, and nothing needs to be done. It has blocked all signals by then.
 *
 * The gate has a mutex of its own. Nobody takes another lock while holding it, but a thread that
 * forks, from its handler on until the fork is over.
 */
#ifndef ACRE_GATE_H
#define ACRE_GATE_H

#include <stdbool.h>

#define PATIENCE_MS	1000u	/* that anyone waits for grace periods */

/* Around a grace period. */
void gate_enter(void);
void gate_leave(void);

/*
 * Registers the fork handlers; once. may_wait tells whether grace periods can end while its thread
 * waits for them; it's called without the mutex, since bp may register the thread, and take a lock
 * for that.
 */
void gate_set_up(bool (*may_wait)(void));

#endif
