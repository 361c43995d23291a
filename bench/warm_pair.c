/*
 * malloc and free of 64 bytes, in turn, so many times: what bench/instructions counts.
 */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long pairs = argc == 2 ? atol(argv[1]) : 0;

	if (pairs <= 0) {
		fprintf(stderr, "usage: %s PAIRS, a number above 0\n", argv[0]);
		return 2;
	}
	while (pairs--) {
		/* Volatile: or the compiler leaves both calls out. */
		void *volatile block = malloc(64);

		free(block);
	}
	return 0;
}
