/*
 * The black-box suites' shared part: see support.h.
 */
#include "support.h"

#include "words.h"

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#if UNDER_TSAN
/*
 * So that a suite means the same however it's started: the first race ends the process with 66, and
 * children of threaded processes may start threads.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1:history_size=4:die_after_fork=0";
}
#endif

void fail_at(const char *file, int line, const char *condition, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	dprintf(STDERR_FILENO, "%s:%d: not so: %s: %s\n", file, line, condition, text);
	_exit(1);
}

void skip(const char *why)
{
	dprintf(STDOUT_FILENO, "# left out here: %s\n", why);
}

/*
 * Random numbers.
 */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct dice dice_from(uint64_t seed)
{
	const char *text = getenv("ACRE_TEST_SEED");
	uint64_t base = text ? strtoull(text, NULL, 0) : 1;

	return (struct dice){ mix(base * 0x9e3779b97f4a7c15u + seed) };
}

uint64_t next_seed(void)
{
	static atomic_uint_fast64_t last = 1000000;

	return atomic_fetch_add(&last, 1);
}

uint64_t roll(struct dice *dice)
{
	return mix(dice->state += 0x9e3779b97f4a7c15u);
}

size_t roll_between(struct dice *dice, size_t low, size_t high)
{
	return low + (size_t)(roll(dice) % (high - low + 1));
}

size_t roll_log(struct dice *dice, size_t low, size_t high)
{
	unsigned doublings = 0;
	size_t from;
	size_t to;

	while ((low << (doublings + 1)) <= high)
		doublings++;
	from = low << roll_between(dice, 0, doublings);
	to = from * 2 - 1;
	return roll_between(dice, from, to < high ? to : high);
}

/*
 * Content.
 */
static uint64_t pattern(uint64_t key, size_t word)
{
	return (key ^ (word * 0x9e3779b97f4a7c15u)) * 0xd6e8feb86659fd93u;
}

void fill(void *block, size_t n, uint64_t key)
{
	unsigned char *bytes = block;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t word = pattern(key, i / 8);

		memcpy(bytes + i, &word, 8);
	}
	if (i < n) {
		uint64_t word = pattern(key, i / 8);

		memcpy(bytes + i, &word, n - i);
	}
}

bool holds(const void *block, size_t n, uint64_t key)
{
	const unsigned char *bytes = block;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t word;

		memcpy(&word, bytes + i, 8);
		if (word != pattern(key, i / 8))
			return false;
	}
	if (i < n) {
		uint64_t word = pattern(key, i / 8);

		return memcmp(bytes + i, &word, n - i) == 0;
	}
	return true;
}

bool all_bytes(const void *block, size_t n, unsigned char value)
{
	const unsigned char *bytes = block;

	return n == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/*
 * Arenas and what a walk sees of them.
 */
struct acre_options both[2] = {
	{ .flags = 0 },
	{ .flags = ACRE_NO_CACHE },
};

enum acre_policy policy_under_test(void)
{
	const char *name = getenv("ACRE_TEST_POLICY");
	struct acre_options options = { .policy = ACRE_FIRST_FIT };

	must(!name || words_policy(name, &options), "ACRE_TEST_POLICY=%s", name);
	return options.policy;
}

static __attribute__((constructor)) void choose_policy(void)
{
	for (size_t i = 0; i < COUNT_OF(both); i++)
		both[i].policy = policy_under_test();
}

const size_t edges[40] = {
	0,    1,    7,	   8,	  9,	 15,	 16,	 17,	 23,	  24,
	25,   31,   32,	   33,	  100,	 247,	 248,	 249,	 1000,	  4072,
	4079, 4080, 4081,  4087,  4088,	 4089,	 4095,	 4096,	 4097,	  8191,
	8192, 8193, 65535, 65536, 65537, 131071, 131072, 131073, 1048575, 1048577,
};

struct acre *new_arena(size_t size, const struct acre_options *options)
{
	struct acre_options chosen = options ? *options : both[0];
	struct acre *arena;

	if (chosen.policy == ACRE_FIRST_FIT)
		chosen.policy = policy_under_test();
	arena = acre_create(size, &chosen);
	must(arena, "acre_create(%zu): %s", size, strerror(errno));
	return arena;
}

void end_arena(struct acre *arena)
{
	must(acre_destroy(arena) == 0, "acre_destroy: %s", strerror(errno));
}

static int record(const struct acre_block *block, void *user)
{
	struct image *image = user;

	if (image->count == image->room) {
		image->room = image->room ? image->room * 2 : 256;
		image->blocks = realloc(image->blocks, image->room * sizeof(*block));
		must(image->blocks, "out of memory for %zu blocks of a walk", image->room);
	}
	image->blocks[image->count++] = *block;
	return 0;
}

void look(struct acre *arena, struct image *image)
{
	uintptr_t end = 0;

	image->count = 0;
	must(acre_walk(arena, record, image) == 0, "the visitor never returns anything else");
	for (size_t i = 0; i < image->count; i++) {
		const struct acre_block *block = &image->blocks[i];
		uintptr_t address = (uintptr_t)block->address;

		must(address % 16 == 0, "block %zu at %p", i, block->address);
		must(address >= end + 8, "block %zu at %p begins before %#zx, the end of the last",
		     i, block->address, (size_t)end);
		must(block->size >= 8, "block %zu at %p has %zu bytes", i, block->address,
		     block->size);
		must(block->state >= ACRE_LIVE && block->state <= ACRE_WAITING,
		     "block %zu at %p has state %u", i, block->address, block->state);
		end = address + block->size;
	}
}

void forget(struct image *image)
{
	free(image->blocks);
	*image = (struct image){ 0 };
}

const struct acre_block *find_block(const struct image *image, const void *address)
{
	size_t low = 0;
	size_t high = image->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)image->blocks[middle].address < (uintptr_t)address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < image->count && image->blocks[low].address == address)
		return &image->blocks[low];
	return NULL;
}

