/*
 * Trace, read: see trace.h.
 *
 * Reading verifies all: the frame of each chunk, its checksum, each event, and that the events make
 * sense: a block that is freed or reallocated was live. The walk goes through the same bytes by the
 * same decoder, and so can't fail.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "crc.h"
#include "trace_code.h"

#define DEAD		UINT64_MAX	/* in place of a block's size */
#define READ_LEAST	((size_t)1 << 16)

static bool blame(struct trace_fault *fault, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool blame(struct trace_fault *fault, uint64_t offset, const char *format, ...)
{
	va_list arguments;

	fault->offset = offset;
	va_start(arguments, format);
	vsnprintf(fault->text, sizeof(fault->text), format, arguments);
	va_end(arguments);
	return false;
}

/* A number of 7 bits a byte; false if it doesn't end before `end`, or has more than 64 bits. */
static bool number(const unsigned char **at, const unsigned char *end, uint64_t *n)
{
	*n = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		unsigned char byte = *(*at)++;

		if (shift == 63 && byte > 1)
			return false;
		*n |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

/* What an event's bytes say; the caller has seen to it that there's one. */
struct code {
	unsigned kind;
	uint64_t first;
	uint64_t then;
};

static inline bool decode(const unsigned char **at, const unsigned char *end, struct code *code)
{
	unsigned char byte = *(*at)++;
	uint64_t more = 0;

	code->kind = byte & ((1u << TRACE_CODE_BITS) - 1);
	code->first = byte >> TRACE_CODE_BITS;
	if (code->first == TRACE_SMALL) {
		if (!number(at, end, &more))
			return false;
		code->first += more;
		if (code->first < more)
			return false;
	}
	switch (code->kind) {
	case CODE_ALIGNED:
	case CODE_REALLOC:
	case CODE_REFUSED:
		return number(at, end, &code->then);
	default:
		code->then = 0;
		return code->kind <= CODE_REFUSED;
	}
}

/* Sizes of all blocks so far, for the verification. */
struct sizes {
	uint64_t *size;
	uint64_t count;
	uint64_t room;
};

static void out_of_memory(void)
{
	complain(FAILED, "out of memory for so large a trace");
}

static void grow(struct sizes *sizes)
{
	if (sizes->count < sizes->room)
		return;
	sizes->room = sizes->room ? sizes->room * 2 : 4096;
	sizes->size = realloc(sizes->size, sizes->room * sizeof(*sizes->size));
	if (!sizes->size)
		out_of_memory();
}

static void add_live(struct trace *trace, uint64_t bytes)
{
	trace->live_bytes += bytes;
	if (trace->live_bytes > trace->peak_bytes) {
		trace->peak_bytes = trace->live_bytes;
		trace->peak_event = trace->events;
	}
	if (bytes > trace->largest)
		trace->largest = bytes;
}

/* Whether the event can come next; counts it. */
static bool verify_event(struct trace *trace, struct sizes *sizes, const struct code *code,
			 uint64_t offset, struct trace_fault *fault)
{
	bool fresh = code->kind <= CODE_ALIGNED;
	uint64_t bytes = code->kind <= CODE_CALLOC ? code->first : code->then;
	uint64_t *size = NULL;

	if (code->kind == CODE_THREAD) {
		if (code->first > trace->threads)
			return blame(fault, offset, "a thread out of turn");
		trace->threads += code->first == trace->threads;
		return true;
	}
	if ((code->kind == CODE_ALIGNED || code->kind == CODE_REFUSED) && code->first > 63)
		return blame(fault, offset, "an alignment that none can have");
	if (code->kind != CODE_REFUSED && bytes >= TRACE_SIZE)
		return blame(fault, offset, "a size that no block can have");
	if (code->kind == CODE_REALLOC && bytes == 0)
		return blame(fault, offset, "a realloc to nothing, which is a free");
	if (code->kind == CODE_REALLOC || code->kind == CODE_FREE) {
		if (code->first >= sizes->count ||
		    *(size = &sizes->size[sizes->count - 1 - code->first]) == DEAD)
			return blame(fault, offset, "a block that isn't live");
		trace->live_bytes -= *size;
		trace->live_blocks--;
		*size = DEAD;
	}
	if (fresh) {
		grow(sizes);
		size = &sizes->size[sizes->count++];
	}
	if (fresh || code->kind == CODE_REALLOC) {
		*size = bytes;
		trace->live_blocks++;
		add_live(trace, bytes);
	}
	trace->refused += code->kind == CODE_REFUSED;
	trace->threads += trace->threads == 0;
	trace->events++;
	return true;
}

static bool verify_events(struct trace *trace, struct sizes *sizes, const unsigned char *at,
			  const unsigned char *end, struct trace_fault *fault)
{
	while (at < end) {
		uint64_t offset = (uint64_t)(at - trace->bytes);
		struct code code;

		if (!decode(&at, end, &code))
			return blame(fault, offset, "an event that is none");
		if (!verify_event(trace, sizes, &code, offset, fault))
			return false;
	}
	return true;
}

static bool verify_end(struct trace *trace, const struct sizes *sizes, const unsigned char *at,
		       const unsigned char *end, struct trace_fault *fault)
{
	uint64_t offset = (uint64_t)(at - trace->bytes);
	uint64_t events, blocks, threads, how;

	if (!number(&at, end, &events) || !number(&at, end, &blocks) || !number(&at, end, &threads) ||
	    !number(&at, end, &how) || !number(&at, end, &trace->code) || at != end ||
	    how > TRACE_CUT)
		return blame(fault, offset, "an end mark that is none");
	if (events != trace->events || blocks != sizes->count || threads != trace->threads)
		return blame(fault, offset, "an end mark that counts other events");
	trace->blocks = blocks;
	trace->end = (enum trace_end)how;
	return true;
}

static uint32_t little_endian(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

/* The payload of the chunk at an offset, if that is whole; crc goes on through it. */
static const unsigned char *chunk_at(const struct trace *trace, uint64_t offset, uint32_t *length,
				     uint32_t *crc, struct trace_fault *fault)
{
	const unsigned char *at = trace->bytes + offset;
	size_t left = trace->size - (size_t)offset;

	if (left == 0) {
		blame(fault, offset, "it ends here, without its end mark: it was cut short");
		return NULL;
	}
	*length = left < TRACE_FRAME ? 0 : little_endian(at + 1);
	if (*length > TRACE_CHUNK) {
		blame(fault, offset, "a chunk of %lu bytes", (unsigned long)*length);
		return NULL;
	}
	if (left < TRACE_FRAME + *length) {
		blame(fault, offset, "a chunk that isn't all there: the file was cut short");
		return NULL;
	}
	*crc = crc_add(*crc, at, 5 + *length);
	if (*crc != little_endian(at + 5 + *length)) {
		blame(fault, offset, "a chunk whose checksum is wrong");
		return NULL;
	}
	return at + 5;
}

static void take_info(struct trace *trace, const unsigned char *payload, uint32_t length)
{
	trace->program = malloc((size_t)length + 1);
	if (!trace->program)
		out_of_memory();
	memcpy(trace->program, payload, length);
	trace->program[length] = '\0';
	/* It goes to the terminal and into pages. */
	for (char *at = trace->program; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
}

static bool verify(struct trace *trace, struct sizes *sizes, struct trace_fault *fault)
{
	uint64_t offset = TRACE_HEAD;
	uint32_t crc = crc_add(0, trace->bytes, TRACE_HEAD);
	uint32_t length;

	for (;;) {
		const unsigned char *payload = chunk_at(trace, offset, &length, &crc, fault);
		unsigned char kind;
		bool good = true;

		if (!payload)
			return false;
		kind = payload[-5];
		if ((kind == TRACE_INFO) != !trace->program)
			return blame(fault, offset, "a chunk of kind %u out of place", kind);
		if (kind == TRACE_INFO)
			take_info(trace, payload, length);
		else if (kind == TRACE_EVENTS)
			good = verify_events(trace, sizes, payload, payload + length, fault);
		else if (kind == TRACE_END)
			good = verify_end(trace, sizes, payload, payload + length, fault);
		else
			return blame(fault, offset, "a chunk of kind %u, which there isn't", kind);
		if (!good)
			return false;
		offset += TRACE_FRAME + length;
		if (kind != TRACE_END)
			continue;
		if (offset != trace->size)
			return blame(fault, offset, "something behind the end mark");
		return true;
	}
}

bool trace_parse(struct trace *trace, unsigned char *bytes, size_t size, struct trace_fault *fault)
{
	static const char magic[] = TRACE_MAGIC;
	struct sizes sizes = { 0 };
	bool good;

	*trace = (struct trace){ .bytes = bytes, .size = size };
	if (size < TRACE_HEAD || memcmp(bytes, magic, sizeof(magic) - 1) != 0)
		good = blame(fault, 0, "not a trace of acre's");
	else if (bytes[TRACE_HEAD - 1] != TRACE_VERSION)
		good = blame(fault, TRACE_HEAD - 1, "version %u, and this acre reads version %u",
			     bytes[TRACE_HEAD - 1], TRACE_VERSION);
	else
		good = verify(trace, &sizes, fault);
	free(sizes.size);
	if (!good)
		trace_free(trace);
	return good;
}

static void read_error(const char *path)
{
	complain(BAD_INPUT, "%s: %s", path, strerror(errno));
}

/* All of a file, which may be a pipe. */
static unsigned char *slurp(const char *path, size_t *size)
{
	unsigned char *bytes = NULL;
	size_t room = READ_LEAST;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got;

	if (file < 0 || fstat(file, &st) != 0)
		read_error(path);
	if (S_ISREG(st.st_mode))
		room += (size_t)st.st_size;
	*size = 0;
	do {
		if (*size + READ_LEAST > room)
			room *= 2;
		bytes = realloc(bytes, room);
		if (!bytes)
			out_of_memory();
		do {
			got = read(file, bytes + *size, room - *size);
			if (got < 0 && errno != EINTR)
				read_error(path);
			*size += got > 0 ? (size_t)got : 0;
		} while (got && room - *size >= READ_LEAST);
	} while (got);
	close(file);
	return bytes;
}

void trace_load(struct trace *trace, const char *path)
{
	struct trace_fault fault;
	size_t size;
	unsigned char *bytes = slurp(path, &size);

	if (trace_parse(trace, bytes, size, &fault))
		return;
	if (fault.offset < TRACE_HEAD)
		complain(BAD_INPUT, "%s: %s: give a file of 'acre run --record'", path, fault.text);
	complain(BAD_INPUT, "%s: damaged at offset %llu: %s", path,
		 (unsigned long long)fault.offset, fault.text);
}

void trace_free(struct trace *trace)
{
	free(trace->bytes);
	free(trace->program);
	*trace = (struct trace){ 0 };
}

void trace_begin(const struct trace *trace, struct trace_walk *walk)
{
	*walk = (struct trace_walk){ .next = trace->bytes + TRACE_HEAD };
}

/* To the next bytes of an event; false if there are none. */
static inline bool reach_event(struct trace_walk *walk)
{
	while (walk->at == walk->chunk_end) {
		unsigned char kind = walk->next[0];
		uint32_t length = little_endian(walk->next + 1);

		if (kind == TRACE_END)
			return false;
		walk->at = walk->next + 5;
		walk->chunk_end = walk->at + length;
		walk->next += TRACE_FRAME + length;
		if (kind == TRACE_INFO)
			walk->at = walk->chunk_end;
	}
	return true;
}

bool trace_next(struct trace_walk *walk, struct trace_event *event)
{
	static const enum trace_kind kinds[] = {
		[CODE_MALLOC] = TRACE_MALLOC,	[CODE_CALLOC] = TRACE_CALLOC,
		[CODE_ALIGNED] = TRACE_ALIGNED, [CODE_REALLOC] = TRACE_REALLOC,
		[CODE_FREE] = TRACE_FREE,	[CODE_REFUSED] = TRACE_REFUSED,
	};
	struct code code;

	do {
		if (!reach_event(walk) || !decode(&walk->at, walk->chunk_end, &code))
			return false;
		if (code.kind == CODE_THREAD)
			walk->thread = (uint32_t)code.first;
	} while (code.kind == CODE_THREAD);

	event->kind = kinds[code.kind];
	event->thread = walk->thread;
	event->alignment = 1;
	event->block = 0;
	event->size = code.kind <= CODE_CALLOC ? code.first : code.then;
	switch (code.kind) {
	case CODE_ALIGNED:
	case CODE_REFUSED:
		event->alignment = UINT64_C(1) << code.first;
		break;
	case CODE_REALLOC:
	case CODE_FREE:
		event->block = walk->blocks - 1 - code.first;
		break;
	default:
		break;
	}
	if (code.kind <= CODE_ALIGNED)
		event->block = walk->blocks++;
	walk->event++;
	return true;
}
