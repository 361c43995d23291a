/*
 * Target: the file that a command writes, by which no other is lost.
 *
 *	PATH.XXXXXX	is written first, beside it;
 *	PATH		is what that becomes when it's complete: until then it's as it was
 *
 * A file that is there already is replaced if it's empty, or of the kind that's written; any other
 * stays. What is no regular file (/dev/null, a pipe) has nothing to lose, and is written itself.
 */
#ifndef ACRE_TARGET_H
#define ACRE_TARGET_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* What a file is known by. */
struct target_kind {
	const char *name;	/* to be said behind "is no" */
	const char *mark;	/* this is in it, */
	size_t within;		/* in its first bytes, so many, up to 512 */
};

struct target {
	FILE *file;		/* what's to be written goes there */

	/* Private. */
	const struct target_kind *kind;
	char *path;		/* that of a symbolic link is what it leads to */
	char *beside;		/* NULL: path itself is written */
	mode_t mode;
};

/*
 * Whether a file of this kind may be written to the path: NULL, or what's wrong, in words to be said
 * behind the path. They stay until the next call.
 */
const char *target_check(const char *path, const struct target_kind *kind);

/* Whether both are names of one file. */
bool target_is(const char *path, const char *other);

/* Begins to write, whatever is there. NULL, or what's wrong, as above. */
const char *target_open(struct target *target, const char *path, const struct target_kind *kind);

/*
 * Ends it: the file is at its path. NULL, or what's wrong, and the path is as it was. If another file
 * has come there meanwhile, what was written is kept beside it, and the words say where.
 */
const char *target_close(struct target *target);

/* Ends it, and nothing was written. */
void target_abandon(struct target *target);

/*
 * An open file of another name beside the path, or, where that is no regular file, in TMPDIR. -1, with
 * errno; else *name is new.
 */
int target_beside(const char *path, char **name);

#endif
