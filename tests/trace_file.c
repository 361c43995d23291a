/*
 * A trace file in memory: see trace_file.h.
 */
#include "trace_file.h"

struct file *begin_file(const char *program)
{
	struct file *file = calloc(1, sizeof(*file));

	ck_assert_ptr_nonnull(file);
	file->stream = open_memstream(&file->bytes, &file->size);
	ck_assert_ptr_nonnull(file->stream);
	trace_write(&file->writer, file->stream, program);
	return file;
}

void end_file(struct file *file, enum trace_end end, uint64_t code)
{
	ck_assert_int_eq(trace_end(&file->writer, end, code), 0);
	ck_assert_int_eq(fclose(file->stream), 0);
}

void drop_file(struct file *file)
{
	free(file->bytes);
	free(file);
}

void *copy_of(const void *bytes, size_t size)
{
	void *copy = malloc(size + 1);

	must(copy, "%zu bytes", size);
	return memcpy(copy, bytes, size);
}

void must_parse(struct trace *trace, const struct file *file)
{
	struct trace_fault fault;

	must(trace_parse(trace, copy_of(file->bytes, file->size), file->size, &fault), "%lu: %s",
	     (unsigned long)fault.offset, fault.text);
}

void same_event(const struct trace_event *one, const struct trace_event *other, size_t i)
{
	must(one->kind == other->kind && one->thread == other->thread &&
		     one->block == other->block && one->size == other->size &&
		     one->alignment == other->alignment,
	     "event %zu: kind %d thread %u block %lu size %lu alignment %lu", i, one->kind,
	     one->thread, (unsigned long)one->block, (unsigned long)one->size,
	     (unsigned long)one->alignment);
}
