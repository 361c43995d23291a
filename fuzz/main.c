/*
 * acre-fuzz: plays without a fuzzer. Files; random bytes from a seed; or, as a test, all files of a
 * directory and so many random plays for every policy that there is.
 *
 * In a test each file, and each policy, is a child process, so that one that fails doesn't keep the
 * others from being tried; the parent's last word on it is how to play it again.
 */
#include <acre/acre.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "play.h"
#include "seeds.h"

#define BYTES_MOST	((size_t)64 << 10)
#define RANDOM_MOST	600u
#define POLICIES	8u
#define PLAY_SECONDS	100u	/* for what hangs; a slow machine is far from it */

static const char usage[] =
	"usage: acre-fuzz [--aloud] FILE...\n"
	"       acre-fuzz [--aloud] --random COUNT [--seed SEED] [--policy NUMBER]\n"
	"       acre-fuzz --save FILE --seed SEED [--policy NUMBER]\n"
	"       acre-fuzz --test DIRECTORY [--random COUNT] [--seed SEED]\n"
	"       acre-fuzz --make-corpus DIRECTORY\n"
	"Plays sequences of operations on acre, from files or random; aborts at the first fault.\n"
	"  --aloud       tell each operation\n"
	"  --random      so many plays of random bytes, or in a test so many for each policy\n"
	"  --seed        of the first of them; each further one has the next\n"
	"  --policy      as in enum acre_policy\n"
	"  --save        write the bytes of the random play with this seed\n"
	"  --test        all files of the directory, then random ones; TAP on standard output\n"
	"  --make-corpus write the seeds of the corpus\n";

static struct {
	const char *save;
	const char *test;
	const char *make_corpus;
	uint64_t count;
	uint64_t seed;
	uint64_t policy;
	bool random;
	char **files;
	int file_count;
} options = { .seed = 1 };

_Noreturn static void bad_call(const char *what, const char *value, const char *advice)
{
	fprintf(stderr, "acre-fuzz: %s '%s': %s\n", what, value, advice);
	exit(2);
}

/*
 * Random bytes: splitmix64.
 */
static uint64_t roll(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* The bytes of a random play; the policy is the second one. */
static size_t deal(uint64_t seed, unsigned policy, uint8_t *bytes)
{
	uint64_t state = seed * 0x2545f4914f6cdd1du + policy;
	size_t count = 16 + (size_t)(roll(&state) % (RANDOM_MOST - 16));

	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)roll(&state);
	bytes[1] = (uint8_t)policy;
	return count;
}

static void play_random(uint64_t seed, unsigned policy)
{
	uint8_t bytes[RANDOM_MOST];
	size_t count = deal(seed, policy, bytes);

	play(bytes, count);
}

static bool accepted(unsigned policy)
{
	struct acre_options wanted = { .policy = (enum acre_policy)policy };
	struct acre *arena = acre_create((size_t)1 << 20, &wanted);

	return arena && acre_destroy(arena) == 0;
}

static void play_file(const char *path)
{
	static uint8_t bytes[BYTES_MOST];
	FILE *file = fopen(path, "rb");
	size_t count = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

	if (!file || ferror(file)) {
		fprintf(stderr, "acre-fuzz: '%s': %s: give files to play\n", path, strerror(errno));
		exit(2);
	}
	fclose(file);
	play(bytes, count);
}

/*
 * The test. A child tells in shared memory which seed it plays.
 */
static uint64_t *current;
static unsigned tests;
static unsigned failed;

static pid_t fork_child(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0) {
		perror("acre-fuzz: fork");
		exit(1);
	}
	if (child == 0)
		alarm(PLAY_SECONDS);
	return child;
}

