/*
 * A library that plugins.c opens and closes: it allocates in its constructor and destructor and at
 * the end of its threads, and hands out blocks that outlive it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

char *plugin_text(const char *text);
int plugin_count(void);

static char *own;
static __thread int count;

__attribute__((constructor)) static void begin(void)
{
	own = malloc(100);
	strcpy(own, "made by the constructor");
}

__attribute__((destructor)) static void end(void)
{
	free(own);
	free(malloc(5000));
}

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

/* What a C++ thread_local's destructor does. */
static void end_of_object(void *object)
{
	free(object);
	free(malloc(3000));
}

static void *make(void *text)
{
	__cxa_thread_atexit_impl(end_of_object, malloc(200), &__dso_handle);
	count++;
	return strdup(text);
}

/* Made by a thread of its own, which is gone by the time it's used. */
char *plugin_text(const char *text)
{
	char *joined = malloc(strlen(text) + strlen(own) + 3);
	pthread_t thread;
	void *made;

	strcat(strcat(strcpy(joined, text), ", "), own);
	if (pthread_create(&thread, NULL, make, joined) != 0)
		abort();
	pthread_join(thread, &made);
	free(joined);
	count++;
	return made;
}

int plugin_count(void)
{
	return count;
}
