/*
 * A library with fork handlers that allocate. The dynamic linker starts a program's libraries before
 * the ones that are preloaded, so these handlers are set before the drop-in's own.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int handlers_called(void);

static int called;
static char *made;

static void handle(void)
{
	free(made);
	made = malloc(1000);
	if (!made)
		abort();
	memset(made, 3, 1000);
	for (size_t n = 10; n < 1000000; n *= 7) {
		char *block = calloc(n, 1);

		if (!block || block[n - 1])
			abort();
		block = realloc(block, n + n / 2);
		free(block);
	}
	called++;
}

int handlers_called(void)
{
	return called;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_atfork(handle, handle, handle);
}
