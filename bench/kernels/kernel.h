/*
 * What the kernels share. A kernel is a fixed amount of work on plain malloc and free, so that the
 * allocator under test is the one that is preloaded; its result is the CPU time of the process.
 *
 * Their own tables come from pages(), so that malloc sees nothing but the pattern itself; and each
 * thread has one generator with a fixed seed, so that every allocator gets the same calls.
 */
#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct kernel {
	const char *name;
	const char *what;
	void (*run)(long amount);	/* amount is 1 or more; its unit is the kernel's */
};

/* One list for each family, ended by an empty name. */
extern const struct kernel replace_kernels[];
extern const struct kernel order_kernels[];
extern const struct kernel growth_kernels[];
extern const struct kernel tree_kernels[];
extern const struct kernel remote_kernels[];
extern const struct kernel thread_kernels[];
extern const struct kernel sharing_kernels[];
extern const struct kernel latency_kernels[];
extern const struct kernel memory_kernels[];

/* ---- Random numbers ---- */

struct dice {
	uint64_t state;
};

struct dice dice_of(unsigned seed);

/* Marsaglia's xorshift; the low bits are the weak ones. */
static inline uint32_t roll(struct dice *dice)
{
	dice->state ^= dice->state << 13;
	dice->state ^= dice->state >> 7;
	dice->state ^= dice->state << 17;
	return (uint32_t)(dice->state >> 32);
}

/* Below limit: a multiplication, since a division would cost as much as a fast malloc. */
static inline uint32_t below(struct dice *dice, uint32_t limit)
{
	return (uint32_t)((uint64_t)roll(dice) * limit >> 32);
}

static inline size_t between(struct dice *dice, uint32_t least, uint32_t most)
{
	return least + below(dice, most - least + 1);
}

/* Sizes as programs have them: 9 of 10 to 256 bytes, a tail to 8 KiB, 1 of 500 to 64 KiB. */
size_t mixed_size(struct dice *dice);
size_t small_size(struct dice *dice);	/* 16 to 256 bytes, the small ones more often */

/* ---- Blocks ---- */

/* As programs do with a new block: its first bytes, one byte of each page, the last byte. */
static inline void touch(void *block, size_t size)
{
	volatile char *bytes = block;

	for (size_t at = 0; at < size; at += 4096)
		bytes[at] = 1;
	if (size >= 16)
		*(volatile uint64_t *)(bytes + 8) = size;
	bytes[size - 1] = 1;
}

void refused(size_t size) __attribute__((noreturn));

/* A block that was written to; the program ends if there is none. */
static inline void *allocate(size_t size)
{
	void *block = malloc(size);

	if (!block)
		refused(size);
	touch(block, size);
	return block;
}

void free_all(void **blocks, size_t count);

/* ---- What isn't to come from malloc ---- */

void *pages(size_t bytes);	/* zeroed */
void fail(const char *what) __attribute__((noreturn));	/* says what, and errno */

/* ---- Threads ---- */

pthread_t start(void *(*body)(void *), void *argument);
void end(pthread_t thread);
void run_threads(int count, void *(*body)(void *), void *arguments, size_t size);

#endif
