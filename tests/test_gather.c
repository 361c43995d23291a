/*
 * What becomes of the notes that a program's threads took (lib/recording.h): the events of a trace, in
 * the order in which they happened.
 */
#include "trace_file.h"

#include "gather.h"

/* Notes of so many threads, a segment each. */
struct notes {
	struct recording *head;
	struct recording_slot *at[4];
};

static struct notes *new_notes(uint32_t threads)
{
	struct notes *notes = calloc(1, sizeof(*notes));
	uint64_t size = RECORDING_HEAD + threads * RECORDING_SEGMENT;

	must(notes && threads <= 4, "%u threads", threads);
	notes->head = aligned_alloc(4096, size / 4096 * 4096);
	must(notes->head, "%lu bytes", (unsigned long)size);
	memset(notes->head, 0, size);
	notes->head->size = size;
	atomic_store(&notes->head->taken, size);
	atomic_store(&notes->head->threads, threads);
	for (uint32_t i = 0; i < threads; i++)
		notes->at[i] = (struct recording_slot *)((char *)notes->head + RECORDING_HEAD +
							 i * RECORDING_SEGMENT);
	return notes;
}

static void note(struct notes *notes, unsigned thread, uint64_t number, enum recording_kind kind,
		 uint64_t address, uint64_t size)
{
	struct recording_slot *slot = notes->at[thread];

	if (!slot[0].when && ((uintptr_t)slot - RECORDING_HEAD) % RECORDING_SEGMENT ==
				     (uintptr_t)notes->head % RECORDING_SEGMENT)
		*slot++ = (struct recording_slot){ (number - 1) << 8 | RECORDING_THREAD, thread + 1 };
	*slot++ = (struct recording_slot){ number << 8 | kind, address << 16 | size };
	notes->at[thread] = slot;
}

static void note_large(struct notes *notes, unsigned thread, uint64_t number,
		       enum recording_kind kind, uint64_t address, uint64_t size, uint64_t alignment)
{
	note(notes, thread, number, kind, address, RECORDING_BEYOND);
	*notes->at[thread]++ = (struct recording_slot){ size, alignment };
}

/* They become these events, and so many make no sense. */
static void must_gather(struct notes *notes, const struct trace_event *events, size_t count,
			uint64_t strange)
{
	struct file *file = begin_file("notes");
	struct trace_event event;
	struct trace_walk walk;
	struct trace trace;

	ck_assert_uint_eq(gather(&file->writer, notes->head), strange);
	end_file(file, TRACE_EXITED, 0);
	must_parse(&trace, file);
	trace_begin(&trace, &walk);
	for (size_t i = 0; i < count; i++) {
		must(trace_next(&walk, &event), "%zu of %zu events", i, count);
		same_event(&event, &events[i], i);
	}
	ck_assert(!trace_next(&walk, &event));
	trace_free(&trace);
	drop_file(file);
	free(notes->head);
	free(notes);
}

/* Of three threads; numbered in the order in which they come to an event. */
START_TEST(numbers_give_the_order)
{
	static const struct trace_event events[] = {
		{ TRACE_MALLOC, 0, 0, 10, 1 }, { TRACE_CALLOC, 1, 1, 20, 1 },
		{ TRACE_MALLOC, 2, 2, 30, 1 }, { TRACE_FREE, 1, 0, 0, 1 },
		{ TRACE_FREE, 2, 1, 0, 1 },    { TRACE_FREE, 0, 2, 0, 1 },
	};
	struct notes *notes = new_notes(3);

	note(notes, 1, 10, RECORDING_MALLOC, 0x7f0000001000, 10);
	note(notes, 0, 12, RECORDING_CALLOC, 0x7f0000002000, 20);
	note(notes, 2, 14, RECORDING_MALLOC, 0x7f0000003000, 30);
	note(notes, 0, 15, RECORDING_FREE, 0x7f0000001000, 0);
	note(notes, 2, 16, RECORDING_FREE, 0x7f0000002000, 0);
	note(notes, 1, 17, RECORDING_FREE, 0x7f0000003000, 0);
	must_gather(notes, events, COUNT_OF(events), 0);
}
END_TEST

/* An address is one block, then another. */
START_TEST(a_place_is_reused)
{
	enum { BLOCKS = 500 };
	static struct trace_event events[2 * BLOCKS];
	struct notes *notes = new_notes(2);

	for (uint64_t i = 0; i < BLOCKS; i++) {
		unsigned thread = i % 2;
		uint64_t address = 0x550000000010 + (i % 3) * 0x100000;

		note(notes, thread, 10 + 4 * i, RECORDING_MALLOC, address, i);
		note(notes, 1 - thread, 11 + 4 * i, RECORDING_FREE, address, 0);
		events[2 * i] = (struct trace_event){ TRACE_MALLOC, thread, i, i, 1 };
		events[2 * i + 1] = (struct trace_event){ TRACE_FREE, 1 - thread, i, 0, 1 };
	}
	must_gather(notes, events, 2 * BLOCKS, 0);
}
END_TEST

