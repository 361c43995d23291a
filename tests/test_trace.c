/*
 * The trace file (man 5 acre-trace): what is written is read, and what isn't as it was written is
 * refused, with the offset.
 */
#include "trace_file.h"

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
	struct file *file = begin_file("a program --with 'arguments'");
	struct trace_event event;
	struct trace_walk walk;
	struct trace trace;

	for (size_t i = 0; i < script.count; i++)
		trace_add(&file->writer, &script.events[i]);
	end_file(file, TRACE_KILLED, 9);
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
	drop_file(file);
}
END_TEST

/* Those a program makes most take few bytes. */
START_TEST(common_events_are_small)
{
	struct file *file = begin_file("");
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
	end_file(file, TRACE_EXITED, 0);
	must_parse(&trace, file);
	ck_assert_uint_lt(file->size, trace.events * 3);
	trace_free(&trace);
	drop_file(file);
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
	struct file *file = begin_file("small");

	for (size_t i = 0; i < COUNT_OF(events); i++)
		trace_add(&file->writer, &events[i]);
	end_file(file, TRACE_EXITED, 0);
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
	drop_file(file);
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
	drop_file(file);
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
	drop_file(file);
}
END_TEST

/* Two chunks exchanged, or one left out, each whole with its checksum. */
START_TEST(chunks_keep_their_order)
{
	struct file *file = begin_file("order");
	const unsigned char *bytes;
	size_t begins[8], count = 0;
	char *other;

	for (uint64_t i = 0; i < 3 * TRACE_CHUNK; i++)
		trace_add(&file->writer,
			  &(struct trace_event){ TRACE_MALLOC, 0, i, i % 31, 1 });
	end_file(file, TRACE_EXITED, 0);
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
	drop_file(file);
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
	struct file *file = begin_file("senseless");
	struct trace_fault fault;
	struct trace trace;

	trace_add(&file->writer, &(struct trace_event){ TRACE_MALLOC, 0, 0, 5, 1 });
	trace_add(&file->writer, &cases[_i].first);
	trace_add(&file->writer, &cases[_i].second);
	end_file(file, TRACE_EXITED, 0);
	ck_assert(!trace_parse(&trace, copy_of(file->bytes, file->size), file->size, &fault));
	must(strstr(fault.text, cases[_i].what), "%s", fault.text);
	ck_assert_uint_gt(fault.offset, TRACE_HEAD + TRACE_FRAME + strlen("senseless") + 5);
	drop_file(file);
}
END_TEST

/* An end mark, whole with its checksum, of another trace. */
START_TEST(other_counts_are_refused)
{
	struct file *file = begin_file("counts");
	struct trace_fault fault;
	struct trace trace;

	trace_add(&file->writer, &(struct trace_event){ TRACE_MALLOC, 0, 0, 5, 1 });
	file->writer.events += _i == 0;
	file->writer.blocks += _i == 1;
	file->writer.threads += _i == 2;
	end_file(file, TRACE_EXITED, 0);
	ck_assert(!trace_parse(&trace, copy_of(file->bytes, file->size), file->size, &fault));
	must(strstr(fault.text, "counts other events"), "%s", fault.text);
	drop_file(file);
}
END_TEST

/* Whatever bytes: refused or read, without a fault that a sanitizer sees. */
START_TEST(random_payloads_do_no_harm)
{
	struct dice dice = dice_from(next_seed());
	size_t accepted = 0;

	for (int i = 0; i < SCALE(20000, 2000); i++) {
		struct file *file = begin_file("random");
		size_t length = roll(&dice) % 40;
		struct trace_event event;
		struct trace_fault fault;
		struct trace_walk walk;
		struct trace trace;
		uint64_t events = 0;

		for (size_t k = 0; k < length; k++)
			file->writer.chunk[k] = (unsigned char)(roll(&dice) >> 20);
		file->writer.used = length;
		end_file(file, TRACE_EXITED, 0);
		if (trace_parse(&trace, copy_of(file->bytes, file->size), file->size, &fault)) {
			trace_begin(&trace, &walk);
			while (trace_next(&walk, &event))
				events++;
			must(events == trace.events, "%lu", (unsigned long)events);
			accepted++;
			trace_free(&trace);
		}
		drop_file(file);
	}
	/* Without events there's no contradiction to the end mark. */
	ck_assert_uint_gt(accepted, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *cases = tcase_create("trace");

	tcase_add_loop_test(cases, what_is_written_is_read, 0, 6);
	tcase_add_test(cases, common_events_are_small);
	tcase_add_test(cases, a_cut_is_refused);
	tcase_add_test(cases, a_changed_byte_is_refused);
	tcase_add_test(cases, what_follows_the_end_is_refused);
	tcase_add_test(cases, chunks_keep_their_order);
	tcase_add_loop_test(cases, senseless_events_are_refused, 0, 7);
	tcase_add_loop_test(cases, other_counts_are_refused, 0, 3);
	tcase_add_test(cases, random_payloads_do_no_harm);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
