/*
 * The trace file (man 5 acre-trace): what is written is read, and what isn't as it was written is
 * refused, with the offset. And what becomes of the notes that a program's threads took
 * (lib/recording.h).
 */
#include "support.h"

#include "gather.h"
#include "trace.h"

/* A trace in memory, in the making. */
struct file {
	char *bytes;
	size_t size;
	FILE *stream;
	struct trace_writer writer;
};

static struct file *begin(const char *program)
{
	struct file *file = calloc(1, sizeof(*file));

	ck_assert_ptr_nonnull(file);
	file->stream = open_memstream(&file->bytes, &file->size);
	ck_assert_ptr_nonnull(file->stream);
	trace_write(&file->writer, file->stream, program);
	return file;
}

static void complete(struct file *file, enum trace_end end, uint64_t code)
{
	ck_assert_int_eq(trace_end(&file->writer, end, code), 0);
	ck_assert_int_eq(fclose(file->stream), 0);
}

static void discard(struct file *file)
{
	free(file->bytes);
	free(file);
}

static void *copy_of(const void *bytes, size_t size)
{
	void *copy = malloc(size + 1);

	must(copy, "%zu bytes", size);
	return memcpy(copy, bytes, size);
}

static void must_parse(struct trace *trace, const struct file *file)
{
	struct trace_fault fault;

	must(trace_parse(trace, copy_of(file->bytes, file->size), file->size, &fault), "%lu: %s",
	     (unsigned long)fault.offset, fault.text);
}

/* Random events that make sense, of so many threads. What is live is in order of age. */
struct script {
	struct trace_event *events;
	size_t count;
	uint64_t *live;
	size_t live_count;
	uint64_t blocks;
};

static uint64_t some_size(struct dice *dice)
{
	switch (roll(dice) % 8) {
	case 0:
		return roll(dice) % 40;
	case 1:
		return roll(dice) % TRACE_SIZE;
	case 2:
		return (UINT64_C(1) << roll(dice) % 47) - roll(dice) % 2;
	default:
		return roll_log(dice, 1, 1 << 20);
	}
}

static void add_random(struct script *script, struct dice *dice, uint32_t threads)
{
	struct trace_event event = { .alignment = 1, .size = some_size(dice) };
	size_t which;

	event.kind = (enum trace_kind)(roll(dice) % (TRACE_REFUSED + 1));
	event.thread = (uint32_t)(roll(dice) % (threads < script->count ? threads : script->count + 1));
	if (!script->live_count && (event.kind == TRACE_REALLOC || event.kind == TRACE_FREE))
		event.kind = TRACE_MALLOC;
	switch (event.kind) {
	case TRACE_ALIGNED:
		event.alignment = UINT64_C(32) << roll(dice) % 30;
		/* fall through */
	case TRACE_MALLOC:
	case TRACE_CALLOC:
		event.block = script->blocks++;
		script->live[script->live_count++] = event.block;
		break;
	case TRACE_REALLOC:
		event.block = script->live[roll(dice) % script->live_count];
		event.size += event.size == 0;
		break;
	case TRACE_FREE:
		which = roll(dice) % script->live_count;
		event.block = script->live[which];
		script->live[which] = script->live[--script->live_count];
		event.size = 0;
		break;
	case TRACE_REFUSED:
		event.alignment = UINT64_C(1) << roll(dice) % 64;
		event.size = roll(dice) >> roll(dice) % 64;
		break;
	}
	script->events[script->count++] = event;
}

/* Threads are numbered as they appear. */
static void number_threads(struct script *script, uint32_t threads)
{
	uint32_t *number = calloc(threads, sizeof(*number));
	uint32_t known = 0;

	must(number, "%u threads", threads);
	for (size_t i = 0; i < script->count; i++) {
		uint32_t *mine = &number[script->events[i].thread];

		if (!*mine)
			*mine = ++known;
		script->events[i].thread = *mine - 1;
	}
	free(number);
}

static struct script random_script(size_t count, uint32_t threads)
{
	struct dice dice = dice_from(next_seed());
	struct script script = {
		.events = calloc(count, sizeof(*script.events)),
		.live = calloc(count, sizeof(*script.live)),
	};

	must(script.events && script.live, "%zu events", count);
	while (script.count < count)
		add_random(&script, &dice, threads);
	number_threads(&script, threads);
	return script;
}

static void end_script(struct script *script)
{
	free(script->events);
	free(script->live);
}