/* What one leaves another may have before the first has arrived; a refused one is where it was. */
START_TEST(a_realloc_takes_time)
{
	static const struct trace_event events[] = {
		{ TRACE_MALLOC, 0, 0, 100, 1 },	  { TRACE_MALLOC, 1, 1, 90, 1 },
		{ TRACE_REALLOC, 0, 0, 200, 1 },  { TRACE_FREE, 0, 1, 0, 1 },
		{ TRACE_REFUSED, 1, 0, 60000, 1 }, { TRACE_FREE, 1, 0, 0, 1 },
	};
	struct notes *notes = new_notes(2);

	note(notes, 0, 10, RECORDING_MALLOC, 0x1000, 100);
	note(notes, 0, 11, RECORDING_LEAVES, 0x1000, 0);
	note(notes, 1, 12, RECORDING_MALLOC, 0x1000, 90);
	note(notes, 0, 13, RECORDING_ARRIVES, 0x2000, 200);
	note(notes, 0, 14, RECORDING_FREE, 0x1000, 0);
	note(notes, 1, 15, RECORDING_LEAVES, 0x2000, 0);
	note(notes, 1, 16, RECORDING_ARRIVES, 0, 60000);
	note(notes, 1, 17, RECORDING_FREE, 0x2000, 0);
	must_gather(notes, events, COUNT_OF(events), 0);
}
END_TEST

START_TEST(large_ones_have_two_slots)
{
	static const struct trace_event events[] = {
		{ TRACE_MALLOC, 0, 0, 65534, 1 },	  { TRACE_MALLOC, 0, 1, 65535, 1 },
		{ TRACE_ALIGNED, 0, 2, 5, 4096 },	  { TRACE_CALLOC, 0, 3, 1ul << 40, 1 },
		{ TRACE_REFUSED, 0, 0, UINT64_MAX, 1 },	  { TRACE_REALLOC, 0, 1, 1ul << 20, 1 },
	};
	struct notes *notes = new_notes(1);

	note(notes, 0, 10, RECORDING_MALLOC, 0x1000, 65534);
	note_large(notes, 0, 11, RECORDING_MALLOC, 0x20000, 65535, 1);
	note_large(notes, 0, 12, RECORDING_ALIGNED, 0x40000, 5, 4096);
	note_large(notes, 0, 13, RECORDING_CALLOC, 0x50000, UINT64_C(1) << 40, 1);
	note_large(notes, 0, 14, RECORDING_REFUSED, 0, UINT64_MAX, 1);
	note(notes, 0, 15, RECORDING_LEAVES, 0x20000, 0);
	note_large(notes, 0, 16, RECORDING_ARRIVES, 0x60000, 1 << 20, 1);
	must_gather(notes, events, COUNT_OF(events), 0);
}
END_TEST

/* A thread without room has missed a call: what others noted from then on doesn't fit together. */
START_TEST(nothing_counts_from_where_room_ended)
{
	static const struct trace_event events[] = { { TRACE_MALLOC, 0, 0, 10, 1 } };
	struct notes *notes = new_notes(2);

	note(notes, 0, 10, RECORDING_MALLOC, 0x1000, 10);
	atomic_store(&notes->head->full, 11);
	note(notes, 1, 13, RECORDING_MALLOC, 0x1000, 20);
	note(notes, 0, 14, RECORDING_FREE, 0x1000, 0);
	must_gather(notes, events, COUNT_OF(events), 0);
}
END_TEST

START_TEST(unknown_blocks_are_left_out)
{
	static const struct trace_event events[] = {
		{ TRACE_MALLOC, 0, 0, 10, 1 },
		{ TRACE_FREE, 0, 0, 0, 1 },
		{ TRACE_MALLOC, 0, 1, 20, 1 },
	};
	struct notes *notes = new_notes(1);

	note(notes, 0, 10, RECORDING_FREE, 0x9000, 0);
	note(notes, 0, 11, RECORDING_MALLOC, 0x1000, 10);
	note(notes, 0, 12, RECORDING_LEAVES, 0x8000, 0);
	note(notes, 0, 13, RECORDING_ARRIVES, 0x8000, 77);
	note(notes, 0, 14, RECORDING_MALLOC, 0x1000, 20);
	must_gather(notes, events, COUNT_OF(events), 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gather");
	TCase *cases = tcase_create("gather");

	tcase_add_test(cases, numbers_give_the_order);
	tcase_add_test(cases, a_place_is_reused);
	tcase_add_test(cases, a_realloc_takes_time);
	tcase_add_test(cases, large_ones_have_two_slots);
	tcase_add_test(cases, nothing_counts_from_where_room_ended);
	tcase_add_test(cases, unknown_blocks_are_left_out);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
