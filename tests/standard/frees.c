/*
 * Giving blocks back, and resizing them.
 */
#include "standard.h"

#include <dlfcn.h>

/* Of each way that a block is kept: quick lists, size classes, a mapping of its own. */
static const size_t sizes[] = { 0, 1, 24, 100, 1000, 1032, 5000, 40000, 200000, 3 * MIB };

static size_t first_for(enum entry entry)
{
	return is_array(entry) ? 1 : 64;
}

/* How often a block of this size comes and goes: enough for a lost one each time to show. */
static int times_of(size_t size)
{
	return size < 2000 ? 2000 : size < 100000 ? 40 : 4;
}

/* What so many lost blocks of any size would exceed. */
#define LOST_MOST ((size_t)8 << 10)

/* Frees blocks of all sizes from one entry by give_back(), with errno looked at. */
static bool come_and_go(enum entry entry, int divisor,
			void (*give_back)(void *block, size_t alignment, size_t size))
{
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (int n = 0; n < times_of(sizes[i]); n += divisor) {
			struct answer answer;

			if (!sizes[i] && (entry == REALLOC || entry == REALLOCARRAY))
				continue;
			answer = call(entry, first_for(entry), sizes[i]);
			REQUIRE(answer.block, "%s of %zu bytes: none", entry_names[entry],
				sizes[i]);
			if (n == 0)
				memset(answer.block, 1, sizes[i]);
			errno = NO_ERROR;
			give_back(answer.block, first_for(entry), sizes[i]);
			REQUIRE(errno == NO_ERROR, "%s of %zu bytes: errno became %d",
				entry_names[entry], sizes[i], errno);
		}
	return true;
}

static bool gives_back(enum entry from, enum entry to,
		       void (*give_back)(void *block, size_t alignment, size_t size))
{
	for (enum entry entry = from; entry <= to; entry++) {
		size_t before;

		/* What an allocator keeps at hand counts as in use in some. */
		if (!come_and_go(entry, 100, give_back))
			return false;
		before = bytes_in_use();
		if (!come_and_go(entry, 1, give_back))
			return false;
		REQUIRE(bytes_in_use() < before + LOST_MOST, "%s: %zu bytes in use became %zu",
			entry_names[entry], before, bytes_in_use());
	}
	errno = NO_ERROR;
	give_back(NULL, 64, 100);
	REQUIRE(errno == NO_ERROR, "NULL: errno became %d", errno);
	return true;
}

static void by_free(void *block, size_t alignment, size_t size)
{
	(void)alignment, (void)size;
	free(block);
}

static bool frees(const struct clause *clause)
{
	(void)clause;
	return gives_back(0, ENTRIES - 1, by_free);
}

/* Functions that not every C library has. */
static void (*free_sized_here)(void *block, size_t size);
static void (*free_aligned_sized_here)(void *block, size_t alignment, size_t size);
static void (*cfree_here)(void *block);

static bool find(void *function, const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	memcpy(function, &found, sizeof(found));
	return found ? true : because("there is no %s", name);
}

static void by_free_sized(void *block, size_t alignment, size_t size)
{
	(void)alignment;
	free_sized_here(block, size);
}

static void by_free_aligned_sized(void *block, size_t alignment, size_t size)
{
	free_aligned_sized_here(block, alignment, size);
}

static void by_cfree(void *block, size_t alignment, size_t size)
{
	(void)alignment, (void)size;
	cfree_here(block);
}

/* It takes what malloc, calloc and realloc gave. */
static bool frees_sized(const struct clause *clause)
{
	(void)clause;
	return find(&free_sized_here, "free_sized") &&
	       gives_back(MALLOC, REALLOCARRAY, by_free_sized);
}

/* It takes what aligned_alloc gave. */
static bool frees_aligned_sized(const struct clause *clause)
{
	(void)clause;
	return find(&free_aligned_sized_here, "free_aligned_sized") &&
	       gives_back(ALIGNED_ALLOC, ALIGNED_ALLOC, by_free_aligned_sized);
}

static bool frees_by_cfree(const struct clause *clause)
{
	(void)clause;
	return find(&cfree_here, "cfree") && gives_back(0, ENTRIES - 1, by_cfree);
}

/* realloc is to free here. */
static void by_realloc(void *block, size_t alignment, size_t size)
{
	volatile size_t none = 0;

	(void)alignment, (void)size;
	if (block && realloc(block, none))
		errno = EEXIST;
}

static bool realloc_to_nothing(const struct clause *clause)
{
	(void)clause;
	return gives_back(0, ENTRIES - 1, by_realloc);
}

static void by_reallocarray(void *block, size_t alignment, size_t size)
{
	volatile size_t none = 0;

	(void)alignment;
	if (block && reallocarray(block, size % 2 ? none : size + 1, size % 2 ? size : none))
		errno = EEXIST;
}

static bool reallocarray_to_nothing(const struct clause *clause)
{
	(void)clause;
	return gives_back(0, ENTRIES - 1, by_reallocarray);
}

/* A block of each entry goes from every size to every other. */
static bool realloc_keeps(const struct clause *clause)
{
	bool array = clause->row != NULL;

	for (enum entry entry = 0; entry < ENTRIES; entry++)
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			for (size_t k = 1; k < COUNT_OF(sizes); k++) {
				size_t least = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
				volatile size_t size = sizes[k];
				struct answer answer;
				void *block;

				if (!sizes[i] && (entry == REALLOC || entry == REALLOCARRAY))
					continue;
				answer = call(entry, first_for(entry), sizes[i]);
				REQUIRE(answer.block, "%s of %zu bytes", entry_names[entry],
					sizes[i]);
				fill(answer.block, sizes[i], 3);
				block = array ? reallocarray(answer.block, size, 1) :
						realloc(answer.block, size);
				REQUIRE(block, "%s: %zu bytes to %zu", entry_names[entry], sizes[i],
					sizes[k]);
				REQUIRE((uintptr_t)block % 16 == 0, "%p", block);
				REQUIRE(holds(block, least, 3), "%s: %zu bytes to %zu lost content",
					entry_names[entry], sizes[i], sizes[k]);
				REQUIRE(malloc_usable_size(block) >= sizes[k], "too few for %zu",
					sizes[k]);
				free(block);
			}
	return true;
}

static const struct clause rows[] = {
	{ "free: every block can be given back, NULL is nothing, errno stays",
	  "C17 7.22.3.3, POSIX", frees, NULL, NULL, NULL },
	{ "free_sized: as free, with malloc's, calloc's and realloc's", "C23 7.24.3.4", frees_sized,
	  "there is none before 2.43", NULL, NULL },
	{ "free_aligned_sized: as free, with aligned_alloc's", "C23 7.24.3.5", frees_aligned_sized,
	  "there is none before 2.43", NULL, NULL },
	{ "cfree: as free", "glibc before 2.26", frees_by_cfree, "there is none since 2.26", NULL,
	  NULL },
	{ "realloc to 0 bytes frees, gives NULL, and leaves errno", "glibc", realloc_to_nothing,
	  NULL, NULL, NULL },
	{ "reallocarray to 0 bytes frees, gives NULL, and leaves errno", "malloc(3)",
	  reallocarray_to_nothing, NULL, NULL, NULL },
	{ "realloc keeps the content up to the lesser size", "C17 7.22.3.5", realloc_keeps, NULL,
	  NULL, NULL },
	{ "reallocarray keeps the content up to the lesser size", "POSIX realloc", realloc_keeps,
	  NULL, NULL, "array" },
};

size_t add_frees(struct clause *to)
{
	memcpy(to, rows, sizeof(rows));
	return COUNT_OF(rows);
}
