/*
 * Allocation before main, in constructors, and after it, in atexit handlers and destructors. Blocks
 * made at one of these moments are resized and freed at another.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *kept[6];

static char *make(const char *text)
{
	char *block = malloc(strlen(text) + 1);

	if (!block)
		abort();
	return strcpy(block, text);
}

static void grow(int i, const char *text)
{
	kept[i] = realloc(kept[i], strlen(kept[i]) + strlen(text) + 1);
	if (!kept[i])
		abort();
	strcat(kept[i], text);
}

/* As early as a program's own code can run. */
static void first_of_all(int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	(void)environment;
	kept[0] = make("preinit");
	free(calloc(100, 100));
}

__attribute__((section(".preinit_array"),
	       used)) static void (*const preinit)(int, char **, char **) = first_of_all;

__attribute__((constructor(101))) static void early(void)
{
	kept[1] = make("early");
	grow(0, " early");
	free(aligned_alloc(4096, 10000));
}

__attribute__((constructor)) static void late(void)
{
	kept[2] = make("late");
	grow(0, " late");
	grow(1, " late");
}

static void show(const char *when)
{
	for (int i = 0; i < 6; i++)
		if (kept[i])
			printf("%s: %s\n", when, kept[i]);
}

static void at_exit_first(void)
{
	grow(0, " exit1");
	free(kept[3]);
	kept[3] = NULL;
	kept[4] = make("made at exit");
	show("exit 1");
}

static void at_exit_second(void)
{
	grow(0, " exit2");
	free(kept[1]);
	kept[1] = NULL;
	show("exit 2");
}

__attribute__((destructor)) static void last(void)
{
	grow(0, " destructor");
	kept[5] = make("made in a destructor");
	show("destructor");
	for (int i = 0; i < 6; i++)
		free(kept[i]);
}

__attribute__((destructor(101))) static void last_of_all(void)
{
	char *block = calloc(1, 100000);

	if (!block || block[99999])
		abort();
	free(block);
	puts("end");
}

int main(void)
{
	grow(0, " main");
	kept[3] = make("made in main");
	atexit(at_exit_second);
	atexit(at_exit_first);
	show("main");
	return 0;
}
