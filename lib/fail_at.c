/*
 * See fail_at.h. This runs in the process's first malloc, so it allocates nothing.
 */
#include "fail_at.h"

#include <ctype.h>
#include <stdint.h>

int fail_at_parse(const char *text, struct acre_options *options)
{
	const size_t most = SIZE_MAX / 2;
	size_t number = 0;

	for (; isdigit((unsigned char)*text); text++) {
		if (number > (most - 9) / 10)
			return -1;
		number = number * 10 + (size_t)(*text - '0');
	}
	if (!number || (*text && (*text != '+' || text[1])))
		return -1;
	options->fail_at = number;
	options->fail_count = *text ? SIZE_MAX : 1;
	return 0;
}
