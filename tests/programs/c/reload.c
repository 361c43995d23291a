/*
 * Opens and closes libacre itself, as a plugin that is linked against it does: it can't be unloaded,
 * so threads that used it may end after it was closed, and what was mapped doesn't add up.
 *
 *	reload PATH
 */
#include <acre/acre.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES 300

static const char *path;
static pthread_barrier_t gate;

struct library {
	void *handle;
	struct acre *arena;
	struct acre *(*create)(size_t, const struct acre_options *);
	int (*destroy)(struct acre *);
	void *(*take)(struct acre *, size_t);
	void (*give)(struct acre *, void *);
};

static void *need(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);

	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return symbol;
}

static struct library open_it(void)
{
	struct library library = { .handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) };

	if (!library.handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	*(void **)&library.create = need(library.handle, "acre_create");
	*(void **)&library.destroy = need(library.handle, "acre_destroy");
	*(void **)&library.take = need(library.handle, "acre_malloc");
	*(void **)&library.give = need(library.handle, "acre_free");
	library.arena = library.create((size_t)4 << 20, NULL);
	if (!library.arena)
		abort();
	return library;
}

/* Uses an arena, and ends after the library was closed, with its cache full. */
static void *use(void *argument)
{
	struct library *library = argument;
	void *blocks[100];

	for (int i = 0; i < 100; i++) {
		blocks[i] = library->take(library->arena, (size_t)i * 10);
		memset(blocks[i], i, (size_t)i * 10);
	}
	for (int i = 0; i < 100; i++)
		library->give(library->arena, blocks[i]);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	return NULL;
}

static unsigned long mapped_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%lu", &pages) != 1)
		abort();
	fclose(file);
	return pages;
}

int main(int argc, char **argv)
{
	unsigned long before = 0;

	if (argc != 2)
		return 2;
	path = argv[1];
	pthread_barrier_init(&gate, NULL, 2);
	for (int i = 0; i < TIMES; i++) {
		struct library library = open_it();
		pthread_t thread;

		if (pthread_create(&thread, NULL, use, &library) != 0)
			abort();
		pthread_barrier_wait(&gate);
		/* Half of the threads end with their arena alive, half without. */
		if (i % 2 && library.destroy(library.arena) != 0)
			abort();
		if (dlclose(library.handle) != 0)
			abort();
		pthread_barrier_wait(&gate);
		pthread_join(thread, NULL);
		if (!(i % 2) && library.destroy(library.arena) != 0)
			abort();
		if (i == 10)
			before = mapped_pages();
	}
	if (mapped_pages() > before + 16) {
		fprintf(stderr, "%lu pages, %lu after the first times\n", mapped_pages(), before);
		return 1;
	}
	printf("opened and closed %d times\n", TIMES);
	return 0;
}
