/*
 * Allocation in destructors of thread-specific data, at every round of them, in those of C++'s
 * thread_local, and in detached threads; blocks of threads that are gone.
 */
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 60 /* beyond 32 the C library allocates for them itself */
#define THREADS 400

static pthread_key_t keys[KEYS];
static char *left[THREADS];
static sem_t gone;

struct life {
	int number;
	int rounds;
	char *block;
};

static char *text_of(int number, size_t size)
{
	char *text = malloc(size);

	if (!text)
		abort();
	memset(text, 'a' + number % 26, size);
	return text;
}

static void check(const char *text, int number, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] != 'a' + number % 26)
			abort();
}

static void end_of_value(void *value)
{
	struct life *life = value;

	check(life->block, life->number, 100);
	free(life->block);
	life->block = text_of(life->number, 5000);
	check(life->block, life->number, 5000);
	free(life->block);
	life->block = text_of(life->number, 100);
	if (++life->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(keys[life->number % KEYS], life);
		return;
	}
	left[life->number] = life->block;
	free(life);
	sem_post(&gone);
}

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

static void end_of_object(void *object)
{
	check(object, 7, 1000);
	free(object);
	free(text_of(8, 3000));
}

static void *live(void *argument)
{
	struct life *life = argument;

	life->block = text_of(life->number, 100);
	pthread_setspecific(keys[life->number % KEYS], life);
	__cxa_thread_atexit_impl(end_of_object, text_of(7, 1000), &__dso_handle);
	for (int i = 0; i < 200; i++)
		free(text_of(i, (size_t)i * 13 + 1));
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	sem_init(&gone, 0, 0);
	for (int i = 0; i < KEYS; i++)
		pthread_key_create(&keys[i], end_of_value);
	for (int i = 0; i < THREADS; i++) {
		struct life *life = calloc(1, sizeof(*life));

		life->number = i;
		if (pthread_create(&threads[i], NULL, live, life) != 0)
			abort();
		if (i % 3 == 0)
			pthread_detach(threads[i]);
		else if (i % 3 == 1)
			pthread_join(threads[i], NULL);
	}
	for (int i = 2; i < THREADS; i += 3)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		sem_wait(&gone);
	for (int i = 0; i < THREADS; i++) {
		check(left[i], i, 100);
		left[i] = realloc(left[i], 1000);
		check(left[i], i, 100);
		free(left[i]);
	}
	puts("all threads ended, and all that they left was there");
	return 0;
}
