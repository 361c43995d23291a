/*
 * What else the family has: settings and views.
 */
#include "standard.h"

#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static bool mallopt_takes(const struct clause *clause)
{
	static const int settings[][2] = {
		{ M_MXFAST, 0 },
		{ M_MXFAST, 64 },
		{ M_MXFAST, 160 },
		{ M_TRIM_THRESHOLD, -1 },
		{ M_TRIM_THRESHOLD, 100000 },
		{ M_TOP_PAD, 0 },
		{ M_TOP_PAD, 1 << 20 },
		{ M_MMAP_THRESHOLD, 0 },
		{ M_MMAP_THRESHOLD, 1 << 20 },
		{ M_MMAP_THRESHOLD, 32 << 20 },
		{ M_MMAP_MAX, 0 },
		{ M_MMAP_MAX, 100 },
		{ M_CHECK_ACTION, 3 },
		{ M_PERTURB, 0 },
		{ M_ARENA_TEST, 2 },
		{ M_ARENA_MAX, 1 },
	};
	struct answer answer;

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(settings); i++)
		REQUIRE(mallopt(settings[i][0], settings[i][1]) == 1, "%d is refused to %d",
			settings[i][1], settings[i][0]);
	answer = call(MALLOC, 0, 100000);
	REQUIRE(answer.block, "then no block can be had");
	free(answer.block);
	return true;
}

static bool mallopt_refuses(const struct clause *clause)
{
	static const int values[] = { -1, 161, 100000, INT32_MAX, INT32_MIN };

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(values); i++)
		REQUIRE(mallopt(M_MXFAST, values[i]) == 0, "M_MXFAST takes %d", values[i]);
	return true;
}

static bool mallopt_perturbs(const struct clause *clause)
{
	unsigned char *block;

	(void)clause;
	REQUIRE(mallopt(M_PERTURB, 0x5a) == 1, "it is refused");
	block = call(MALLOC, 0, 3000).block;
	for (size_t i = 0; i < 3000; i++)
		REQUIRE(block[i] == 0xa5, "byte %zu is %d", i, block[i]);
	free(block);
	return true;
}

/* Small blocks from a heap, and one that some allocators map by itself. */
static bool mallinfo2_counts(const struct clause *clause)
{
	static const size_t shapes[][2] = { { 1000, 5000 }, { 3, 20 * MIB } };
	static void *blocks[1000];

	(void)clause;
	free(call(MALLOC, 0, 100).block);
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		size_t all = shapes[i][0] * shapes[i][1];
		size_t before = bytes_in_use();
		struct mallinfo2 info;

		for (size_t k = 0; k < shapes[i][0]; k++) {
			blocks[k] = call(MALLOC, 0, shapes[i][1]).block;
			REQUIRE(blocks[k], "%zu bytes", shapes[i][1]);
		}
		REQUIRE(bytes_in_use() - before >= all && bytes_in_use() - before < all / 8 * 9,
			"%zu bytes more for %zu", bytes_in_use() - before, all);
		info = mallinfo2();
		REQUIRE(info.uordblks + info.fordblks <= info.arena, "%zu used, %zu free, of %zu",
			info.uordblks, info.fordblks, info.arena);
		REQUIRE(info.keepcost <= info.fordblks, "%zu of %zu free bytes", info.keepcost,
			info.fordblks);
		for (size_t k = 0; k < shapes[i][0]; k++)
			free(blocks[k]);
		REQUIRE(bytes_in_use() < before + MIB, "%zu bytes in use, %zu before",
			bytes_in_use(), before);
	}
	return true;
}

static bool mapped_blocks_apart(const struct clause *clause)
{
	void *block = call(MALLOC, 0, 20 * MIB).block;
	struct mallinfo2 info = mallinfo2();

	(void)clause;
	REQUIRE(block && info.hblks == 1 && info.hblkhd >= 20 * MIB, "%zu blocks of %zu bytes",
		info.hblks, info.hblkhd);
	return true;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static struct mallinfo narrow_mallinfo(void)
{
	return mallinfo();
}
#pragma GCC diagnostic pop

static bool mallinfo_agrees(const struct clause *clause)
{
	void *blocks[] = { call(MALLOC, 0, 1000).block, call(MALLOC, 0, 20 * MIB).block };
	struct mallinfo2 wide = mallinfo2();
	struct mallinfo narrow = narrow_mallinfo();
	const size_t wides[] = { wide.arena,	wide.ordblks, wide.smblks,  wide.hblks,
				 wide.hblkhd,	wide.usmblks, wide.fsmblks, wide.uordblks,
				 wide.fordblks, wide.keepcost };
	const int narrows[] = { narrow.arena,	 narrow.ordblks, narrow.smblks,	 narrow.hblks,
				narrow.hblkhd,	 narrow.usmblks, narrow.fsmblks, narrow.uordblks,
				narrow.fordblks, narrow.keepcost };

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(wides); i++)
		REQUIRE(narrows[i] == (wides[i] > INT_MAX ? INT_MAX : (int)wides[i]),
			"field %zu: %d for %zu", i, narrows[i], wides[i]);
	free(blocks[0]);
	free(blocks[1]);
	return true;
}

/* Elements that begin and end in order; no text of its own is judged. */
static bool well_formed(const char *text)
{
	int depth = 0;

	for (const char *at = strchr(text, '<'); at; at = strchr(at + 1, '<')) {
		const char *end = strchr(at, '>');

		if (!end || (at[1] == '/' && depth < 1))
			return false;
		if (at[1] == '/')
			depth--;
		else if (end[-1] != '/')
			depth++;
	}
	return depth == 0;
}

