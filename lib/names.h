/*
 * Names: the words for an arena's options, as the command and the drop-in's environment have them.
 */
#ifndef ACRE_NAMES_H
#define ACRE_NAMES_H

#include <stdbool.h>

#define NAMES_GUARDS_ADVICE \
	"not guards; give canaries, fill, quarantine, random or pages, with commas, or all"

/* acre_options.guards from a list of names; false if there's another word in it, or none. */
bool names_guards(const char *text, unsigned *guards);

#endif
