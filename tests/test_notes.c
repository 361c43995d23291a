/*
 * The recorder (lib/record.c), with an allocator behind it that lets other threads in at the worst
 * moments: a block that one thread frees is another's before free() has returned.
 */
#include "support.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gather.h"
#include "trace.h"

/* What the recorder exports has names of its own here, and finds the allocator below. */
static void *behind(const char *name);

#define dlsym(handle, name) behind(name)
#define start start_notes
#define malloc noted_malloc
#define free noted_free
#define calloc noted_calloc
#define realloc noted_realloc
#define reallocarray noted_reallocarray
#define aligned_alloc noted_aligned_alloc
#define memalign noted_memalign
#define posix_memalign noted_posix_memalign
#define valloc noted_valloc
#define pvalloc noted_pvalloc
#define cfree noted_cfree
#define free_sized noted_free_sized
#define free_aligned_sized noted_free_aligned_sized
void *noted_malloc(size_t size);
void noted_free(void *block);
void *noted_calloc(size_t count, size_t size);
void *noted_realloc(void *block, size_t size);
void *noted_reallocarray(void *block, size_t count, size_t size);
void *noted_aligned_alloc(size_t alignment, size_t size);
void *noted_memalign(size_t alignment, size_t size);
int noted_posix_memalign(void **result, size_t alignment, size_t size);
void *noted_valloc(size_t size);
void *noted_pvalloc(size_t size);
#include "../lib/record.c"
#undef dlsym
#undef start
#undef malloc
#undef free
#undef calloc
#undef realloc
#undef reallocarray
#undef aligned_alloc
#undef memalign
#undef posix_memalign
#undef valloc
#undef pvalloc

/* ---- The allocator: three places, and what happens meanwhile ---- */

static char places[3][64] __attribute__((aligned(64)));
static void *gives;			/* by the next malloc or realloc */
static void (*_Atomic meanwhile)(void);	/* in the midst of the next call; once */

static void let_in(void)
{
	void (*action)(void) = atomic_load(&meanwhile);

	if (!action)
		return;
	atomic_store(&meanwhile, NULL);
	action();
}

static void *behind_malloc(size_t size)
{
	(void)size;
	let_in();
	return gives;
}

static void behind_free(void *block)
{
	(void)block;
	let_in();
}

static void *behind_realloc(void *block, size_t size)
{
	(void)block;
	return behind_malloc(size);
}

/* Of the other calls, it knows which was the last. */
static const char *called;

static void *behind_calloc(size_t count, size_t size)
{
	called = "calloc";
	return count && size ? gives : NULL;
}

static void *behind_reallocarray(void *block, size_t count, size_t size)
{
	(void)block;
	called = "reallocarray";
	return count && size ? gives : NULL;
}

static void *behind_aligned(size_t alignment, size_t size)
{
	called = "aligned";
	return alignment && size ? gives : NULL;
}

static int behind_posix_memalign(void **result, size_t alignment, size_t size)
{
	called = "posix_memalign";
	*result = gives;
	return alignment && size ? 0 : ENOMEM;
}

static void *behind_valloc(size_t size)
{
	called = "valloc";
	return size ? gives : NULL;
}

static void behind_free_sized(void *block, size_t size)
{
	called = size ? "free_sized" : "";
	behind_free(block);
}

static void behind_free_aligned_sized(void *block, size_t alignment, size_t size)
{
	called = alignment && size ? "free_aligned_sized" : "";
	behind_free(block);
}

static const char *missing = "";	/* what it doesn't have */

static void *behind(const char *name)
{
	static const struct {
		const char *name;
		void (*function)(void);
	} others[] = {
		{ "calloc", (void (*)(void))behind_calloc },
		{ "reallocarray", (void (*)(void))behind_reallocarray },
		{ "aligned_alloc", (void (*)(void))behind_aligned },
		{ "memalign", (void (*)(void))behind_aligned },
		{ "posix_memalign", (void (*)(void))behind_posix_memalign },
		{ "valloc", (void (*)(void))behind_valloc },
		{ "pvalloc", (void (*)(void))behind_valloc },
		{ "free_sized", (void (*)(void))behind_free_sized },
		{ "free_aligned_sized", (void (*)(void))behind_free_aligned_sized },
	};

	if (strcmp(name, missing) == 0)
		return NULL;
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (strcmp(name, others[i].name) == 0)
			return (void *)(uintptr_t)others[i].function;
	if (strcmp(name, "malloc") == 0)
		return (void *)(uintptr_t)behind_malloc;
	if (strcmp(name, "free") == 0)
		return (void *)(uintptr_t)behind_free;
	if (strcmp(name, "realloc") == 0)
		return (void *)(uintptr_t)behind_realloc;
	return (void *)(uintptr_t)abort;
}

