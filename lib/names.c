/*
 * Names: see names.h.
 */
#include "names.h"

#include <acre/acre.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned bits;
} guards_named[] = {
	{ "canaries", ACRE_CANARIES },
	{ "fill", ACRE_FILL },
	{ "quarantine", ACRE_QUARANTINE },
	{ "random", ACRE_RANDOM },
	{ "pages", ACRE_GUARD_PAGES },
	{ "all", ACRE_CANARIES | ACRE_FILL | ACRE_QUARANTINE | ACRE_RANDOM | ACRE_GUARD_PAGES },
};

/* The bits of one word; 0 if it's none. */
static unsigned guard_named(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(guards_named) / sizeof(guards_named[0]); i++)
		if (strlen(guards_named[i].name) == length &&
		    strncmp(guards_named[i].name, word, length) == 0)
			return guards_named[i].bits;
	return 0;
}

bool names_guards(const char *text, unsigned *guards)
{
	*guards = 0;
	for (;;) {
		size_t length = strcspn(text, ",");
		unsigned bits = guard_named(text, length);

		if (!bits)
			return false;
		*guards |= bits;
		if (!text[length])
			return true;
		text += length + 1;
	}
}