static bool malloc_info_writes(const struct clause *clause)
{
	static const char start[] = "<malloc version=\"";
	static const char end[] = "</malloc>\n";
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	(void)clause;
	REQUIRE(malloc_info(0, stream) == 0, "it doesn't return 0");
	fclose(stream);
	REQUIRE(strncmp(text, start, strlen(start)) == 0, "it begins otherwise");
	REQUIRE(strcmp(text + length - strlen(end), end) == 0, "it ends otherwise");
	REQUIRE(well_formed(text), "it isn't well-formed XML: %s", text);
	free(text);
	return true;
}

static bool malloc_info_heaps(const struct clause *clause)
{
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	(void)clause;
	malloc_info(0, stream);
	fclose(stream);
	REQUIRE(strstr(text, "<heap nr=\"0\">") && strstr(text, "<total type="),
		"they aren't there");
	return true;
}

static bool malloc_info_refuses(const struct clause *clause)
{
	static const int options[] = { 1, -1, INT32_MAX };
	char *text = NULL;
	size_t length = 0;

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(options); i++) {
		FILE *stream = open_memstream(&text, &length);
		int result, error;

		errno = NO_ERROR;
		result = malloc_info(options[i], stream);
		error = errno;
		fclose(stream);
		REQUIRE(result == -1 && error == EINVAL, "options %d: returns %d, errno %d",
			options[i], result, error);
		REQUIRE(length == 0, "options %d: it writes", options[i]);
		free(text);
	}
	return true;
}

/* Standard output and standard error are files meanwhile. */
static bool malloc_stats_writes(const struct clause *clause)
{
	int files[3] = { -1, memfd_create("out", 0), memfd_create("err", 0) };
	char text[4096] = "";
	ssize_t out, err;

	(void)clause;
	for (int fd = 1; fd <= 2; fd++)
		REQUIRE(files[fd] >= 0 && dup2(files[fd], fd) == fd, "%s", strerror(errno));
	malloc_stats();
	fflush(stdout);
	fflush(stderr);
	out = pread(files[1], text, sizeof(text) - 1, 0);
	err = pread(files[2], text, sizeof(text) - 1, 0);
	REQUIRE(out == 0, "it writes to standard output");
	REQUIRE(err > 0 && strpbrk(text, "0123456789") && text[err - 1] == '\n',
		"standard error has: %s", text);
	return true;
}

static size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (!file || fscanf(file, "%*u %zu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* The block taken last keeps a heap's end where it is, so that free alone gives nothing back. */
static bool malloc_trim_returns(const struct clause *clause)
{
	static void *blocks[4000];
	size_t peak, rest;
	void *last;
	int result;

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = call(MALLOC, 0, 10000).block;
		fill(blocks[i], 10000, 1);
	}
	last = call(MALLOC, 0, 10000).block;
	fill(last, 10000, 2);
	peak = resident_bytes();
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		free(blocks[i]);
	result = malloc_trim(0);
	rest = resident_bytes();
	REQUIRE(result == 0 || result == 1, "it returns %d", result);
	REQUIRE(rest + 30 * MIB < peak, "resident are %zu bytes, before %zu", rest, peak);
	REQUIRE(holds(last, 10000, 2), "a block in use was changed");
	result = malloc_trim(SIZE_MAX / 2);
	REQUIRE(result == 0 || result == 1, "with a pad it returns %d", result);
	free(last);
	return true;
}

static const struct clause rows[] = {
	{ "mallopt: each parameter of the manual is taken, with 1", "mallopt(3)", mallopt_takes,
	  NULL, NULL, NULL },
	{ "mallopt: a value out of M_MXFAST's range is refused, with 0", "mallopt(3)",
	  mallopt_refuses, NULL, NULL, NULL },
	{ "mallopt: M_PERTURB fills new blocks", "mallopt(3)", mallopt_perturbs, NULL,
	  "mallopt changes nothing", NULL },
	{ "mallinfo2: bytes in use and free, within the whole", "mallinfo(3)", mallinfo2_counts,
	  NULL, NULL, NULL },
	{ "mallinfo2: blocks that are mapped by themselves are counted apart", "mallinfo(3)",
	  mapped_blocks_apart, NULL, "there are none: all lie in the arena", NULL },
	{ "mallinfo: the same figures, INT_MAX for a larger one", "mallinfo(3)", mallinfo_agrees,
	  NULL, NULL, NULL },
	{ "malloc_info: returns 0 and writes an XML element malloc", "malloc_info(3)",
	  malloc_info_writes, NULL, NULL, NULL },
	{ "malloc_info: a heap element for each arena, and totals", "malloc_info(3)",
	  malloc_info_heaps, NULL, "one element arena", NULL },
	{ "malloc_info: other options get -1, EINVAL, and nothing written", "malloc_info(3)",
	  malloc_info_refuses, "returns EINVAL itself, and leaves errno", NULL, NULL },
	{ "malloc_stats: figures on standard error alone", "malloc_stats(3)", malloc_stats_writes,
	  NULL, NULL, NULL },
	{ "malloc_trim: free pages go back, the result is 0 or 1", "malloc_trim(3)",
	  malloc_trim_returns, NULL, NULL, NULL },
};

size_t add_services(struct clause *to)
{
	memcpy(to, rows, sizeof(rows));
	return COUNT_OF(rows);
}
