/*
 * One function for all calls that give a block, so that a table can name them.
 */
#include "standard.h"

const char *const entry_names[ENTRIES] = {
	[MALLOC] = "malloc",
	[CALLOC] = "calloc",
	[REALLOC_NULL] = "realloc of NULL",
	[REALLOC] = "realloc",
	[REALLOCARRAY_NULL] = "reallocarray of NULL",
	[REALLOCARRAY] = "reallocarray",
	[ALIGNED_ALLOC] = "aligned_alloc",
	[MEMALIGN] = "memalign",
	[POSIX_MEMALIGN] = "posix_memalign",
	[VALLOC] = "valloc",
	[PVALLOC] = "pvalloc",
};

/* What *memptr is before posix_memalign: an address that nobody gives. */
static char untouched;

struct answer call(enum entry entry, volatile size_t first, volatile size_t size)
{
	struct answer answer = { .block = NULL };
	void *result = &untouched;

	if (entry == REALLOC || entry == REALLOCARRAY) {
		answer.old = malloc(100);
		if (!answer.old)
			abort();
		fill(answer.old, 100, 9);
	}
	errno = NO_ERROR;
	switch (entry) {
	case MALLOC:
		answer.block = malloc(size);
		break;
	case CALLOC:
		answer.block = calloc(first, size);
		break;
	case REALLOC_NULL:
		answer.block = realloc(NULL, size);
		break;
	case REALLOC:
		answer.block = realloc(answer.old, size);
		break;
	case REALLOCARRAY_NULL:
		answer.block = reallocarray(NULL, first, size);
		break;
	case REALLOCARRAY:
		answer.block = reallocarray(answer.old, first, size);
		break;
	case ALIGNED_ALLOC:
		answer.block = aligned_alloc(first, size);
		break;
	case MEMALIGN:
		answer.block = memalign(first, size);
		break;
	case POSIX_MEMALIGN:
		answer.error = posix_memalign(&result, first, size);
		answer.left = errno;
		if (answer.error && result != &untouched)
			answer.error = WROTE;
		answer.block = answer.error ? NULL : result;
		return answer;
	case VALLOC:
		answer.block = valloc(size);
		break;
	case PVALLOC:
		answer.block = pvalloc(size);
		break;
	case ENTRIES:
		abort();
	}
	answer.left = errno;
	answer.error = answer.block ? 0 : errno;
	return answer;
}

/* Eight bytes of the pattern. */
static uint64_t word_at(size_t number, unsigned key)
{
	return (number + 1) * 0x9e3779b97f4a7c15 + key * 0x0101010101010101;
}

/* By words, since blocks are aligned; the rest is the first bytes of one more. */
void fill(void *block, size_t size, unsigned key)
{
	uint64_t *words = block;
	uint64_t last = word_at(size / 8, key);

	for (size_t i = 0; i < size / 8; i++)
		words[i] = word_at(i, key);
	memcpy(words + size / 8, &last, size % 8);
}

bool holds(const void *block, size_t size, unsigned key)
{
	const uint64_t *words = block;
	uint64_t last = word_at(size / 8, key);

	for (size_t i = 0; i < size / 8; i++)
		if (words[i] != word_at(i, key))
			return false;
	return memcmp(words + size / 8, &last, size % 8) == 0;
}

size_t bytes_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}
