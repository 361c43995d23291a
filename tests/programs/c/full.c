/*
 * A program that lives in a full arena: allocation fails with ENOMEM as often as it's tried, and
 * succeeds again after a free; threads and what the C library allocates included.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 50000

static char *slots[SLOTS];

static void *fill(void *argument)
{
	size_t *count = argument;

	for (size_t size = 65536; size >= 16; size /= 2)
		while (*count < SLOTS) {
			char *block = malloc(size);

			if (!block) {
				if (errno != ENOMEM)
					abort();
				break;
			}
			memset(block, 1, size);
			slots[(*count)++] = block;
		}
	return NULL;
}

int main(void)
{
	size_t count = 0;
	size_t again = 0;
	size_t length;
	char *text;
	pthread_t thread;

	if (pthread_create(&thread, NULL, fill, &count) != 0)
		return 1;
	pthread_join(thread, NULL);
	for (int i = 0; i < 1000; i++)
		if (malloc(1 << 20) || errno != ENOMEM)
			abort();
	if (malloc(10000) || open_memstream(&text, &length))
		abort();
	printf("full: %d\n", count > 300);
	for (size_t i = 0; i < count; i++)
		free(slots[i]);
	memset(slots, 0, sizeof(slots));
	fill(&again);
	printf("full again: %d\n", again + 100 > count);
	for (size_t i = 0; i < again; i++)
		free(slots[i]);
	char *most = malloc(12 << 20);

	printf("whole again: %d\n", most != NULL);
	free(most);
	return 0;
}
