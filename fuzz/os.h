/*
 * OS: what the library meets of the operating system, held in hand by the linker's --wrap.
 *
 * All of it is the play's own state: one thread works at a time, and a turn passes by a semaphore.
 */
#ifndef FUZZ_OS_H
#define FUZZ_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arenas lie at multiples of this. */
#define OS_ALIGN ((size_t)128 << 20)

enum os_call { OS_MPROTECT, OS_MADVISE, OS_MREMAP, OS_CALLS };

struct os {
	uint64_t clock_ms;
	unsigned busy;			/* so many locks that are tried will be busy */
	unsigned busy_met;		/* and so many were, in this operation */
	unsigned refuse[OS_CALLS];	/* the call with this number will be; 0 = none */
	unsigned refused;		/* and so many were, in this operation */
	bool creating;			/* an arena: it may ask for memory */
	unsigned asked;			/* how often memory was asked for otherwise */
};

extern struct os os;

/* As at the start of a process. */
void os_begin(void);

/* Memory for a caller's buffer, at a multiple of OS_ALIGN; never given back. */
void *os_memory(size_t bytes);

#endif