/* ---- Notes ---- */

/* Room for so many segments. */
static void begin_notes(unsigned segments)
{
	struct recording head = { .mark = RECORDING_MARK,
				  .size = RECORDING_HEAD + segments * RECORDING_SEGMENT,
				  .taken = RECORDING_HEAD };
	int file = memfd_create("notes", 0);
	char number[16];

	must(file >= 0 && ftruncate(file, (off_t)head.size) == 0 &&
		     pwrite(file, &head, sizeof(head), 0) == sizeof(head), "%d", errno);
	snprintf(number, sizeof(number), "%d", file);
	setenv(RECORDING_VARIABLE, number, 1);
	start_notes();
	must(recording_now() && atomic_load(&notes->begun), "no notes are taken");
	must(fcntl(file, F_GETFD) == -1, "the file is open still");
}

/* What was noted makes sense, and is so many calls; they become a trace. */
static void must_make_sense(struct trace *trace, uint64_t calls)
{
	struct trace_writer *writer = malloc(sizeof(*writer));
	struct trace_fault fault;
	size_t size;
	char *bytes;
	FILE *file = open_memstream(&bytes, &size);

	must(writer && file, "no memory");
	trace_write(writer, file, "notes");
	ck_assert_uint_eq(gather(writer, notes), 0);
	must(trace_end(writer, TRACE_EXITED, 0) == 0 && fclose(file) == 0, "no trace");
	must(trace_parse(trace, (unsigned char *)bytes, size, &fault), "%s", fault.text);
	ck_assert_uint_eq(trace->events, calls);
	free(writer);
}

/* Another thread, which does all of it before this one goes on. */
static void by_another(void *(*body)(void *))
{
	finish(start(body, NULL));
}

static void *gets_the_first(void *unused)
{
	gives = places[0];
	must(noted_malloc(20) == places[0], "another block");
	return unused;
}

static void *frees_the_first(void *unused)
{
	noted_free(places[0]);
	return unused;
}

static void another_gets_it(void)
{
	by_another(gets_the_first);
}

static void another_frees_it(void)
{
	by_another(frees_the_first);
}

/* While free() runs, the block is another's. */
START_TEST(a_free_comes_first)
{
	struct trace trace;

	begin_notes(8);
	gives = places[0];
	noted_malloc(10);
	meanwhile = another_gets_it;
	noted_free(places[0]);
	must_make_sense(&trace, 3);
	ck_assert_uint_eq(trace.live_bytes, 20);
	trace_free(&trace);
}
END_TEST

/* While malloc() runs, another frees the block that it will return. */
START_TEST(an_allocation_comes_last)
{
	struct trace trace;

	begin_notes(8);
	gives = places[0];
	noted_malloc(10);
	meanwhile = another_frees_it;
	must(noted_malloc(30) == places[0], "another block");
	must_make_sense(&trace, 3);
	ck_assert_uint_eq(trace.live_bytes, 30);
	trace_free(&trace);
}
END_TEST

static void another_gets_what_leaves(void)
{
	by_another(gets_the_first);
	gives = places[1];
}

/* While realloc() runs, the place that it left is another's. */
START_TEST(a_realloc_leaves_before)
{
	struct trace trace;

	begin_notes(8);
	gives = places[0];
	noted_malloc(10);
	meanwhile = another_gets_what_leaves;
	must(noted_realloc(places[0], 50) == places[1], "another block");
	noted_free(places[0]);
	must_make_sense(&trace, 4);
	ck_assert_uint_eq(trace.live_bytes, 50);
	trace_free(&trace);
}
END_TEST

/* While it runs, another frees the place that it will take. */
START_TEST(a_realloc_arrives_after)
{
	struct trace trace;

	begin_notes(8);
	gives = places[0];
	noted_malloc(10);
	gives = places[1];
	noted_malloc(11);
	gives = places[0];
	meanwhile = another_frees_it;
	must(noted_realloc(places[1], 60) == places[0], "another block");
	must_make_sense(&trace, 4);
	ck_assert_uint_eq(trace.live_bytes, 60);
	trace_free(&trace);
}
END_TEST