size_t count_state(const struct image *image, unsigned state)
{
	size_t count = 0;

	for (size_t i = 0; i < image->count; i++)
		count += image->blocks[i].state == state;
	return count;
}

size_t bytes_in_state(const struct image *image, unsigned state)
{
	size_t bytes = 0;

	for (size_t i = 0; i < image->count; i++)
		if (image->blocks[i].state == state)
			bytes += image->blocks[i].size;
	return bytes;
}

void must_be_sound(struct acre *arena)
{
	int faults = acre_check(arena);

	must(faults == 0, "acre_check found %d faults", faults);
}

/* Whether these are the free blocks that buddies leave: powers of two, ever smaller. */
static bool only_buddies(const struct image *image)
{
	for (size_t i = 0; i < image->count; i++) {
		size_t size = image->blocks[i].size + 8;

		if (image->blocks[i].state != ACRE_FREE || size & (size - 1) ||
		    (i && size >= image->blocks[i - 1].size + 8))
			return false;
	}
	return true;
}

size_t must_be_whole(struct acre *arena)
{
	struct image image = { 0 };
	size_t size;

	acre_flush(arena);
	must_be_sound(arena);
	look(arena, &image);
	for (size_t i = 0; image.count > 1 && !only_buddies(&image) && i < image.count && i < 8; i++)
		fprintf(stderr, "# %p %zu bytes, state %u, plot %u\n", image.blocks[i].address,
			image.blocks[i].size, image.blocks[i].state, image.blocks[i].plot);
	/* A range that's no power of two is several buddies at best. */
	must(image.count == 1 || only_buddies(&image), "%zu blocks (%zu live, %zu cached), not one",
	     image.count, count_state(&image, ACRE_LIVE), count_state(&image, ACRE_CACHED));
	must(image.blocks[0].state == ACRE_FREE, "state %u", image.blocks[0].state);
	must(image.blocks[0].plot == 0, "in plot %u", image.blocks[0].plot);
	size = image.blocks[0].size;
	forget(&image);
	return size;
}

struct acre_stats stats_of(struct acre *arena)
{
	struct acre_stats stats;

	memset(&stats, 0xa5, sizeof(stats));
	acre_stats(arena, &stats);
	return stats;
}

