/*
 * Target: see target.h.
 */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

#define HEAD_MOST	512u

__attribute__((format(printf, 1, 2))) static const char *say(const char *format, ...)
{
	static char *text;
	va_list arguments;

	free(text);
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		complain(FAILED, "out of memory");
	va_end(arguments);
	return text;
}

static const char *unwritten(int error)
{
	return say("can't be written: %s", strerror(error));
}

/* -1: it can't be read. */
static int has_mark(const char *path, const struct target_kind *kind)
{
	char head[HEAD_MOST];
	size_t most = kind->within < HEAD_MOST ? kind->within : HEAD_MOST;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (file < 0)
		return -1;
	length = read(file, head, most);
	close(file);
	if (length < 0)
		return -1;
	return memmem(head, (size_t)length, kind->mark, strlen(kind->mark)) != NULL;
}

const char *target_check(const char *path, const struct target_kind *kind)
{
	struct stat st;
	int known;

	if (stat(path, &st) != 0) {
		if (errno != ENOENT)
			return unwritten(errno);
		return lstat(path, &st) == 0 ? say("is a link to what isn't there: give that name, or "
						   "remove the link") : NULL;
	}
	if (S_ISDIR(st.st_mode))
		return say("is a folder: give a name for the file in it");
	if (S_ISREG(st.st_mode) && access(path, W_OK) != 0)
		return unwritten(errno);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return NULL;
	known = has_mark(path, kind);
	if (known < 0)
		return unwritten(errno);
	if (!known)
		return say("is there already, and is no %s: give another name, or remove it",
			   kind->name);
	return NULL;
}

bool target_is(const char *path, const char *other)
{
	struct stat a, b;

	return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int target_beside(const char *path, char **name)
{
	const char *folder = getenv("TMPDIR");
	int length;
	int file;

	if (is_special(path))
		length = asprintf(name, "%s/acre.XXXXXX", folder && *folder ? folder : "/tmp");
	else
		length = asprintf(name, "%s.XXXXXX", path);
	if (length < 0)
		complain(FAILED, "out of memory");
	file = mkostemp(*name, O_CLOEXEC);
	if (file < 0) {
		free(*name);
		*name = NULL;
	}
	return file;
}

/* The permissions that the file gets: those of one that's there, or those of a new one. */
static mode_t mode_of(const char *path)
{
	mode_t mask = umask(0);
	struct stat st;

	umask(mask);
	return stat(path, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask;
}

const char *target_open(struct target *target, const char *path, const struct target_kind *kind)
{
	char *real = realpath(path, NULL);
	int file;

	*target = (struct target){ .kind = kind };
	target->path = real ? real : strdup(path);
	if (!target->path)
		complain(FAILED, "out of memory");
	if (is_special(path))
		file = open(path, O_WRONLY | O_CLOEXEC);
	else
		file = target_beside(target->path, &target->beside);
	target->file = file < 0 ? NULL : fdopen(file, "w");
	if (!target->file) {
		int error = errno;

		if (file >= 0)
			close(file);
		target_abandon(target);
		return unwritten(error);
	}
	target->mode = mode_of(path);
	return NULL;
}

static void end(struct target *target)
{
	free(target->path);
	free(target->beside);
	*target = (struct target){ 0 };
}

void target_abandon(struct target *target)
{
	if (target->file)
		fclose(target->file);
	if (target->beside)
		unlink(target->beside);
	end(target);
}

const char *target_close(struct target *target)
{
	const char *wrong = NULL;
	bool failed;

	errno = 0;
	failed = fflush(target->file) != 0 || ferror(target->file) ||
		 (target->beside && fchmod(fileno(target->file), target->mode) != 0);
	failed |= fclose(target->file) != 0;
	target->file = NULL;
	if (failed) {
		/* What went wrong before the last bytes is known no more. */
		wrong = errno ? unwritten(errno) : say("can't be written to its end");
	} else if (target->beside && target_check(target->path, target->kind)) {
		wrong = say("has become another file meanwhile, which stays; what was written is "
			    "in %s", target->beside);
		end(target);
		return wrong;
	} else if (target->beside && rename(target->beside, target->path) != 0) {
		wrong = unwritten(errno);
	}
	if (wrong)
		target_abandon(target);
	else
		end(target);
	return wrong;
}
