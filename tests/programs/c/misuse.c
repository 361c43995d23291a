/*
 * One misuse of malloc, named by the argument. What the program says, it says without stdio, since
 * the heap may be hurt.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* There on the drop-in, by the library below it. */
__attribute__((weak)) struct acre *acre_create(size_t size, const void *options);
__attribute__((weak)) void *acre_malloc(struct acre *arena, size_t size);

static char *volatile block;
static char *volatile other;

static void overflow(size_t size)
{
	block = malloc(size);
	block[size] = 0;
	free(block);
}

static void write_after_free(size_t size, size_t offset)
{
	block = malloc(size);
	/* A neighbour that stays: fresh land behind a free block bears no stamp. */
	other = malloc(size);
	free(block);
	block[offset] = 'x';
	/* Until the same memory would come again. */
	for (int i = 0; i < 100000; i++) {
		other = malloc(size);
		if (other == block)
			_exit(4);
		free(other);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "double") == 0) {
		block = malloc(100);
		free(block);
		free(block);
	} else if (strcmp(what, "interior") == 0) {
		block = malloc(100);
		free(block + 16);
	} else if (strcmp(what, "code") == 0) {
		free((void *)(uintptr_t)main);
	} else if (strcmp(what, "mmap") == 0) {
		block = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
		free(block + 4096);
	} else if (strcmp(what, "arena") == 0) {
		/* Of an arena of the program's own, which comes after the one under malloc. */
		other = malloc(1);
		if (!acre_create)
			return 2;
		free(acre_malloc(acre_create(1 << 20, NULL), 100));
	} else if (strcmp(what, "wild") == 0) {
		free((void *)(uintptr_t)0x4141414141414140);
	} else if (strcmp(what, "neighbour") == 0) {
		/* 24 is all that its block has: the byte behind is the next one's. */
		for (int i = 0; i < 100; i++) {
			block = malloc(24);
			other = malloc(24);
			if (other == block + 32)
				break;
		}
		block[24] = 0;
		free(other);
	} else if (strcmp(what, "late") == 0) {
		write_after_free(100, 0);
	} else if (strcmp(what, "slack") == 0) {
		overflow(25);
	} else if (strcmp(what, "late-deep") == 0) {
		write_after_free(100, 50);
	} else if (strcmp(what, "page") == 0) {
		block = malloc(4096);
		block[4096 + 16] = 1;
	} else {
		return 2;
	}
	return 3;
}