void must_be_honest(struct acre *arena)
{
	struct acre_stats stats = stats_of(arena);
	struct image image = { 0 };
	size_t largest = 0;

	look(arena, &image);
	for (size_t i = 0; i < image.count; i++)
		if (image.blocks[i].state == ACRE_FREE && image.blocks[i].size > largest)
			largest = image.blocks[i].size;
	must(stats.live_blocks == count_state(&image, ACRE_LIVE), "%zu, the walk saw %zu",
	     stats.live_blocks, count_state(&image, ACRE_LIVE));
	must(stats.live_bytes == bytes_in_state(&image, ACRE_LIVE), "%zu, the walk saw %zu",
	     stats.live_bytes, bytes_in_state(&image, ACRE_LIVE));
	must(stats.free_bytes == bytes_in_state(&image, ACRE_FREE), "%zu, the walk saw %zu",
	     stats.free_bytes, bytes_in_state(&image, ACRE_FREE));
	must(stats.cached_bytes == bytes_in_state(&image, ACRE_CACHED), "%zu, the walk saw %zu",
	     stats.cached_bytes, bytes_in_state(&image, ACRE_CACHED));
	must(stats.waiting_blocks == count_state(&image, ACRE_WAITING), "%zu, the walk saw %zu",
	     stats.waiting_blocks, count_state(&image, ACRE_WAITING));
	must(stats.waiting_bytes == bytes_in_state(&image, ACRE_WAITING), "%zu, the walk saw %zu",
	     stats.waiting_bytes, bytes_in_state(&image, ACRE_WAITING));
	must(stats.largest_free == largest, "%zu, the walk saw %zu", stats.largest_free, largest);
	must(stats.peak_live_bytes >= stats.live_bytes, "%zu below %zu", stats.peak_live_bytes,
	     stats.live_bytes);
	/* A caller's buffer may begin and end within a page. */
	must(stats.resident_bytes <= stats.size + 2 * 4096, "%zu above %zu", stats.resident_bytes,
	     stats.size);
	forget(&image);
}

/*
 * Work.
 */
void work_in(struct acre *arena, size_t most, int steps, uint64_t seed)
{
	struct dice dice = dice_from(seed);
	struct {
		char *block;
		size_t size;
	} slots[64] = { { 0 } };
	size_t got = 0;

	for (int step = 0; step < steps; step++) {
		size_t i = roll_between(&dice, 0, COUNT_OF(slots) - 1);

		if (slots[i].block) {
			must(holds(slots[i].block, slots[i].size, i), "%zu bytes", slots[i].size);
			acre_free(arena, slots[i].block);
			slots[i].block = NULL;
			continue;
		}
		slots[i].size = roll_log(&dice, 1, most);
		slots[i].block = acre_malloc(arena, slots[i].size);
		if (slots[i].block) {
			fill(slots[i].block, slots[i].size, i);
			got++;
		}
	}
	must(got > (size_t)steps / 20, "%zu blocks in %d steps", got, steps);
	for (size_t i = 0; i < COUNT_OF(slots); i++)
		acre_free(arena, slots[i].block);
}

size_t most_of(size_t size)
{
	size_t power = 16;

	if (policy_under_test() != ACRE_BUDDY)
		return size / 10 * 9;
	while (power * 2 <= size / 10 * 9)
		power *= 2;
	return power - 8;
}

void take_the_largest(struct acre *arena)
{
	size_t most = must_be_whole(arena);
	char *block;

	errno = 0;
	must(!acre_malloc(arena, most + 1), "%zu bytes", most + 1);
	must(errno == ENOMEM, "%s", strerror(errno));
	block = acre_malloc(arena, most);
	must(block, "the %zu bytes that are free", most);
	block[0] = block[most - 1] = 'x';
	acre_free(arena, block);
	must(must_be_whole(arena) == most, "not %zu", most);
}

void take_piece(struct acre *arena, struct piece *piece, struct dice *dice)
{
	piece->size =
		roll_between(dice, 0, 99) ? roll_log(dice, 1, 2000) : roll_log(dice, 2000, 100000);
	piece->key = roll(dice);
	piece->block = acre_malloc(arena, piece->size);
	must(piece->block, "%zu bytes", piece->size);
	fill(piece->block, piece->size, piece->key);
}

/* Another thread's block may be looked at, resized and freed in every way. */
void drop_piece(struct acre *arena, struct piece *piece, struct dice *dice)
{
	size_t size;

	must(acre_usable_size(arena, piece->block) >= piece->size, "%zu bytes", piece->size);
	must(holds(piece->block, piece->size, piece->key), "%zu bytes", piece->size);
	switch (roll_between(dice, 0, 7)) {
	case 0:
		acre_free_sized(arena, piece->block, piece->size);
		break;
	case 1:
		size = roll_log(dice, 1, 4000);
		piece->block = acre_realloc(arena, piece->block, size);
		must(piece->block, "%zu to %zu bytes", piece->size, size);
		must(holds(piece->block, size < piece->size ? size : piece->size, piece->key),
		     "%zu to %zu bytes", piece->size, size);
		acre_free(arena, piece->block);
		break;
	case 2:
		must(!acre_realloc(arena, piece->block, 0), "realloc to 0");
		break;
	default:
		acre_free(arena, piece->block);
	}
	piece->block = NULL;
}