static void same_event(const struct trace_event *one, const struct trace_event *other, size_t i)
{
	must(one->kind == other->kind && one->thread == other->thread &&
		     one->block == other->block && one->size == other->size &&
		     one->alignment == other->alignment,
	     "event %zu: kind %d thread %u block %lu size %lu alignment %lu", i, one->kind,
	     one->thread, (unsigned long)one->block, (unsigned long)one->size,
	     (unsigned long)one->alignment);
}

/* The totals that a trace states are those of its events, added up another way. */
static void totals_agree(const struct trace *trace, const struct script *script)
{
	uint64_t *size = calloc(script->blocks + 1, sizeof(*size));
	uint64_t live = 0, peak = 0, peak_event = 0;

	must(size, "%lu blocks", (unsigned long)script->blocks);
	for (size_t i = 0; i < script->count; i++) {
		const struct trace_event *event = &script->events[i];

		if (event->kind == TRACE_REFUSED)
			continue;
		live += event->size - size[event->block];
		size[event->block] = event->size;
		if (live > peak) {
			peak = live;
			peak_event = i;
		}
	}
	ck_assert_uint_eq(trace->events, script->count);
	ck_assert_uint_eq(trace->blocks, script->blocks);
	ck_assert_uint_eq(trace->live_blocks, script->live_count);
	ck_assert_uint_eq(trace->live_bytes, live);
	ck_assert_uint_eq(trace->peak_bytes, peak);
	if (peak)
		ck_assert_uint_eq(trace->peak_event, peak_event);
	free(size);
}

START_TEST(what_is_written_is_read)
{
	static const struct {
		size_t events;
		uint32_t threads;
	} shapes[] = { { 0, 1 }, { 1, 1 }, { 100, 1 }, { 20000, 3 }, { 60000, 300 }, { 50000, 1 } };
	struct script script = random_script(shapes[_i].events, shapes[_i].threads);
	struct file *file = begin("a program --with 'arguments'");
	struct trace_event event;
	struct trace_walk walk;
	struct trace trace;

	for (size_t i = 0; i < script.count; i++)
		trace_add(&file->writer, &script.events[i]);
	complete(file, TRACE_KILLED, 9);
	must_parse(&trace, file);
	ck_assert_str_eq(trace.program, "a program --with 'arguments'");
	ck_assert_int_eq(trace.end, TRACE_KILLED);
	ck_assert_uint_eq(trace.code, 9);
	totals_agree(&trace, &script);
	trace_begin(&trace, &walk);
	for (size_t i = 0; i < script.count; i++) {
		must(trace_next(&walk, &event), "%zu of %zu events", i, script.count);
		same_event(&event, &script.events[i], i);
	}
	ck_assert(!trace_next(&walk, &event));
	ck_assert(!trace_next(&walk, &event));
	trace_free(&trace);
	end_script(&script);
	discard(file);
}
END_TEST

/* Those a program makes most take few bytes. */
START_TEST(common_events_are_small)
{
	struct file *file = begin("");
	struct trace trace;

	for (uint64_t i = 0; i < 30000; i++) {
		struct trace_event event = { .kind = TRACE_MALLOC, .alignment = 1, .block = i,
					     .size = i * 7 % 3000, .thread = (uint32_t)(i / 100 % 4) };

		trace_add(&file->writer, &event);
		if (i >= 200) {
			event.kind = TRACE_FREE;
			event.block = i - 200;
			event.size = 0;
			trace_add(&file->writer, &event);
		}
	}
	complete(file, TRACE_EXITED, 0);
	must_parse(&trace, file);
	ck_assert_uint_lt(file->size, trace.events * 3);
	trace_free(&trace);
	discard(file);
}
END_TEST

/* A small trace with every kind of event, in several chunks. */
static struct file *small_file(void)
{
	static const struct trace_event events[] = {
		{ TRACE_MALLOC, 0, 0, 100, 1 },	 { TRACE_CALLOC, 0, 1, 30, 1 },
		{ TRACE_ALIGNED, 1, 2, 500, 64 }, { TRACE_REALLOC, 0, 0, 70000, 1 },
		{ TRACE_REFUSED, 1, 0, 1 << 30, 1 }, { TRACE_FREE, 1, 1, 0, 1 },
		{ TRACE_MALLOC, 2, 3, 0, 1 },	 { TRACE_FREE, 0, 0, 0, 1 },
	};
	struct file *file = begin("small");

	for (size_t i = 0; i < COUNT_OF(events); i++)
		trace_add(&file->writer, &events[i]);
	complete(file, TRACE_EXITED, 0);
	return file;
}

