/*
 * Recording: what a program's calls of its allocator leave for `acre run --record`, in a file that
 * both have mapped. libacre-record.so writes it as the program runs; the command, which waits for the
 * program's end, makes a trace of it. So nothing is lost when the program is killed.
 *
 *	+--------+-----------------+-----------------+-----------------+--------------------
 *	| head   | segment         | segment         | segment         | not yet handed out
 *	+--------+-----------------+-----------------+-----------------+--------------------
 *	           slot slot slot ...                  a thread writes one until it's full; what a
 *	                                               thread leaves at its end, another goes on with
 *
 * A slot is two words; zero is none. Within a segment the numbers rise, over all of them each is
 * there once at most, and a call has the numbers between which it happened:
 *
 *	frees		are numbered before the allocator is called,
 *	allocations	after it has returned,
 *	realloc		both: what leaves its place, and what arrives.
 *
 * So what one thread freed before another got it comes first, whatever the clocks say: a number is
 * taken from one atomic counter, and of two such steps the one that happens before the other is the
 * lower (C11 7.17.3, coherence).
 */
#ifndef ACRE_RECORDING_H
#define ACRE_RECORDING_H

#include <stdatomic.h>
#include <stdint.h>

#define RECORDING_VARIABLE	"ACRE_RECORD"	/* the number of the open file */
#define RECORDING_MARK		UINT64_C(0x31306472636572a8)
#define RECORDING_HEAD		4096u
#define RECORDING_SEGMENT	((uint64_t)1 << 16)
#define RECORDING_SLOTS		(RECORDING_SEGMENT / sizeof(struct recording_slot))

struct recording {
	uint64_t mark;
	uint64_t size;			/* bytes of the file, head and all */
	_Atomic uint64_t taken;		/* bytes handed out, the head among them */
	_Atomic uint32_t threads;
	_Atomic uint32_t begun;		/* the library is there */
	_Atomic uint32_t unable;	/* the program could not be run: the command has said so */
	_Alignas(64) _Atomic uint64_t number;	/* the last that was taken */
	_Alignas(64) _Atomic uint64_t full;	/* from this number on there was no room; 0 = there was */
};

enum recording_kind {
	RECORDING_NONE,
	RECORDING_MALLOC,
	RECORDING_CALLOC,
	RECORDING_ALIGNED,
	RECORDING_FREE,
	RECORDING_LEAVES,	/* realloc, before: the old address */
	RECORDING_ARRIVES,	/* realloc, after: the new one; 0 = it was refused */
	RECORDING_REFUSED,
	RECORDING_THREAD,	/* `what` is the thread whose slots follow */
};

struct recording_slot {
	uint64_t when;		/* number << 8 | kind; written last */
	uint64_t what;		/* address << 16 | size; a size of 65535 means: see the next slot, */
};				/* which has the size first, then the alignment */

#define RECORDING_BEYOND	UINT64_C(0xffff)

#endif
