/*
 * acre/rcu.h: free after a grace period, for users of liburcu (https://liburcu.org).
 *
 * Link -lacre-rcu (pkg-config acre-rcu) beside -lacre and the liburcu flavour of your own. As with
 * <urcu/rculfhash.h>, include the flavour's header first, so that its names are mapped; then
 * acre_free_rcu() waits for grace periods of that flavour:
 *
 *	#include <urcu.h>		(memb; or <urcu-mb.h>, <urcu-bp.h>, <urcu-qsbr.h>, or
 *	#include <acre/rcu.h>		 <urcu/urcu-....h> after #define URCU_API_MAP)
 *
 *	old = rcu_xchg_pointer(&shared, new);
 *	acre_free_rcu(arena, old);
 *
 * The block needs no rcu_head, nothing in it is written before the grace period has ended, and 4
 * bytes of the arena are all that's needed to remember it. With acre_default() as the arena it's for
 * blocks of malloc in a program that runs on libacre-malloc.so.
 *
 * A worker thread waits for the grace periods: one for each flavour that an arena is used with. It
 * starts at the first use, takes no signals, is no reader, and ends in acre_destroy().
 */
#ifndef ACRE_RCU_H
#define ACRE_RCU_H

#include <acre/acre.h>
#include <urcu/flavor.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * acre_free() of a block once a grace period of this flavour has passed, which begins after the
 * call. NULL is nothing. Keeps errno.
 *
 * Any thread may call it, registered as a reader or not, in a read-side section or not. The block
 * must be live, and nobody may find it from now on; who found it before may read it until the end of
 * their read-side section. To hand it in or to free it again aborts with a line.
 *
 * What waits is bounded by acre_options.rcu_bytes. Beyond that, a call begins a grace period at
 * once, and waits, up to a second, until enough is free; but not in a read-side section of the
 * flavour, nor, with qsbr, in a thread that's online. There, and after that second as long as the
 * same grace period goes on, more may wait.
 *
 * The common case is a few stores, without a lock; each 64th call takes one, and frees up to 63
 * blocks whose grace period has passed. A block above 1,032 bytes takes a lock each.
 */
void acre_free_rcu_flavor(struct acre *arena, void *block, const struct rcu_flavor_struct *flavor);

#ifdef URCU_API_MAP
/* The same with the flavour whose header was included before this one. */
static inline void acre_free_rcu(struct acre *arena, void *block)
{
	acre_free_rcu_flavor(arena, block, &rcu_flavor);
}
#endif

/*
 * Waits until all blocks of the arena are free that were handed in before the call, by any thread and
 * for any flavour.
 *
 * Returns 0; or -1 with errno EDEADLK, where the caller is in a read-side section of a flavour that
 * the arena is used with: then nothing was waited for. A qsbr thread is offline meanwhile: the call
 * is a quiescent state.
 *
 * An allocation that finds the arena full makes the worker hurry, and waits for it in the same way
 * before it returns NULL.
 *
 * acre_destroy() waits for the workers' last grace periods, and in a read-side section returns -1
 * with EDEADLK. Blocks that still wait go with the arena.
 *
 * Fork waits, up to a second, for grace periods that are in progress, unless the caller is a reader.
 * In the child, what waited goes on waiting, and the next hand-in starts a worker. What liburcu asks
 * of a program that forks without exec remains: with bp, its three fork handlers; with the others,
 * that no thread be registered.
 */
int acre_rcu_barrier(struct acre *arena);

#ifdef __cplusplus
}
#endif

#endif
