/*
 * acre replay: plays a trace on arenas of one's own, one for each policy, and says what each made of
 * it: how large an arena it needed, how far memory was in pieces, how long it took.
 *
 * Figures go to standard output, the bar and complaints to standard error.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "commands.h"
#include "complain.h"
#include "page.h"
#include "play.h"
#include "progress.h"
#include "words.h"

#define INTERRUPTED	130	/* exit status, as of a shell */
#define POLICIES	(ACRE_GOOD_FIT + 1)
#define QUICK		0.3	/* seconds: a shorter play is timed thrice */

const char replay_usage[] =
	"usage: acre replay [OPTION]... FILE\n"
	"\n"
	"Plays a trace of 'acre run --record' on an arena for each policy, and compares\n"
	"them.\n"
	"\n"
	"  --policy LIST  first, next, best, worst, buddy, good, several of them with\n"
	"                 commas, or all, the default\n"
	"  --arena SIZE   the arenas' size, as for 'acre run'; auto, the default: for\n"
	"                 each policy the smallest that refuses nothing\n"
	"  --threads      play each thread's calls by a thread, with caches; else in one\n"
	"                 sequence, without, and so at each run alike\n"
	"  --list         play nothing, but print every call: its thread, its kind, the\n"
	"                 number of its block, its size, its alignment\n"
	"  --report FILE  write a page (HTML) that shows the heaps over time; of the\n"
	"                 files that are there, only such a page is replaced\n"
	"\n"
	"Exit status: 0; 2 for bad input; 130 if it was interrupted by Ctrl-C.";

struct request {
	const char *file;
	unsigned policies;	/* a bit for each */
	const char *arena;	/* as it was given */
	uint64_t size;		/* 0 = the smallest */
	bool threads;
	bool list;
	const char *report;	/* NULL: none */
};

/* What became of a policy. */
struct row {
	enum acre_policy policy;
	size_t arena;			/* 0 = not known */
	struct play_bounds bounds;	/* where it's to be the smallest */
	struct play_result result;
};

/* The value of an option that needs one, as "--name value" or "--name=value"; else NULL. */
static const char *option_value(const char *name, char ***argv)
{
	size_t length = strlen(name);
	const char *argument = **argv;

	if (strncmp(argument, name, length) != 0)
		return NULL;
	if (argument[length] == '=')
		return argument + length + 1;
	if (argument[length] != '\0')
		return NULL;
	if (!(*argv)[1])
		complain(BAD_INPUT, "%s needs a value: see 'acre replay --help'", name);
	++*argv;
	return **argv;
}

static void take_arena(struct request *request, const char *text)
{
	const char *wrong;

	request->arena = text;
	request->size = 0;
	if (strcmp(text, "auto") == 0)
		return;
	wrong = budget_arena(text, budget_memory(), &request->size);
	if (wrong)
		complain(BAD_INPUT, "--arena '%s' is %s; or give auto", text, wrong);
}

static void take_file(struct request *request, const char *text)
{
	if (!*text)
		complain(BAD_INPUT, "no trace: give a file of 'acre run --record'");
	if (request->file)
		complain(BAD_INPUT, "'%s' is one trace too many: '%s' is replayed alone", text,
			 request->file);
	request->file = text;
}

static void take_argument(struct request *request, char ***argv)
{
	const char *value;

	if ((value = option_value("--policy", argv))) {
		if (!words_policies(value, &request->policies))
			complain(BAD_INPUT, "--policy '%s' is " WORDS_POLICY_LIST, value);
	} else if ((value = option_value("--arena", argv))) {
		take_arena(request, value);
	} else if ((value = option_value("--report", argv))) {
		if (!*value)
			complain(BAD_INPUT, "--report: give a file for the page");
		request->report = value;
	} else if (strcmp(**argv, "--threads") == 0) {
		request->threads = true;
	} else if (strcmp(**argv, "--list") == 0) {
		request->list = true;
	} else if (strcmp(**argv, "--help") == 0 || strcmp(**argv, "-h") == 0) {
		puts(replay_usage);
		exit(EXIT_SUCCESS);
	} else if ((**argv)[0] == '-' && (**argv)[1]) {
		complain(BAD_INPUT, "unknown option '%s': see 'acre replay --help'", **argv);
	} else {
		take_file(request, **argv);
	}
}

static struct request parse(char **argv)
{
	struct request request = { .arena = "auto" };

	words_policies("all", &request.policies);
	for (; *argv; argv++) {
		if (strcmp(*argv, "--") == 0) {
			while (*++argv)
				take_file(&request, *argv);
			break;
		}
		take_argument(&request, &argv);
	}
	if (!request.file)
		complain(BAD_INPUT, "no trace: give a file of 'acre run --record'");
	if (request.list && (request.report || request.threads || request.size))
		complain(BAD_INPUT, "--list plays nothing: leave out --arena, --report and --threads");
	if (request.report && request.threads)
		complain(BAD_INPUT, "--report shows one sequence: leave out --threads");
	return request;
}

#define PLACE	32u	/* bytes for a number as text */

