/*
 * A program's file: the search along PATH, and a look into its ELF header.
 *
 * A preloaded library reaches a program only through its dynamic linker, which a static program
 * doesn't have, which takes libraries of its own machine and word size alone, and which ignores
 * LD_PRELOAD where the program gains rights. A script is judged by its interpreter.
 */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A script's interpreter may be a script; the kernel goes no deeper than this either. */
#define SCRIPTS_MOST	5

/* 0 if path can be executed, else an errno. */
static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOTDIR ? ENOENT : errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return access(path, X_OK) == 0 ? 0 : errno;
}

char *program_find(const char *name)
{
	const char *path = getenv("PATH");
	size_t length = strlen(name);
	int error = ENOENT;

	if (strchr(name, '/')) {
		error = executable(name);
		if (error) {
			errno = error;
			return NULL;
		}
		return strdup(name);
	}

	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (;;) {
		size_t span = strcspn(path, ":");
		char *file = malloc(span + length + 3);
		int state;

		if (!file)
			return NULL;
		/* An empty element is the current directory. */
		sprintf(file, "%.*s/%s", span ? (int)span : 1, span ? path : ".", name);
		state = executable(file);
		if (!state)
			return file;
		free(file);
		/*
		 * A directory on the way is passed over; a file that may not be run is remembered.
		 */
		if (state == EACCES)
			error = state;
		if (!path[span])
			break;
		path += span + 1;
	}
	errno = error;
	return NULL;
}

static const char gaining[] = "gains rights when it starts (set-user-id or the like)";

static bool gains_rights(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static bool has_interpreter(int file, const Elf64_Ehdr *header)
{
	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;
		off_t place = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);

		if (pread(file, &segment, sizeof(segment), place) != sizeof(segment))
			return true;	/* a broken file: the kernel will say so */
		if (segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* The interpreter that the first line of a script names, in place; NULL if there is none. */
static char *script_interpreter(char *text)
{
	char *start;

	if (strncmp(text, "#!", 2) != 0)
		return NULL;
	start = text + 2 + strspn(text + 2, " \t");
	start[strcspn(start, " \t\n")] = '\0';
	return *start ? start : NULL;
}

static const char *obstacle(const char *path, int depth)
{
	union {
		Elf64_Ehdr header;
		char text[256];
	} head;
	const char *found = NULL;
	ssize_t length;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0)	/* it may be executable all the same */
		return gains_rights(path) ? gaining : NULL;
	length = read(file, head.text, sizeof(head.text) - 1);
	head.text[length > 0 ? length : 0] = '\0';

	if (length >= (ssize_t)sizeof(head.header) &&
	    memcmp(head.header.e_ident, ELFMAG, SELFMAG) == 0) {
		if (head.header.e_ident[EI_CLASS] != ELFCLASS64)
			found = "is of another word size than acre";
		else if (gains_rights(path))
			found = gaining;
		else if (!has_interpreter(file, &head.header))
			found = "is statically linked";
	} else if (depth < SCRIPTS_MOST) {
		char *interpreter = script_interpreter(head.text);

		if (interpreter)
			found = obstacle(interpreter, depth + 1);
	}
	close(file);
	return found;
}

const char *program_obstacle(const char *path)
{
	return obstacle(path, 0);
}
