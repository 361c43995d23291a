/*
 * Budget: the size of the arena under malloc, from the environment and the system.
 *
 * This runs in the process's first malloc, so it allocates nothing: files are read by open(2) and
 * read(2) into buffers on the stack. It also calls nothing of the C library that a small program
 * wouldn't have in memory anyway: the pages that snprintf(), strtok_r() and strcspn() bring along
 * are some 300 KiB, a fifth of such a process.
 */
#include "budget.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sizes.h"

#define TEXT_MOST 4096u

enum budget_text budget_parse(const char *text, uint64_t memory, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const uint64_t most = (UINT64_C(1) << 63) - 1;
	bool large = false;
	uint64_t number = 0;
	const char *unit;

	if (!isdigit((unsigned char)*text))
		return BUDGET_NO_SIZE;
	for (; isdigit((unsigned char)*text); text++) {
		large |= number > (most - 9) / 10;
		number = number * 10 + (uint64_t)(*text - '0');
	}
	if (*text && text[1])
		return BUDGET_NO_SIZE;
	if (*text == '%') {
		if (large || number > 100)
			return BUDGET_TOO_MUCH;
		*bytes = memory / 100 * number;
		return BUDGET_SIZE;
	}
	if (*text) {
		unit = strchr(units, toupper((unsigned char)*text));
		if (!unit)
			return BUDGET_NO_SIZE;
		for (long shift = 10 * (unit - units + 1); shift; shift--) {
			large |= number > most / 2;
			number *= 2;
		}
	}
	if (large)
		return BUDGET_TOO_LARGE;
	*bytes = number;
	return BUDGET_SIZE;
}

const char *budget_arena(const char *text, uint64_t memory, uint64_t *bytes)
{
	switch (budget_parse(text, memory, bytes)) {
	case BUDGET_NO_SIZE:
		return "not a size; give bytes, a number with K, M, G or T, or N% of memory, such "
		       "as 512M or 50%";
	case BUDGET_TOO_MUCH:
		return "more than all memory; give at most 100%";
	case BUDGET_SIZE:
		if (*bytes < ARENA_LEAST)
			return "too small; an arena has at least 64K";
		if (*bytes <= ARENA_MOST)
			return NULL;
		break;
	case BUDGET_TOO_LARGE:
		break;
	}
	return "too large; an arena has at most 1T";
}

/* Reads a whole small file as text; false if there is none. */
static int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return 0;
	text[n] = '\0';
	return 1;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Appends a word to a path of which this is the end; the new end. */
static char *append(char *end, const char *word)
{
	size_t length = strlen(word);

	memcpy(end, word, length + 1);
	return end + length;
}

/* Ends text before the first of this character; what follows it, NULL if there's none. */
static char *cut(char *text, char at)
{
	char *found = strchr(text, at);

	if (!found)
		return NULL;
	*found = '\0';
	return found + 1;
}

/* The limit of a control group and of those above it; path is what the kernel calls the group. */
static uint64_t group_limit(const char *root, const char *path, const char *file)
{
	uint64_t limit = UINT64_MAX;
	char group[TEXT_MOST / 2];
	char name[TEXT_MOST];
	char text[64];
	uint64_t bytes;

	if (strlen(path) >= sizeof(group))
		return limit;
	strcpy(group, path);
	for (;;) {
		char *slash;

		append(append(append(append(name, root), group), "/"), file);
		if (read_file(name, text, sizeof(text))) {
			cut(text, '\n');
			if (budget_parse(text, 0, &bytes) == BUDGET_SIZE)
				limit = least(limit, bytes);
		}
		slash = strrchr(group, '/');
		if (!slash)
			return limit;
		*slash = '\0';
	}
}

/* The limit of this process's control groups, of either version. */
static uint64_t groups_limit(void)
{
	uint64_t limit = UINT64_MAX;
	char text[TEXT_MOST];
	char *next;

	if (!read_file("/proc/self/cgroup", text, sizeof(text)))
		return limit;
	for (char *line = text; line; line = next) {
		char *controllers, *path;

		next = cut(line, '\n');
		controllers = cut(line, ':');
		path = controllers ? cut(controllers, ':') : NULL;
		if (!path)
			continue;
		if (!*controllers)
			limit = least(limit, group_limit("/sys/fs/cgroup", path, "memory.max"));
		else if (strcmp(controllers, "memory") == 0)
			limit = least(limit, group_limit("/sys/fs/cgroup/memory", path,
							 "memory.limit_in_bytes"));
	}
	return limit;
}

/* RAM; from /proc, since sysconf(_SC_PHYS_PAGES) isn't bound not to allocate. */
static uint64_t ram(void)
{
	char text[TEXT_MOST];
	const char *line;
	uint64_t kilobytes = 0;

	if (!read_file("/proc/meminfo", text, sizeof(text)))
		return UINT64_C(1) << 30;
	line = strstr(text, "MemTotal:");
	if (!line)
		return UINT64_C(1) << 30;
	while (*line && !isdigit((unsigned char)*line))
		line++;
	while (isdigit((unsigned char)*line))
		kilobytes = kilobytes * 10 + (uint64_t)(*line++ - '0');
	return kilobytes << 10;
}

uint64_t budget_memory(void)
{
	uint64_t memory = least(ram(), groups_limit());
	struct rlimit limit;

	/* An address-space limit has to leave room for the program's other mappings. */
	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		memory = least(memory, limit.rlim_cur / 2);
	return memory;
}
