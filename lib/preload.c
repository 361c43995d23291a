/*
 * The drop-in: libacre-malloc.so, malloc and its family on one arena.
 *
 * It's a thin front on libacre.so. The fast paths are compiled in here and use the thread's cache
 * directly; all else goes through the public API. The C++ operators aren't here: libstdc++'s call
 * malloc, and a program's own must keep working.
 *
 * The first call creates the arena, mostly before main and with one thread:
 *
 *	ACRE_ARENA	its size: bytes, K, M, G, T, or N% of memory; default: the memory that the
 *			process may use. Reserved, not committed.
 *	ACRE_STATS	if 1, statistics on stderr when the process exits
 *	ACRE_NO_PURGE	if 1, free pages stay resident
 *	ACRE_POLICY	first (the default), next, best, worst, buddy or good
 *	ACRE_GUARDS	canaries, fill, quarantine, random, pages, several with commas, or all
 *	ACRE_FAIL_AT	for tests: N, the number of a request that is refused; N+, it and all after it
 */
#include <acre/acre.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "budget.h"
#include "private.h"
#include "report.h"
#include "words.h"

#define PUBLIC __attribute__((visibility("default")))

static bool is_on(const char *name)
{
	const char *value = getenv(name);

	return value && strcmp(value, "1") == 0;
}

/* Ends a process that can't begin: one line, and the status of a usage error. */
static _Noreturn void give_up(const char *setting, const char *text, const char *advice)
{
	struct line line = { 0 };

	line_text(&line, setting);
	line_text(&line, text);
	line_text(&line, ": ");
	line_text(&line, advice);
	report(&line);
	_exit(2);
}

/*
 * Where statistics go at the end: to what stderr is now, by a copy of it, since many programs close
 * theirs as they exit; if the program closes the copy, by its own. What was opened under either
 * number since is another file, and gets nothing.
 */
static struct {
	pthread_once_t noted;
	bool open;		/* stderr was, at the start */
	dev_t device;
	ino_t inode;
	int copy;
} statistics = { .noted = PTHREAD_ONCE_INIT, .copy = -1 };

static void note_stderr(void)
{
	struct stat now;

	report_begin();
	if (fstat(STDERR_FILENO, &now) != 0)
		return;
	statistics.open = true;
	statistics.device = now.st_dev;
	statistics.inode = now.st_ino;
	if (is_on("ACRE_STATS"))
		statistics.copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 64);
}

static bool is_stderr(int fd)
{
	struct stat now;

	return statistics.open && fstat(fd, &now) == 0 && now.st_dev == statistics.device &&
	       now.st_ino == statistics.inode;
}

static void start(void)
{
	struct acre_options options = { 0 };
	const char *text = getenv("ACRE_ARENA");
	const char *policy = getenv("ACRE_POLICY");
	const char *guards = getenv("ACRE_GUARDS");
	const char *fail_at = getenv("ACRE_FAIL_AT");
	uint64_t memory = budget_memory();
	uint64_t bytes = memory;
	const char *wrong;

	pthread_once(&statistics.noted, note_stderr);
	if (is_on("ACRE_NO_PURGE"))
		options.flags |= ACRE_NO_PURGE;
	if (guards && !words_guards(guards, &options))
		give_up("ACRE_GUARDS=", guards, WORDS_GUARDS);
	if (policy && !words_policy(policy, &options))
		give_up("ACRE_POLICY=", policy, WORDS_POLICY);
	wrong = words_conflict(&options);
	if (wrong)
		give_up("ACRE_GUARDS=", guards, wrong);
	if (fail_at && !words_fail_at(fail_at, &options))
		give_up("ACRE_FAIL_AT=", fail_at, WORDS_FAIL_AT);
	if (text) {
		wrong = budget_arena(text, memory, &bytes);
		if (wrong)
			give_up("ACRE_ARENA=", text, wrong);
		if (!acre_private_start((size_t)bytes, &options))
			give_up("ACRE_ARENA=", text, "the system refuses that much address space; "
						     "give less, or look at ulimit -v");
		return;
	}
	if (bytes > ARENA_MOST)
		bytes = ARENA_MOST;
	while (!acre_private_start((size_t)bytes, &options)) {
		bytes /= 2;
		if (bytes < ARENA_LEAST)
			give_up("ACRE_ARENA", "",
				"the system refuses any address space; look at ulimit -v");
	}
}