size_t mapped_bytes(void)
{
	unsigned long pages;
	FILE *file = fopen("/proc/self/statm", "r");

	must(file && fscanf(file, "%lu", &pages) == 1, "/proc/self/statm: %s", strerror(errno));
	fclose(file);
	return pages * 4096;
}

/*
 * Threads.
 */
static pthread_t start_with(void *(*body)(void *), void *argument, size_t stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	if (stack)
		pthread_attr_setstacksize(&attributes, stack);
	error = pthread_create(&thread, &attributes, body, argument);
	must(error == 0, "pthread_create: %s", strerror(error));
	pthread_attr_destroy(&attributes);
	return thread;
}

pthread_t start(void *(*body)(void *), void *argument)
{
	return start_with(body, argument, 0);
}

pthread_t start_small(void *(*body)(void *), void *argument)
{
	return start_with(body, argument, SCALE(64 * KIB, 0));
}

void *finish(pthread_t thread)
{
	void *result;
	int error = pthread_join(thread, &result);

	must(error == 0, "pthread_join: %s", strerror(error));
	return result;
}

void meet(pthread_barrier_t *barrier)
{
	int error = pthread_barrier_wait(barrier);

	must(error == 0 || error == PTHREAD_BARRIER_SERIAL_THREAD, "pthread_barrier_wait: %s",
	     strerror(error));
}

void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		must(errno == EINTR, "sem_wait: %s", strerror(errno));
}

/*
 * Children.
 */
void in_child(struct outcome *outcome, void (*body)(void *), void *argument, unsigned seconds)
{
	int ends[2];
	size_t length = 0;
	pid_t child;

	memset(outcome, 0, sizeof(*outcome));
	must(pipe(ends) == 0, "pipe: %s", strerror(errno));
	fflush(NULL);
	child = fork();
	must(child >= 0, "fork: %s", strerror(errno));
	if (child == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(SCALE(seconds, seconds * 5));
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		body(argument);
		_exit(0);
	}
	close(ends[1]);
	for (;;) {
		char chunk[512];
		ssize_t n = read(ends[0], chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if ((size_t)n > sizeof(outcome->text) - 1 - length)
			n = (ssize_t)(sizeof(outcome->text) - 1 - length);
		memcpy(outcome->text + length, chunk, (size_t)n);
		length += (size_t)n;
	}
	close(ends[0]);
	while (waitpid(child, &outcome->status, 0) < 0)
		must(errno == EINTR, "waitpid: %s", strerror(errno));
	for (size_t i = 0; i < length; i++)
		outcome->lines += outcome->text[i] == '\n';
}

void must_succeed(const struct outcome *outcome, const char *what)
{
	must(!WIFSIGNALED(outcome->status), "%s: child ended by signal %d, it said: %s", what,
	     WTERMSIG(outcome->status), outcome->text);
	must(WEXITSTATUS(outcome->status) == 0, "%s: child exited with %d, it said: %s", what,
	     WEXITSTATUS(outcome->status), outcome->text);
}

void must_abort(const struct outcome *outcome, const void *address, const char *what)
{
	char number[32];

	must(WIFSIGNALED(outcome->status), "%s: not caught, exit status %d, stderr: %s", what,
	     WEXITSTATUS(outcome->status), outcome->text);
	must(WTERMSIG(outcome->status) == SIGABRT, "%s: signal %d, stderr: %s", what,
	     WTERMSIG(outcome->status), outcome->text);
	must(outcome->lines == 1, "%s: %zu lines on stderr: %s", what, outcome->lines,
	     outcome->text);
	snprintf(number, sizeof(number), address ? "block 0x%zx" : "block 0x",
		 (size_t)(uintptr_t)address);
	must(strcasestr(outcome->text, number), "%s: %p is not in: %s", what, address,
	     outcome->text);
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