static bool ended_well(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (WIFSIGNALED(status))
		printf("# ended by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		printf("# exit status %d\n", WEXITSTATUS(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void result(bool good, const char *name)
{
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", ++tests, name);
}

static void test_file(const char *directory, const char *name)
{
	char path[4096];
	pid_t child;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	child = fork_child();
	if (child == 0) {
		play_file(path);
		_exit(0);
	}
	good = ended_well(child);
	if (!good)
		printf("# again: acre-fuzz --aloud %s\n", path);
	result(good, name);
}

static void test_random(unsigned policy)
{
	char name[80];
	pid_t child = fork_child();
	bool good;

	if (child == 0) {
		for (*current = options.seed; *current < options.seed + options.count; ++*current) {
			alarm(PLAY_SECONDS);
			play_random(*current, policy);
		}
		_exit(0);
	}
	good = ended_well(child);
	if (!good)
		printf("# again: acre-fuzz --aloud --random 1 --policy %u --seed %" PRIu64 "\n",
		       policy, *current);
	snprintf(name, sizeof(name), "%" PRIu64 " random plays, policy %u", options.count, policy);
	result(good, name);
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int test_all(void)
{
	struct dirent **entries;
	int count = scandir(options.test, &entries, is_file, alphasort);

	if (count <= 0)
		bad_call("no files in", options.test, "give the directory of the corpus");
	current = mmap(NULL, sizeof(*current), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (current == MAP_FAILED) {
		perror("acre-fuzz: mmap");
		return 1;
	}
	for (int i = 0; i < count; i++)
		test_file(options.test, entries[i]->d_name);
	for (unsigned policy = 0; policy < POLICIES && options.random; policy++)
		if (accepted(policy))
			test_random(policy);
	printf("1..%u\n", tests);
	return failed != 0;
}

/*
 * The command line.
 */
static const char *value_of(char **argument)
{
	if (!argument[1])
		bad_call("nothing behind", argument[0], "give its value; see --help");
	return argument[1];
}

static uint64_t number_of(char **argument, uint64_t most)
{
	const char *text = value_of(argument);
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || number > most)
		bad_call(argument[0], text, "give a number in its range");
	return number;
}

/* One option, and what it takes; how many arguments that is. */
static int take_option(char **argument)
{
	const char *name = argument[0];

	if (!strcmp(name, "--aloud")) {
		play_aloud = 1;
		return 1;
	}
	if (!strcmp(name, "--help")) {
		fputs(usage, stdout);
		exit(0);
	}
	if (!strcmp(name, "--random")) {
		options.random = true;
		options.count = number_of(argument, UINT32_MAX);
	} else if (!strcmp(name, "--seed")) {
		options.seed = number_of(argument, UINT64_MAX / 2);
	} else if (!strcmp(name, "--policy")) {
		options.policy = number_of(argument, POLICIES - 1);
	} else if (!strcmp(name, "--save")) {
		options.save = value_of(argument);
	} else if (!strcmp(name, "--test")) {
		options.test = value_of(argument);
	} else if (!strcmp(name, "--make-corpus")) {
		options.make_corpus = value_of(argument);
	} else {
		bad_call("unknown option", name, "see --help");
	}
	return 2;
}

static int save(void)
{
	uint8_t bytes[RANDOM_MOST];
	size_t count = deal(options.seed, (unsigned)options.policy, bytes);
	FILE *file = fopen(options.save, "wb");

	if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
		bad_call("can't write", options.save, strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-')
		i += take_option(argv + i);
	if (i == argc && !options.random && !options.save && !options.test && !options.make_corpus)
		bad_call("nothing to do", "", "give files, or an option; see --help");
	if (options.make_corpus && !seeds_write(options.make_corpus))
		bad_call("can't write into", options.make_corpus, strerror(errno));
	if (options.save)
		return save();
	if (options.test)
		return test_all();
	for (; i < argc; i++)
		play_file(argv[i]);
	for (uint64_t n = 0; n < options.count; n++) {
		if (play_aloud)
			fprintf(stderr, "seed %" PRIu64 "\n", options.seed + n);
		play_random(options.seed + n, (unsigned)options.policy);
	}
	return 0;
}
