/*
 * Threads that can't be started: what the C library allocates for one comes back each time.
 *
 *	no_threads		their stacks are too large for any machine
 *	no_threads clone	the kernel refuses them (see refuse.c)
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIES 1000

static void *be_a_thread(void *argument)
{
	return argument;
}

int main(int argc, char **argv)
{
	size_t before = 0;
	pthread_attr_t attributes;
	pthread_t thread;

	(void)argv;
	pthread_attr_init(&attributes);
	if (argc < 2 && pthread_attr_setstacksize(&attributes, (size_t)1 << 46) != 0)
		return 1;
	for (int i = 0; i < TRIES; i++) {
		void *block = malloc((size_t)i);

		if (pthread_create(&thread, &attributes, be_a_thread, NULL) != EAGAIN)
			return 2;
		free(block);
		if (i == 10)
			before = mallinfo2().uordblks;
	}
	if (mallinfo2().uordblks != before) {
		fprintf(stderr, "%zu bytes are live, %zu were\n", mallinfo2().uordblks, before);
		return 3;
	}
	if (argc < 2 && (pthread_create(&thread, NULL, be_a_thread, NULL) != 0 ||
			 pthread_join(thread, NULL) != 0))
		return 4;
	return 0;
}