/* ---- The counter, and room ---- */

#define THREADS 4
#define CALLS	SCALE(400000, 10000)

static pthread_barrier_t together;

static void *frees_often(void *unused)
{
	pthread_barrier_wait(&together);
	for (int i = 0; i < CALLS; i++)
		noted_free(places[2]);
	return unused;
}

static uint64_t count_slots(void)
{
	const struct recording_slot *slots =
		(const struct recording_slot *)((const char *)notes + RECORDING_HEAD);
	uint64_t count = 0;

	for (uint64_t i = 0; i < (notes->size - RECORDING_HEAD) / sizeof(*slots); i++)
		count += slots[i].when != 0;
	return count;
}

/* No number is taken twice: there are as many as notes. */
START_TEST(numbers_are_unique)
{
	pthread_t threads[THREADS];
	uint64_t last;

	begin_notes(THREADS * (unsigned)(CALLS / RECORDING_SLOTS + 2));
	pthread_barrier_init(&together, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		threads[i] = start(frees_often, NULL);
	for (int i = 0; i < THREADS; i++)
		finish(threads[i]);
	last = atomic_load(&notes->number);
	ck_assert_uint_gt(last, (uint64_t)THREADS * CALLS);
	ck_assert_uint_eq(count_slots(), last);
	ck_assert_uint_eq(atomic_load(&notes->full), 0);
}
END_TEST

/* Full, it stops, and all that was noted before makes sense. */
START_TEST(room_may_end)
{
	struct trace trace;
	uint64_t pairs = 0;

	begin_notes(2);
	gives = places[0];
	while (recording_now()) {
		noted_malloc(70000);
		noted_free(places[0]);
		pairs++;
	}
	/* Three slots a pair, and one at each segment's begin. */
	ck_assert_uint_gt(atomic_load(&notes->full), 0);
	ck_assert_uint_ge(pairs, 2 * (RECORDING_SLOTS - 4) / 3);
	must_make_sense(&trace, pairs * 2 - 1);
	trace_free(&trace);
}
END_TEST

static void *one_pair(void *unused)
{
	gives = places[0];
	noted_malloc(5);
	noted_free(places[0]);
	return unused;
}

/* A segment that a thread has left serves the next one. */
START_TEST(segments_are_handed_on)
{
	struct trace trace;

	begin_notes(2);
	for (int i = 0; i < 500; i++)
		by_another(one_pair);
	must_make_sense(&trace, 1000);
	ck_assert_uint_eq(trace.threads, 500);
	trace_free(&trace);
}
END_TEST

/*
 * Any call may be a program's first, before the library's constructor ran: then it looks for the
 * allocator itself.
 */
static void first_malloc(void)
{
	must(noted_malloc(5) == gives, "malloc");
}

static void first_free(void)
{
	noted_free(places[0]);
}

static void first_cfree(void)
{
	noted_cfree(places[0]);
}

static void first_free_sized(void)
{
	noted_free_sized(places[0], 5);
}

static void first_free_aligned_sized(void)
{
	noted_free_aligned_sized(places[0], 64, 5);
}

static void first_calloc(void)
{
	must(noted_calloc(5, 5) == gives, "calloc");
}

static void first_realloc(void)
{
	must(noted_realloc(places[0], 50) == gives, "realloc");
}

static void first_reallocarray(void)
{
	must(noted_reallocarray(places[0], SIZE_MAX, 3) == gives, "reallocarray");
}

static void first_aligned_alloc(void)
{
	must(noted_aligned_alloc(64, 5) == gives, "aligned_alloc");
}

static void first_memalign(void)
{
	must(noted_memalign(50, 5) == gives, "memalign");
}

static void first_posix_memalign(void)
{
	void *block = NULL;

	must(noted_posix_memalign(&block, 64, 5) == 0 && block == gives, "posix_memalign");
}

static void first_valloc(void)
{
	must(noted_valloc(5) == gives, "valloc");
}

static void first_pvalloc(void)
{
	must(noted_pvalloc(5) == gives, "pvalloc");
}

static const struct {
	void (*call)(void);
	const char *called;		/* NULL: one of the three that do more */
	uint64_t slots;			/* that are noted of it */
} firsts[] = {
	{ first_malloc, NULL, 1 },
	{ first_free, NULL, 1 },
	{ first_cfree, NULL, 1 },
	{ first_free_sized, "free_sized", 1 },
	{ first_free_aligned_sized, "free_aligned_sized", 1 },
	{ first_calloc, "calloc", 1 },
	{ first_realloc, NULL, 2 },
	{ first_reallocarray, "reallocarray", 0 },
	{ first_aligned_alloc, "aligned", 1 },
	{ first_memalign, "aligned", 1 },
	{ first_posix_memalign, "posix_memalign", 1 },
	{ first_valloc, "valloc", 1 },
	{ first_pvalloc, "valloc", 1 },
};

START_TEST(any_call_may_be_the_first)
{
	memset(&next, 0, sizeof(next));
	gives = places[1];
	firsts[_i].call();
	must(next.noted_malloc, "the allocator isn't found");
	ck_assert_ptr_eq(firsts[_i].called ? called : NULL, firsts[_i].called);
	if (firsts[_i].called)
		ck_assert_str_eq(called, firsts[_i].called);
	begin_notes(1);
	firsts[_i].call();
	/* And one at the segment's begin. */
	ck_assert_uint_eq(atomic_load(&notes->number), firsts[_i].slots ? firsts[_i].slots + 1 : 0);
}
END_TEST

static void begin_without(void *name)
{
	missing = name;
	memset(&next, 0, sizeof(next));
	noted_malloc(5);
}

START_TEST(an_allocator_may_lack_a_call)
{
	struct outcome outcome;

	in_child(&outcome, begin_without, (void *)(uintptr_t)"pvalloc", 20);
	must(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 126, "%x",
	     (unsigned)outcome.status);
	ck_assert_uint_eq(outcome.lines, 1);
	must(strstr(outcome.text, "libacre-record.so has pvalloc"), "%s", outcome.text);
}
END_TEST

/* The variable may be anything; and the file too. */
START_TEST(other_files_are_left_alone)
{
	static const struct recording heads[] = {
		{ .mark = RECORDING_MARK, .size = RECORDING_HEAD },	/* the size is another */
		{ .mark = RECORDING_MARK + 1, .size = RECORDING_HEAD + RECORDING_SEGMENT },
	};
	int file = memfd_create("other", 0);
	char number[16];

	must(file >= 0, "%d", errno);
	snprintf(number, sizeof(number), "%d", file);
	if (_i < 2) {
		must(ftruncate(file, RECORDING_HEAD + RECORDING_SEGMENT) == 0 &&
			     pwrite(file, &heads[_i], sizeof(heads[_i]), 0) == sizeof(heads[_i]),
		     "%d", errno);
		setenv(RECORDING_VARIABLE, number, 1);
	} else if (_i == 2) {
		/* Empty. */
		setenv(RECORDING_VARIABLE, number, 1);
	} else if (_i == 3) {
		/* No file. */
		close(file);
		setenv(RECORDING_VARIABLE, number, 1);
	} else if (_i == 4) {
		must(dup2(open("/dev/null", O_RDONLY), file) == file, "%d", errno);
		setenv(RECORDING_VARIABLE, number, 1);
	} else {
		unsetenv(RECORDING_VARIABLE);
	}
	start_notes();
	ck_assert(!recording_now());
	ck_assert_ptr_null(notes);
	must((_i == 3) == (fcntl(file, F_GETFD) == -1), "the file was closed");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notes");
	TCase *order = tcase_create("order");

	tcase_add_test(order, a_free_comes_first);
	tcase_add_test(order, an_allocation_comes_last);
	tcase_add_test(order, a_realloc_leaves_before);
	tcase_add_test(order, a_realloc_arrives_after);
	tcase_add_test(order, numbers_are_unique);
	tcase_add_test(order, room_may_end);
	tcase_add_test(order, segments_are_handed_on);
	tcase_add_loop_test(order, any_call_may_be_the_first, 0, COUNT_OF(firsts));
	tcase_add_test(order, an_allocator_may_lack_a_call);
	tcase_add_loop_test(order, other_files_are_left_alone, 0, 6);
	suite_add_tcase(suite, order);
	return run_suite(suite);
}
