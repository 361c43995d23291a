/*
 * What the black-box suites share. They see the library through <acre/acre.h> alone.
 *
 * Every suite is a program of its own (Check, one forked process per test), speaks TAP when
 * CK_TAP_LOG_FILE_NAME is "-", and takes nothing from the command line. Asserts in threads and in
 * hot loops are must(), not ck_assert(): Check's own writes to a pipe at each call and is not meant
 * for several threads. A must() that fails prints one line and ends the process with status 1, so
 * that it can't be taken for the library's abort().
 *
 * ACRE_TEST_SEED in the environment changes the seed of every random sequence; the default is
 * fixed. ACRE_TEST_POLICY names the policy of all arenas whose test asks for none: so a suite runs
 * under each (test_kinds.sh).
 */
#ifndef ACRE_TESTS_SUPPORT_H
#define ACRE_TESTS_SUPPORT_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <acre/acre.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#elif defined(ACRE_TSAN)
#define UNDER_TSAN 1
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

/* How much of a test to do: the first figure plain, the second where each access costs 10 times. */
#define SCALE(plain, sanitized) (UNDER_TSAN || UNDER_ASAN ? (sanitized) : (plain))

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define TIB ((size_t)1 << 40)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Asserts that hold in any thread. */
_Noreturn void fail_at(const char *file, int line, const char *condition, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define must(condition, ...) \
	do { \
		if (!(condition)) \
			fail_at(__FILE__, __LINE__, #condition, __VA_ARGS__); \
	} while (0)

/* Says why a test is left out here, which tap-run reports as a skip; the test then returns. */
void skip(const char *why);

/* Random numbers: splitmix64, one state per thread. */
struct dice {
	uint64_t state;
};

struct dice dice_from(uint64_t seed);
uint64_t next_seed(void);						/* differs at each call */
uint64_t roll(struct dice *dice);
size_t roll_between(struct dice *dice, size_t low, size_t high);	/* both included */
size_t roll_log(struct dice *dice, size_t low, size_t high);		/* any doubling alike */

/* Content: the first n bytes of an endless pattern that the key chooses. */
void fill(void *block, size_t n, uint64_t key);
bool holds(const void *block, size_t n, uint64_t key);
bool all_bytes(const void *block, size_t n, unsigned char value);

/* An arena that a test can't go on without; NULL options are the defaults. */
struct acre *new_arena(size_t size, const struct acre_options *options);
void end_arena(struct acre *arena);

/* A test that loops over these runs twice: with caches and plots, and with one heap. */
extern struct acre_options both[2];

/* What ACRE_TEST_POLICY says; first fit without. */
enum acre_policy policy_under_test(void);

/* Sizes about every edge there is inside a few pages and at some powers of two. */
extern const size_t edges[40];

/* What one walk saw. look() fails the test if blocks aren't aligned, in order and apart. */
struct image {
	struct acre_block *blocks;
	size_t count;
	size_t room;
};

void look(struct acre *arena, struct image *image);
void forget(struct image *image);
const struct acre_block *find_block(const struct image *image, const void *address);
size_t count_state(const struct image *image, unsigned state);
size_t bytes_in_state(const struct image *image, unsigned state);

/* The library's own check finds nothing. */
void must_be_sound(struct acre *arena);
/* G4: after acre_flush() the arena is one free block; returns its usable bytes. */
size_t must_be_whole(struct acre *arena);
/* G8: the statistics of a quiet arena are what a walk adds up to. */
void must_be_honest(struct acre *arena);
struct acre_stats stats_of(struct acre *arena);

/* So many steps of random blocks up to most bytes, with content verified; all freed at the end. */
void work_in(struct acre *arena, size_t most, int steps, uint64_t seed);
/* A request for most of a whole arena of so many bytes: nine tenths, or what a buddy can be. */
size_t most_of(size_t size);
/* The arena is whole; its one block can be had, one byte more is refused. */
void take_the_largest(struct acre *arena);

/* A block with content: most are small, one in a hundred is large. */
struct piece {
	char *block;
	size_t size;
	uint64_t key;
};

void take_piece(struct acre *arena, struct piece *piece, struct dice *dice);
/* Verifies and frees it, now by free_sized, now by a realloc; any thread may. */
void drop_piece(struct acre *arena, struct piece *piece, struct dice *dice);

/* What the process has mapped now. */
size_t mapped_bytes(void);

/* Threads that must start. The small stack lets thousands live at once. */
pthread_t start(void *(*body)(void *), void *argument);
pthread_t start_small(void *(*body)(void *), void *argument);
void *finish(pthread_t thread);
void meet(pthread_barrier_t *barrier);
void await(sem_t *semaphore);

/* How a child process ended that ran body(argument), and what it said on stderr. */
struct outcome {
	int status;		/* as waitpid() gives it */
	size_t lines;
	char text[8192];
};

/* A child that hangs is killed by SIGALRM after seconds; one whose body returns exits with 0. */
void in_child(struct outcome *outcome, void (*body)(void *), void *argument, unsigned seconds);
void must_succeed(const struct outcome *outcome, const char *what);
/* G7: SIGABRT, one line, and the address in it; any address, if none is given. */
void must_abort(const struct outcome *outcome, const void *address, const char *what);

/* main() of every suite: 0 if all passed. */
int run_suite(Suite *suite);

#endif