/* The arena, made on the first call. */
static struct acre *arena_of(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct acre *arena = acre_default();

	if (arena)
		return arena;
	pthread_once(&once, start);
	return acre_default();
}

/* Whether the first refusal is one that was asked for. */
static bool meant_to_fail(struct acre *arena)
{
	return arena->fail_at && atomic_load_explicit(&arena->requests, memory_order_relaxed) >=
					 arena->fail_at;
}

/* Says once that the arena is full: programs seldom do. */
static void *refused(size_t size, size_t alignment)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;
	struct acre *arena = acre_default();
	bool meant = meant_to_fail(arena);
	struct line line = { 0 };

	if (size >= PTRDIFF_MAX || atomic_flag_test_and_set_explicit(&said, memory_order_relaxed))
		return NULL;
	line_text(&line, "the arena of ");
	line_number(&line, arena->size);
	line_text(&line, meant ? " bytes has room" : " bytes is full");
	line_text(&line, ": a request for ");
	line_number(&line, size);
	if (alignment) {
		line_text(&line, " aligned to ");
		line_number(&line, alignment);
	}
	line_text(&line, meant ?
		  " got ENOMEM, since ACRE_FAIL_AT or acre run --fail-at says so (said once)" :
		  " got ENOMEM; ACRE_ARENA or acre run --arena makes it larger (said once)");
	report(&line);
	errno = ENOMEM;
	return NULL;
}

static __attribute__((noinline)) void *malloc_slowly(size_t size)
{
	void *block = cache_take_medium(acre_private_thread.home, size);

	if (!block)
		block = acre_malloc(arena_of(), size);
	return block ? block : refused(size, 0);
}

static inline void *take(size_t size)
{
	void *block = cache_take(acre_private_thread.home, size);

	if (RARELY(!block))
		return malloc_slowly(size);
	return block;
}

PUBLIC void *malloc(size_t size)
{
	return take(size);
}

static __attribute__((noinline)) void free_slowly(void *block)
{
	if (block && !cache_put_medium(acre_private_thread.home, block))
		acre_free(arena_of(), block);
}

PUBLIC void free(void *block)
{
	if (RARELY(!cache_put(acre_private_thread.home, block)))
		free_slowly(block);
}

void cfree(void *block);

PUBLIC void cfree(void *block)
{
	free(block);
}

PUBLIC void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *block;

	/* As in acre_calloc(). */
	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	block = cache_take(acre_private_thread.home, bytes);
	if (block)
		return memset(block, 0, bytes);
	block = acre_calloc(arena_of(), count, size);
	return block ? block : refused(bytes, 0);
}

/* As glibc's: realloc(p, 0) frees and returns NULL. */
PUBLIC void *realloc(void *block, size_t size)
{
	void *fresh;

	if (!block)
		return take(size);
	fresh = cache_resize(acre_private_thread.home, block, size);
	if (!fresh)
		fresh = acre_realloc(arena_of(), block, size);
	return fresh || !size ? fresh : refused(size, 0);
}

PUBLIC void *reallocarray(void *block, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(block, bytes);
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
	void *block = acre_aligned_alloc(arena_of(), alignment, size);

	return block || errno == EINVAL ? block : refused(size, alignment);
}

/* As glibc's: an alignment that is no power of two is rounded up to one. */
PUBLIC void *memalign(size_t alignment, size_t size)
{
	size_t power = 16;

	while (power < alignment && power <= SIZE_MAX / 2)
		power *= 2;
	if (power < alignment) {
		errno = EINVAL;
		return NULL;
	}
	return aligned_alloc(power, size);
}

PUBLIC int posix_memalign(void **result, size_t alignment, size_t size)
{
	int saved = errno;
	void *block;

	if (alignment % sizeof(void *) || !alignment || alignment & (alignment - 1))
		return EINVAL;
	block = aligned_alloc(alignment, size);
	errno = saved;
	if (!block)
		return ENOMEM;
	*result = block;
	return 0;
}

PUBLIC void *valloc(size_t size)
{
	return aligned_alloc((size_t)sysconf(_SC_PAGESIZE), size);
}

PUBLIC void *pvalloc(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page) {
		errno = ENOMEM;
		return NULL;
	}
	return aligned_alloc(page, round_up(size, page));
}

PUBLIC size_t malloc_usable_size(void *block)
{
	return acre_usable_size(arena_of(), block);
}

void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

PUBLIC void free_sized(void *block, size_t size)
{
	acre_free_sized(arena_of(), block, size);
}

