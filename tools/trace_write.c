/*
 * Trace, written: see trace.h.
 */
#include "trace.h"

#include <errno.h>
#include <string.h>

#include "crc.h"
#include "trace_code.h"

static void put_bytes(struct trace_writer *writer, const void *bytes, size_t count)
{
	if (writer->failed)
		return;
	writer->crc = crc_add(writer->crc, bytes, count);
	if (fwrite(bytes, 1, count, writer->file) == count)
		return;
	writer->failed = true;
	writer->error = errno;
}

static void little_endian(unsigned char *bytes, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(n >> 8 * i);
}

/* The payload collected so far becomes a chunk. */
static void put_chunk(struct trace_writer *writer, char kind)
{
	unsigned char head[5] = { (unsigned char)kind };
	unsigned char sum[4];
	uint32_t crc;

	little_endian(head + 1, (uint32_t)writer->used);
	put_bytes(writer, head, sizeof(head));
	put_bytes(writer, writer->chunk, writer->used);
	crc = writer->crc;
	little_endian(sum, crc);
	put_bytes(writer, sum, sizeof(sum));
	writer->crc = crc;
	writer->used = 0;
}

static void put_number(struct trace_writer *writer, uint64_t n)
{
	for (; n > 127; n >>= 7)
		writer->chunk[writer->used++] = (unsigned char)(n | 128);
	writer->chunk[writer->used++] = (unsigned char)n;
}

/* The byte that an event begins with, and what of its number doesn't fit. */
static void put_first(struct trace_writer *writer, enum trace_code code, uint64_t n)
{
	unsigned small = n < TRACE_SMALL ? (unsigned)n : TRACE_SMALL;

	writer->chunk[writer->used++] = (unsigned char)(code | small << TRACE_CODE_BITS);
	if (n >= TRACE_SMALL)
		put_number(writer, n - TRACE_SMALL);
}

void trace_write(struct trace_writer *writer, FILE *file, const char *program)
{
	static const char head[TRACE_HEAD] = TRACE_MAGIC "\x01";
	size_t length = strlen(program);

	memset(writer, 0, offsetof(struct trace_writer, chunk));
	writer->file = file;
	put_bytes(writer, head, sizeof(head));
	if (length > TRACE_CHUNK)
		length = TRACE_CHUNK;
	memcpy(writer->chunk, program, length);
	writer->used = length;
	put_chunk(writer, TRACE_INFO);
}

static void put_thread(struct trace_writer *writer, uint32_t thread)
{
	if (thread != writer->thread)
		put_first(writer, CODE_THREAD, thread);
	writer->thread = thread;
	if (thread >= writer->threads)
		writer->threads = thread + 1;
}

void trace_add(struct trace_writer *writer, const struct trace_event *event)
{
	if (writer->used + 2 * TRACE_EVENT > TRACE_CHUNK)
		put_chunk(writer, TRACE_EVENTS);
	put_thread(writer, event->thread);
	switch (event->kind) {
	case TRACE_MALLOC:
	case TRACE_CALLOC:
		put_first(writer, event->kind == TRACE_MALLOC ? CODE_MALLOC : CODE_CALLOC,
			  event->size);
		writer->blocks++;
		break;
	case TRACE_ALIGNED:
	case TRACE_REFUSED:
		put_first(writer, event->kind == TRACE_ALIGNED ? CODE_ALIGNED : CODE_REFUSED,
			  (unsigned)__builtin_ctzll(event->alignment));
		put_number(writer, event->size);
		writer->blocks += event->kind == TRACE_ALIGNED;
		break;
	case TRACE_REALLOC:
		put_first(writer, CODE_REALLOC, writer->blocks - 1 - event->block);
		put_number(writer, event->size);
		break;
	case TRACE_FREE:
		put_first(writer, CODE_FREE, writer->blocks - 1 - event->block);
		break;
	}
	writer->events++;
}

int trace_end(struct trace_writer *writer, enum trace_end end, uint64_t code)
{
	if (writer->used)
		put_chunk(writer, TRACE_EVENTS);
	put_number(writer, writer->events);
	put_number(writer, writer->blocks);
	put_number(writer, writer->threads);
	put_number(writer, (uint64_t)end);
	put_number(writer, code);
	put_chunk(writer, TRACE_END);
	if (!writer->failed && fflush(writer->file) != 0)
		return errno;
	return writer->failed ? writer->error : 0;
}