static void must_refuse(const void *bytes, size_t size, size_t damage, const char *what)
{
	struct trace_fault fault = { .offset = UINT64_MAX };
	struct trace trace;

	must(!trace_parse(&trace, copy_of(bytes, size), size, &fault), "%s at %zu of %zu", what,
	     damage, size);
	must(fault.offset <= damage && fault.text[0], "%s at %zu: %s at %lu", what, damage,
	     fault.text, (unsigned long)fault.offset);
}

/* Cut short anywhere, it's refused. */
START_TEST(a_cut_is_refused)
{
	struct file *file = small_file();

	for (size_t size = 0; size < file->size; size++)
		must_refuse(file->bytes, size, size, "cut");
	discard(file);
}
END_TEST

/* Any byte with any other value. */
START_TEST(a_changed_byte_is_refused)
{
	struct file *file = small_file();

	for (size_t at = 0; at < file->size; at++) {
		for (int by = 1; by < 256; by++) {
			file->bytes[at] ^= (char)by;
			must_refuse(file->bytes, file->size, at, "changed");
			file->bytes[at] ^= (char)by;
		}
	}
	discard(file);
}
END_TEST

START_TEST(what_follows_the_end_is_refused)
{
	struct file *file = small_file();
	unsigned char *longer = malloc(2 * file->size);
	struct trace_fault fault;
	struct trace trace;

	memcpy(longer, file->bytes, file->size);
	longer[file->size] = 0;
	must_refuse(longer, file->size + 1, file->size, "a byte behind");
	memcpy(longer + file->size, file->bytes, file->size);
	must(!trace_parse(&trace, longer, 2 * file->size, &fault), "twice");
	ck_assert_uint_eq(fault.offset, file->size);
	discard(file);
}
END_TEST

/* Two chunks exchanged, or one left out, each whole with its checksum. */
START_TEST(chunks_keep_their_order)
{
	struct file *file = begin("order");
	const unsigned char *bytes;
	size_t begins[8], count = 0;
	char *other;

	for (uint64_t i = 0; i < 3 * TRACE_CHUNK; i++)
		trace_add(&file->writer,
			  &(struct trace_event){ TRACE_MALLOC, 0, i, i % 31, 1 });
	complete(file, TRACE_EXITED, 0);
	bytes = (const unsigned char *)file->bytes;
	for (size_t at = TRACE_HEAD; at < file->size;) {
		begins[count++] = at;
		at += TRACE_FRAME + (bytes[at + 1] | bytes[at + 2] << 8 | bytes[at + 3] << 16);
	}
	ck_assert_uint_ge(count, 5);
	begins[count] = file->size;
	ck_assert_uint_eq(begins[2] - begins[1], begins[3] - begins[2]);

	other = copy_of(bytes, file->size);
	memcpy(other + begins[1], bytes + begins[2], begins[3] - begins[2]);
	memcpy(other + begins[2], bytes + begins[1], begins[2] - begins[1]);
	must_refuse(other, file->size, begins[1], "exchanged");
	memcpy(other, bytes, begins[1]);
	memcpy(other + begins[1], bytes + begins[2], file->size - begins[2]);
	must_refuse(other, file->size - (begins[2] - begins[1]), begins[1], "left out");
	free(other);
	discard(file);
}
END_TEST

/* With the right checksums, but events that make no sense; the offset is the event's. */
START_TEST(senseless_events_are_refused)
{
	static const struct {
		struct trace_event first, second;
		const char *what;
	} cases[] = {
		{ { TRACE_MALLOC, 0, 0, 9, 1 }, { TRACE_FREE, 0, 7, 0, 1 }, "isn't live" },
		{ { TRACE_FREE, 0, 0, 0, 1 }, { TRACE_FREE, 0, 0, 0, 1 }, "isn't live" },
		{ { TRACE_FREE, 0, 0, 0, 1 }, { TRACE_REALLOC, 0, 0, 1, 1 }, "isn't live" },
		{ { TRACE_MALLOC, 0, 0, 9, 1 }, { TRACE_MALLOC, 2, 0, 9, 1 }, "out of turn" },
		{ { TRACE_MALLOC, 0, 0, 9, 1 }, { TRACE_MALLOC, 0, 0, TRACE_SIZE, 1 }, "a size" },
		{ { TRACE_MALLOC, 0, 0, 9, 1 }, { TRACE_REALLOC, 0, 0, TRACE_SIZE, 1 }, "a size" },
		{ { TRACE_MALLOC, 0, 0, 9, 1 }, { TRACE_REALLOC, 0, 0, 0, 1 }, "to nothing" },
	};
	struct file *file = begin("senseless");
	struct trace_fault fault;
	struct trace trace;

	trace_add(&file->writer, &(struct trace_event){ TRACE_MALLOC, 0, 0, 5, 1 });
	trace_add(&file->writer, &cases[_i].first);
	trace_add(&file->writer, &cases[_i].second);
	complete(file, TRACE_EXITED, 0);
	ck_assert(!trace_parse(&trace, copy_of(file->bytes, file->size), file->size, &fault));
	must(strstr(fault.text, cases[_i].what), "%s", fault.text);
	ck_assert_uint_gt(fault.offset, TRACE_HEAD + TRACE_FRAME + strlen("senseless") + 5);
	discard(file);
}
END_TEST