/* Such a place: one of several, so that as many may be printed at once. */
static char *place(void)
{
	static char places[16][PLACE];
	static unsigned turn;

	return places[turn++ % 16];
}

/* A number with a comma before each three digits. */
static const char *grouped(uint64_t n)
{
	char *text = place();
	char *at = text + PLACE - 1;
	unsigned digits = 0;

	*at = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + n % 10);
		n /= 10;
		digits++;
	} while (n);
	return at;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_trace(const struct trace *trace)
{
	printf("%s\n", trace->program);
	printf("%s call%s of %s thread%s, %s block%s\n", grouped(trace->events),
	       plural(trace->events), grouped(trace->threads), plural(trace->threads),
	       grouped(trace->blocks), plural(trace->blocks));
	printf("at most %s byte%s live, the largest block %s\n", grouped(trace->peak_bytes),
	       plural(trace->peak_bytes), grouped(trace->largest));
	if (trace->refused)
		printf("%s call%s refused when it was recorded, and left out\n",
		       grouped(trace->refused), trace->refused == 1 ? " was" : "s were");
	if (trace->end == TRACE_KILLED)
		printf("the program was killed by signal %" PRIu64 " after the last of these\n",
		       trace->code);
	if (trace->end == TRACE_CUT)
		puts("the recording ended before the program did");
}

static void print_calls(const struct trace *trace)
{
	static const char *const names[] = {
		[TRACE_MALLOC] = "malloc",   [TRACE_CALLOC] = "calloc", [TRACE_ALIGNED] = "aligned",
		[TRACE_REALLOC] = "realloc", [TRACE_FREE] = "free",	[TRACE_REFUSED] = "refused",
	};
	struct trace_event event;
	struct trace_walk walk;

	trace_begin(trace, &walk);
	while (trace_next(&walk, &event)) {
		printf("%" PRIu32 " %s", event.thread, names[event.kind]);
		if (event.kind != TRACE_REFUSED)
			printf(" #%" PRIu64, event.block);
		if (event.kind != TRACE_FREE)
			printf(" %" PRIu64, event.size);
		if (event.alignment > 1)
			printf(" %" PRIu64, event.alignment);
		putchar('\n');
	}
}

/* A number in a column of the table, without commas where they leave it no room. */
static const char *fitted(uint64_t n, size_t width)
{
	const char *text = grouped(n);
	char *plain;

	if (strlen(text) <= width)
		return text;
	plain = place();
	snprintf(plain, PLACE, "%" PRIu64, n);
	return plain;
}

/* Bytes, in 10 columns; from 10 GB on in units of 1M, rounded up. */
static const char *sized(uint64_t bytes)
{
	const char *text = fitted(bytes, 10);
	char *large;

	if (strlen(text) <= 10)
		return text;
	large = place();
	snprintf(large, PLACE, "%sM", grouped((bytes + (1 << 20) - 1) >> 20));
	return large;
}

/* At most 8 columns, up to a day. */
static const char *lasted(double seconds)
{
	char *text = place();

	if (seconds < 1)
		snprintf(text, PLACE, "%.1f ms", seconds * 1000);
	else
		snprintf(text, PLACE, "%.*f s", seconds < 1000 ? 2 : 0, seconds);
	return text;
}

static void print_head(const struct request *request)
{
	printf("played %s, ", request->threads ? "by its threads, with caches" : "in one sequence");
	if (request->size)
		printf("in an arena of %s\n\n", request->arena);
	else
		printf("each policy in the smallest arena that\nrefuses nothing, to %s\n\n",
		       request->threads ? "a 32nd" : "a page");
	printf("%-6s %10s %10s %10s %6s %6s %7s %8s %8s\n", "policy", "arena", "extent", "live",
	       "ratio", "frag", "refused", "steps", "time");
}

static void print_row(const struct row *row, const struct trace *trace)
{
	const struct play_result *result = &row->result;
	double most = trace->peak_bytes ? (double)trace->peak_bytes : 1;
	double ratio = (double)result->extent / most;
	const char *name = words_of_policy(row->policy);

	if (!row->arena && !progress_interrupted())
		printf("%-6s needs an arena of more than 1T\n", name);
	if (!row->arena)
		return;
	printf("%-6s %10s %10s %10s %6.*f %5.1f%% %7s %8s %8s\n", name, sized(row->arena),
	       sized(result->extent), sized(result->live), ratio < 100 ? 3 : 0, ratio,
	       play_fragmentation(result) * 100, fitted(result->refusals, 7),
	       fitted(result->steps, 8), lasted(result->seconds));
}

/* What the table doesn't say of buddies in an arena that's larger than it has to be. */
static void print_buddy_note(void)
{
	puts("\nbuddy: the arena is cut into powers of two, of which the small ones, at its\n"
	     "end, serve first. So the extent is nearly the arena, and frag counts cuts where\n"
	     "nothing ever lay: compare it by --arena auto.");
}

