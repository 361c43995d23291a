/*
 * Each function of the family that the drop-in replaces, as the C library's manual has it, and
 * functions of the C library that allocate or free for the program. Prints what differs from that;
 * the same lines come out on any allocator.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int checks;

static void expect(int good, const char *what)
{
	checks++;
	if (!good)
		printf("not so: %s\n", what);
}

#define EXPECT(condition) expect(condition, #condition)

/* Hidden from the compiler, which knows that these can't be had. */
static volatile size_t huge = SIZE_MAX - 100;
static volatile size_t half = SIZE_MAX / 2 + 2;

static int zero(const char *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (block[i])
			return 0;
	return 1;
}

static void sizes_and_content(void)
{
	for (size_t size = 0; size < 300000; size += size / 5 + 1) {
		char *block = malloc(size);
		size_t usable = malloc_usable_size(block);

		EXPECT(block && (uintptr_t)block % 16 == 0 && usable >= size);
		memset(block, 0xff, usable);
		block = realloc(block, size * 2 + 1);
		EXPECT(block && (size == 0 || (unsigned char)block[size - 1] == 0xff));
		free(block);
		block = calloc(size, 3);
		EXPECT(block && zero(block, size * 3));
		free(block);
		block = reallocarray(NULL, size + 1, 7);
		EXPECT(block && malloc_usable_size(block) >= (size + 1) * 7);
		free(block);
	}
	EXPECT(malloc_usable_size(NULL) == 0);
	free(NULL);
}

static void alignments(void)
{
	for (size_t alignment = 8; alignment <= 1 << 22; alignment *= 2) {
		void *blocks[4] = { NULL };

		EXPECT(posix_memalign(&blocks[0], alignment, 100) == 0);
		blocks[1] = aligned_alloc(alignment, alignment);
		blocks[2] = memalign(alignment, 1);
		blocks[3] = memalign(alignment - 3, 50);
		for (int i = 0; i < 4; i++)
			EXPECT(blocks[i] && (uintptr_t)blocks[i] % alignment == 0);
		for (int i = 0; i < 4; i++)
			free(blocks[i]);
	}
	void *page = valloc(100);
	void *pages = pvalloc(5000);
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	EXPECT(page && (uintptr_t)page % size == 0);
	EXPECT(pages && (uintptr_t)pages % size == 0 && malloc_usable_size(pages) >= 2 * size);
	free(page);
	free(pages);
}

static void failures(void)
{
	char *block = malloc(100);
	void *unchanged = block;

	memset(block, 7, 100);
	errno = 0;
	EXPECT(!malloc(huge) && errno == ENOMEM);
	errno = 0;
	EXPECT(!calloc(half, 2) && errno == ENOMEM);
	errno = 0;
	EXPECT(!calloc(huge, 1) && errno == ENOMEM);
	errno = 0;
	EXPECT(!realloc(block, huge) && errno == ENOMEM && block[99] == 7);
	errno = 0;
	EXPECT(!reallocarray(block, half, 2) && errno == ENOMEM && block[99] == 7);
	errno = 0;
	EXPECT(!memalign(64, huge) && errno == ENOMEM);
	errno = 0;
	EXPECT(!aligned_alloc(64, huge) && errno == ENOMEM);
	errno = 0;
	EXPECT(!valloc(huge) && errno == ENOMEM);
	errno = 0;
	EXPECT(!pvalloc(huge) && errno == ENOMEM);
	EXPECT(posix_memalign(&unchanged, 64, huge) == ENOMEM && unchanged == block);
	EXPECT(posix_memalign(&unchanged, 3, 100) == EINVAL && unchanged == block);
	EXPECT(posix_memalign(&unchanged, 4, 100) == EINVAL && unchanged == block);
	EXPECT(posix_memalign(&unchanged, 0, 100) == EINVAL && unchanged == block);
	errno = 4711;
	free(block);
	EXPECT(errno == 4711);
	EXPECT(realloc(malloc(10), 0) == NULL);
	block = realloc(NULL, 0);
	EXPECT(block != NULL);
	free(block);
}

/* Blocks that the C library makes and the program frees, and the other way round. */
static void library(void)
{
	char *text = strdup("text");
	char *line = malloc(2);
	size_t room = 2;
	char *printed;
	char *memory;
	size_t length;
	FILE *stream = open_memstream(&memory, &length);
	char *folder = getcwd(NULL, 0);
	FILE *file = tmpfile();

	EXPECT(text && strcmp(text, "text") == 0);
	EXPECT(asprintf(&printed, "%0500d", 7) == 500 && printed[499] == '7');
	for (int i = 0; i < 1000; i++)
		fprintf(stream, "%d,", i);
	EXPECT(fclose(stream) == 0 && length == 3890 && memory[3889] == ',');
	EXPECT(folder && folder[0] == '/');
	fprintf(file, "%0300d\n", 5);
	rewind(file);
	EXPECT(getline(&line, &room, file) == 301 && room >= 301 && line[299] == '5');
	fclose(file);
	EXPECT(setenv("ACRE_FAMILY", printed, 1) == 0 && strlen(getenv("ACRE_FAMILY")) == 500);
	free(text);
	free(line);
	free(printed);
	free(memory);
	free(folder);
}

static void information(void)
{
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);
	char *block = malloc(1000000);
	struct mallinfo2 info = mallinfo2();

	EXPECT(info.arena + info.hblkhd >= 1000000);
	EXPECT(info.uordblks + info.hblkhd >= 1000000);
	EXPECT(malloc_info(0, stream) >= 0);
	errno = 0;
	fclose(stream);
	EXPECT(length > 10 && strncmp(text, "<malloc", 7) == 0);
	EXPECT(mallopt(M_TRIM_THRESHOLD, 100000) == 1);
	free(text);
	free(block);
	malloc_stats();
	EXPECT(malloc_trim(0) >= 0);
}

int main(void)
{
	sizes_and_content();
	alignments();
	failures();
	library();
	information();
	printf("%d checks\n", checks);
	return 0;
}