/* An end mark, whole with its checksum, of another trace. */
START_TEST(other_counts_are_refused)
{
	struct file *file = begin("counts");
	struct trace_fault fault;
	struct trace trace;

	trace_add(&file->writer, &(struct trace_event){ TRACE_MALLOC, 0, 0, 5, 1 });
	file->writer.events += _i == 0;
	file->writer.blocks += _i == 1;
	file->writer.threads += _i == 2;
	complete(file, TRACE_EXITED, 0);
	ck_assert(!trace_parse(&trace, copy_of(file->bytes, file->size), file->size, &fault));
	must(strstr(fault.text, "counts other events"), "%s", fault.text);
	discard(file);
}
END_TEST

/* Whatever bytes: refused or read, without a fault that a sanitizer sees. */
START_TEST(random_payloads_do_no_harm)
{
	struct dice dice = dice_from(next_seed());
	size_t accepted = 0;

	for (int i = 0; i < SCALE(20000, 2000); i++) {
		struct file *file = begin("random");
		size_t length = roll(&dice) % 40;
		struct trace_event event;
		struct trace_fault fault;
		struct trace_walk walk;
		struct trace trace;
		uint64_t events = 0;

		for (size_t k = 0; k < length; k++)
			file->writer.chunk[k] = (unsigned char)(roll(&dice) >> 20);
		file->writer.used = length;
		complete(file, TRACE_EXITED, 0);
		if (trace_parse(&trace, copy_of(file->bytes, file->size), file->size, &fault)) {
			trace_begin(&trace, &walk);
			while (trace_next(&walk, &event))
				events++;
			must(events == trace.events, "%lu", (unsigned long)events);
			accepted++;
			trace_free(&trace);
		}
		discard(file);
	}
	/* Without events there's no contradiction to the end mark. */
	ck_assert_uint_gt(accepted, 0);
}
END_TEST

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
	struct file *file = begin("notes");
	struct trace_event event;
	struct trace_walk walk;
	struct trace trace;

	ck_assert_uint_eq(gather(&file->writer, notes->head), strange);
	complete(file, TRACE_EXITED, 0);
	must_parse(&trace, file);
	trace_begin(&trace, &walk);
	for (size_t i = 0; i < count; i++) {
		must(trace_next(&walk, &event), "%zu of %zu events", i, count);
		same_event(&event, &events[i], i);
	}
	ck_assert(!trace_next(&walk, &event));
	trace_free(&trace);
	discard(file);
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
	Suite *suite = suite_create("trace");
	TCase *format = tcase_create("format");
	TCase *notes = tcase_create("notes");

	tcase_add_loop_test(format, what_is_written_is_read, 0, 6);
	tcase_add_test(format, common_events_are_small);
	tcase_add_test(format, a_cut_is_refused);
	tcase_add_test(format, a_changed_byte_is_refused);
	tcase_add_test(format, what_follows_the_end_is_refused);
	tcase_add_test(format, chunks_keep_their_order);
	tcase_add_loop_test(format, senseless_events_are_refused, 0, 7);
	tcase_add_loop_test(format, other_counts_are_refused, 0, 3);
	tcase_add_test(format, random_payloads_do_no_harm);
	suite_add_tcase(suite, format);

	tcase_add_test(notes, numbers_give_the_order);
	tcase_add_test(notes, a_place_is_reused);
	tcase_add_test(notes, a_realloc_takes_time);
	tcase_add_test(notes, large_ones_have_two_slots);
	tcase_add_test(notes, nothing_counts_from_where_room_ended);
	tcase_add_test(notes, unknown_blocks_are_left_out);
	suite_add_tcase(suite, notes);
	return run_suite(suite);
}
