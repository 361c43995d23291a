/*
 * Trace: what a program asked of its allocator, call by call, in one order; and the file of it.
 *
 *	+-------+---------+------+--------+--------+-----+
 *	| magic | version | info | events | events | end |		man 5 acre-trace says it all
 *	+-------+---------+------+--------+--------+-----+
 *	  8       1         a chunk each: kind 1, length 4, payload, checksum 4
 *
 * A chunk's checksum goes on from the one before, so that none can be changed, exchanged or left
 * out unseen. The order of events is one in which the calls can have happened: no block is freed
 * before it is allocated. Blocks are numbered as they are allocated, from 0; a reallocated one keeps
 * its number. Threads are numbered in the order of their first events.
 *
 * An event is a byte and up to two numbers. The byte has the kind (of the file, not enum trace_kind)
 * in its low 3 bits and a number in the high 5; where the number is 31 or more, they are 31, and what's
 * beyond follows: 7 bits a byte, the lowest first, all but the last with the high bit set.
 *
 *	malloc, calloc	size
 *	aligned		log2(alignment), then: size		The numbers after "then" have no part in
 *	realloc		distance, then: size			the first byte. A distance is that from
 *	free		distance				the block allocated last, which has 0.
 *	thread		number of whose events follow
 *	refused		log2(alignment), then: size
 *
 * A trace is read whole, and every event verified, before anything is made of it: what goes through
 * it later needs to expect no errors. Nothing here is for several threads at once, but that any
 * number may walk through a trace.
 */
#ifndef ACRE_TRACE_H
#define ACRE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_MAGIC	"\x8a" "ACRE\r\n\x1a"
#define TRACE_VERSION	1
#define TRACE_HEAD	9u			/* bytes of both */
#define TRACE_CHUNK	((size_t)1 << 16)	/* most bytes in a payload */
#define TRACE_FRAME	9u			/* bytes of a chunk beside its payload */
#define TRACE_EVENT	21u			/* most bytes of an event */
#define TRACE_SIZE	((uint64_t)1 << 47)	/* a block that was allocated is smaller */

enum trace_kind {
	TRACE_MALLOC,
	TRACE_CALLOC,
	TRACE_ALIGNED,
	TRACE_REALLOC,
	TRACE_FREE,
	TRACE_REFUSED,		/* the program got NULL: nothing changed */
};

struct trace_event {
	enum trace_kind kind;
	uint32_t thread;
	uint64_t block;		/* not of TRACE_REFUSED */
	uint64_t size;		/* not of TRACE_FREE */
	uint64_t alignment;	/* of TRACE_ALIGNED and TRACE_REFUSED: a power of two; else 1 */
};

/* How the recorded program ended; the values are those of the file. */
enum trace_end {
	TRACE_EXITED,		/* code is its exit status */
	TRACE_KILLED,		/* code is the signal */
	TRACE_CUT,		/* it went on unrecorded, for want of room on disk */
};

/* Writes a trace. Its members are private. */
struct trace_writer {
	FILE *file;
	bool failed;		/* errno was in error */
	int error;
	uint32_t crc;
	uint64_t events;
	uint64_t blocks;
	uint32_t threads;
	uint32_t thread;	/* of the events that follow now */
	size_t used;
	unsigned char chunk[TRACE_CHUNK];
};

/* Begins a trace of this program (its command line, or what else tells of it) on an open file. */
void trace_write(struct trace_writer *writer, FILE *file, const char *program);

/* Adds an event. The caller sees to it that it's one which can come next. */
void trace_add(struct trace_writer *writer, const struct trace_event *event);

/* Ends the trace and flushes the file. 0, or the errno of what failed since trace_write(). */
int trace_end(struct trace_writer *writer, enum trace_end end, uint64_t code);

/* A trace, read and verified. */
struct trace {
	unsigned char *bytes;	/* the file */
	size_t size;
	char *program;
	uint64_t events;
	uint64_t blocks;
	uint64_t threads;
	uint64_t refused;	/* events of TRACE_REFUSED */
	uint64_t live_blocks;	/* at the end, never freed */
	uint64_t live_bytes;
	uint64_t peak_bytes;	/* the most bytes, as asked for, that were live at once, */
	uint64_t peak_event;	/* after the event of this number; the first, if there are several */
	uint64_t largest;	/* request */
	enum trace_end end;
	uint64_t code;
};

/* What is wrong with a file. */
struct trace_fault {
	uint64_t offset;
	char text[160];
};

/*
 * Reads a trace from memory, which it keeps and frees. False, with the fault, if it's damaged or
 * none; the memory is freed then, too.
 */
bool trace_parse(struct trace *trace, unsigned char *bytes, size_t size, struct trace_fault *fault);

/* The same of a file. What can't be read, or isn't a trace, ends the process with a line, status 2. */
void trace_load(struct trace *trace, const char *path);

void trace_free(struct trace *trace);

/* A place in a trace. Its members are private, but for event. */
struct trace_walk {
	const unsigned char *at;
	const unsigned char *chunk_end;
	const unsigned char *next;	/* chunk */
	uint64_t event;		/* the number of the one that comes next */
	uint64_t blocks;
	uint32_t thread;
};

void trace_begin(const struct trace *trace, struct trace_walk *walk);

/* The next event; false at the end. */
bool trace_next(struct trace_walk *walk, struct trace_event *event);

#endif