PUBLIC void free_aligned_sized(void *block, size_t alignment, size_t size)
{
	(void)alignment;
	acre_free_sized(arena_of(), block, size);
}

PUBLIC int malloc_trim(size_t pad)
{
	(void)pad;
	return acre_trim(arena_of()) != 0;
}

static void say(int fd, const char *what, uint64_t number)
{
	struct line line = { 0 };

	line_text(&line, what);
	line_number(&line, number);
	report_to(fd, &line);
}

static void say_statistics(int fd)
{
	struct acre_stats stats;

	acre_stats(arena_of(), &stats);
	say(fd, "process         ", (uint64_t)getpid());
	say(fd, "arena bytes     ", stats.size);
	say(fd, "live bytes      ", stats.live_bytes);
	say(fd, "live blocks     ", stats.live_blocks);
	say(fd, "peak live bytes ", stats.peak_live_bytes);
	say(fd, "cached bytes    ", stats.cached_bytes);
	say(fd, "waiting bytes   ", stats.waiting_bytes);
	say(fd, "free bytes      ", stats.free_bytes);
	say(fd, "largest free    ", stats.largest_free);
	say(fd, "resident bytes  ", stats.resident_bytes);
	say(fd, "plots           ", stats.plots);
	say(fd, "leases          ", stats.leases);
	say(fd, "refusals        ", stats.refusals);
}

PUBLIC void malloc_stats(void)
{
	say_statistics(STDERR_FILENO);
}

PUBLIC int malloc_info(int options, FILE *file)
{
	struct acre_stats stats;

	if (options) {
		errno = EINVAL;
		return -1;
	}
	acre_stats(arena_of(), &stats);
	return fprintf(file,
		       "<malloc version=\"acre-1\"><arena size=\"%zu\" live=\"%zu\" blocks=\"%zu\" "
		       "peak=\"%zu\" cached=\"%zu\" free=\"%zu\" largest=\"%zu\" resident=\"%zu\" "
		       "plots=\"%zu\" leases=\"%zu\" refusals=\"%zu\"/></malloc>\n",
		       stats.size, stats.live_bytes, stats.live_blocks, stats.peak_live_bytes,
		       stats.cached_bytes, stats.free_bytes, stats.largest_free,
		       stats.resident_bytes, stats.plots, stats.leases,
		       stats.refusals) < 0 ? -1 : 0;
}

PUBLIC struct mallinfo2 mallinfo2(void)
{
	struct acre_stats stats;

	acre_stats(arena_of(), &stats);
	return (struct mallinfo2){
		.arena = stats.size,
		.ordblks = stats.free_bytes != 0,
		.uordblks = stats.live_bytes,
		.fordblks = stats.free_bytes + stats.cached_bytes,
		.keepcost = stats.largest_free,
	};
}

static int narrow(size_t n)
{
	return n > INT32_MAX ? INT32_MAX : (int)n;
}

PUBLIC struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();

	return (struct mallinfo){
		.arena = narrow(wide.arena),
		.ordblks = narrow(wide.ordblks),
		.uordblks = narrow(wide.uordblks),
		.fordblks = narrow(wide.fordblks),
		.keepcost = narrow(wide.keepcost),
	};
}

/*
 * Nothing that mallopt() can set exists here, but callers take 0 for a failure: it's for what glibc
 * refuses, an M_MXFAST out of the range that its manual states.
 */
PUBLIC int mallopt(int option, int value)
{
	return option != M_MXFAST || (value >= 0 && (size_t)value <= 80 * sizeof(size_t) / 4);
}

/* For a process that never allocates: it has statistics of that, at its end. */
static __attribute__((constructor)) void begin(void)
{
	if (is_on("ACRE_STATS"))
		pthread_once(&statistics.noted, note_stderr);
}

static void say_none(int fd)
{
	struct line line = { 0 };

	line_text(&line, "process ");
	line_number(&line, (uint64_t)getpid());
	line_text(&line, " has no statistics: it never allocated from the arena");
	report_to(fd, &line);
}

static __attribute__((destructor)) void finish(void)
{
	int fd = statistics.copy;

	if (!is_on("ACRE_STATS"))
		return;
	if (!is_stderr(fd))
		fd = STDERR_FILENO;
	if (!is_stderr(fd))
		return;
	if (acre_default())
		say_statistics(fd);
	else
		say_none(fd);
}
