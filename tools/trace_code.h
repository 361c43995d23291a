/*
 * The numbers of a trace file, for the two that write and read it; trace.h has the picture.
 */
#ifndef ACRE_TRACE_CODE_H
#define ACRE_TRACE_CODE_H

/* The kinds of chunks. */
#define TRACE_INFO	'i'
#define TRACE_EVENTS	'e'
#define TRACE_END	'z'

/* The first byte of an event: 3 bits of code, 5 of a number; as many as this, and more follows. */
#define TRACE_CODE_BITS	3
#define TRACE_SMALL	31u

enum trace_code {
	CODE_MALLOC,
	CODE_CALLOC,
	CODE_ALIGNED,
	CODE_REALLOC,
	CODE_FREE,
	CODE_THREAD,
	CODE_REFUSED,		/* 7 is none */
};

#endif
