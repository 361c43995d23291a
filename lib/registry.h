/*
 * Registry: the arenas of the process, for those who go through all of them, and for those who want
 * to know which one an address lies in.
 *
 *	arenas -> arena -> arena -> ...			under the lock, by way of acre.next
 *
 *	slab:  range | range | range | - | range | -	looked at without a lock
 *	         |
 *	         v
 *	       next slab, if there ever were more arenas at once than one holds
 *
 * acre_of() is wait-free: a pass through the ranges, of which each is read once. A range may change
 * while it's read; its version tells, and then it's passed over. That's right, because it can't be
 * the caller's: an arena that holds a block of the caller isn't created or destroyed meanwhile. So
 * nobody looks twice, and no reader waits for the creation or the end of any arena. RCU isn't needed
 * for it: ranges are copies of two words, not memory that comes and goes, and a slab stays for good.
 */
#ifndef ACRE_REGISTRY_H
#define ACRE_REGISTRY_H

#include "arena.h"

/* Puts the arena in. False if there's no room, and the OS refuses more. */
bool registry_enter(struct acre *arena);

/* Takes the arena out; false if it isn't there. */
bool registry_withdraw(struct acre *arena);

/*
 * A block was given to a call that isn't this arena's, or lies in its metadata: says which arena it
 * lies in, if any, and aborts.
 */
_Noreturn void registry_foreign(const struct acre *arena, const void *block, const char *call);

#endif