/* What is known of the policy that was being examined when the user had enough. */
static void print_interrupted(const struct row *row, const struct trace *trace)
{
	const char *name = words_of_policy(row->policy);

	if (row->arena && row->result.events) {
		print_row(row, trace);
		if (!row->result.complete)
			printf("%-6s interrupted: these hold for the first %s of the calls\n", name,
			       grouped(row->result.events));
	} else if (row->bounds.serves) {
		printf("%-6s interrupted: %s bytes are enough, %s aren't\n", name,
		       grouped(row->bounds.serves), grouped(row->bounds.refuses));
	} else {
		printf("%-6s interrupted\n", name);
	}
}

/* Whether the trace's first allocation has room; else what's said later would mean nothing. */
static void check_first_call(const struct request *request, const struct trace *trace,
			     enum acre_policy policy)
{
	const struct acre_options options = { .policy = policy, .flags = ACRE_NO_CACHE };
	struct acre *arena = acre_create(request->size, &options);
	struct trace_event event;
	struct trace_walk walk;
	void *block = NULL;

	if (!arena)
		complain(FAILED, "--arena '%s': %s", request->arena, strerror(errno));
	trace_begin(trace, &walk);
	do {
		if (!trace_next(&walk, &event)) {
			acre_destroy(arena);
			return;
		}
	} while (event.kind == TRACE_REFUSED);
	if (!play_event(arena, &block, &event))
		complain(BAD_INPUT, "--arena '%s' is too small for the trace's first call, for "
				    "%" PRIu64 " bytes, under the policy %s: give more, or auto",
			 request->arena, event.size, words_of_policy(policy));
	acre_destroy(arena);
}

/* With the shortest time of three, if they are short, in which nothing is measured. */
static void play_timed(const struct play_plan *plan, struct play_result *result)
{
	struct play_plan bare = *plan;
	struct play_result other;
	double least = 0;

	bare.measured = false;
	if (!play(plan, result))
		complain(FAILED, "an arena of %zu bytes: %s", plan->arena, strerror(errno));
	for (int round = 0; round < 3 && result->complete && least < QUICK; round++) {
		if (!play(&bare, &other) || !other.complete)
			break;
		if (round == 0 || other.seconds < least)
			least = other.seconds;
		result->seconds = least;
	}
}

/* Finds out about a policy. */
static void examine(const struct request *request, const struct trace *trace, struct row *row)
{
	struct play_plan plan = { .trace = trace,
				  .policy = row->policy,
				  .threads = request->threads,
				  .measured = true };

	progress_part(words_of_policy(row->policy));
	progress_expect(request->size ? 4 : 20);
	row->arena = request->size;
	if (!request->size && play_smallest(trace, row->policy, request->threads, &row->bounds))
		row->arena = row->bounds.serves;
	if (!row->arena)
		return;
	plan.arena = row->arena;
	progress_expect(4);
	play_timed(&plan, &row->result);
}

/* The page of those policies that are all known. */
static void report(struct target *page, const struct request *request, const struct trace *trace,
		   const struct row *rows, unsigned count)
{
	struct page_policy policies[POLICIES];
	unsigned known = 0;
	bool written;

	for (unsigned i = 0; i < count; i++)
		if (rows[i].arena && rows[i].result.complete)
			policies[known++] = (struct page_policy){ rows[i].policy, rows[i].arena,
								  rows[i].result };
	if (!known) {
		target_abandon(page);
		puts("no page is written, since no policy could be examined");
		return;
	}
	/* Those that are known go onto a page even if the others were interrupted. */
	progress_begin(1);
	progress_part("report");
	progress_expect(known);
	written = page_write(page, request->report, trace, request->arena, policies, known);
	progress_end();
	printf("\n%s: %s\n", request->report, written ? "the page is written" :
							"no page is written: interrupted");
}

int replay(char **argv)
{
	const struct request request = parse(argv);
	struct row rows[POLICIES];
	struct target page = { 0 };
	bool interrupted = false;
	struct trace trace;
	unsigned count = 0;

	trace_load(&trace, request.file);
	if (request.list) {
		print_calls(&trace);
		trace_free(&trace);
		return EXIT_SUCCESS;
	}
	for (unsigned policy = 0; policy < POLICIES; policy++) {
		if (!(request.policies & 1u << policy))
			continue;
		rows[count++] = (struct row){ .policy = (enum acre_policy)policy };
		if (request.size)
			check_first_call(&request, &trace, (enum acre_policy)policy);
	}
	if (request.report)
		page_open(&page, request.report, request.file);
	print_trace(&trace);
	print_head(&request);
	progress_begin(count);
	for (unsigned i = 0; i < count && !interrupted; i++) {
		fflush(stdout);
		examine(&request, &trace, &rows[i]);
		progress_end();
		interrupted = progress_interrupted();
		if (interrupted)
			print_interrupted(&rows[i], &trace);
		else
			print_row(&rows[i], &trace);
	}
	if (request.size && request.policies & 1u << ACRE_BUDDY && !interrupted)
		print_buddy_note();
	if (request.report)
		report(&page, &request, &trace, rows, count);
	trace_free(&trace);
	return interrupted || progress_interrupted() ? INTERRUPTED : EXIT_SUCCESS;
}
