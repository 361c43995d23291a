/*
 * A trace file in memory, for tests: written by tools/trace_write.c, read by tools/trace_read.c.
 */
#ifndef ACRE_TESTS_TRACE_FILE_H
#define ACRE_TESTS_TRACE_FILE_H

#include "support.h"

#include "trace.h"

struct file {
	char *bytes;
	size_t size;
	FILE *stream;
	struct trace_writer writer;
};

/* In the making; then whole, in bytes and size; then gone. */
struct file *begin_file(const char *program);
void end_file(struct file *file, enum trace_end end, uint64_t code);
void drop_file(struct file *file);

/* For trace_parse(), which keeps it or frees it. */
void *copy_of(const void *bytes, size_t size);
void must_parse(struct trace *trace, const struct file *file);

/* The i-th of each. */
void same_event(const struct trace_event *one, const struct trace_event *other, size_t i);

#endif
