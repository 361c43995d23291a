/*
 * Opens and closes a library that allocates, from several threads; what it made is resized and freed
 * after it's gone.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *path;

static char *use(int i)
{
	void *library = dlopen(path, RTLD_NOW);
	char *(*text)(const char *);
	int (*count)(void);
	char number[20];
	char *made;

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	*(void **)&text = dlsym(library, "plugin_text");
	*(void **)&count = dlsym(library, "plugin_count");
	snprintf(number, sizeof(number), "%d", i);
	made = text(number);
	if (count() < 1)
		abort();
	dlclose(library);
	return made;
}

static void *use_often(void *unused)
{
	for (int i = 0; i < 100; i++) {
		char *made = use(5);

		made = realloc(made, 3000);
		if (strcmp(made, "5, made by the constructor") != 0)
			abort();
		free(made);
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];
	char *made[20];

	if (argc != 2)
		return 2;
	path = argv[1];
	for (int i = 0; i < 20; i++)
		made[i] = use(i);
	for (int i = 0; i < 20; i++) {
		puts(made[i]);
		free(made[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, use_often, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	puts("opened and closed 420 times");
	return 0;
}
