/*
 * Runs all clauses, and judges by the column that is named: TAP without numbers, the plan first.
 *
 *	clauses glibc|acre
 *
 * A child each, so that a clause which aborts or hangs is one that fails. A difference that the
 * table knows must be there. glibc's column is of 2.36; with another version, what doesn't fit the
 * column is skipped.
 */
#include "standard.h"

#include <gnu/libc-version.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define GLIBC "2.36"
#define SECONDS 100	/* a child that takes longer hangs */

static int reasons = -1;

bool because(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vdprintf(reasons, format, list);
	va_end(list);
	return false;
}

/* Check's variable for slow machines and slow builds holds here too. */
static unsigned patience(void)
{
	const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");
	int times = multiplier ? atoi(multiplier) : 1;

	return SECONDS * (times > 1 ? (unsigned)times : 1);
}

/* Runs a check in a child; *text is what it says if the clause doesn't hold. */
static bool try(const struct clause *clause, char *text, size_t room)
{
	size_t used = 0;
	ssize_t got;
	int ends[2];
	int status;
	pid_t child;

	fflush(stdout);
	if (pipe(ends) != 0 || (child = fork()) < 0) {
		perror("clauses");
		exit(2);
	}
	if (!child) {
		close(ends[0]);
		reasons = ends[1];
		alarm(patience());
		_exit(clause->check(clause) ? 0 : 1);
	}
	close(ends[1]);
	while (used < room - 1 && (got = read(ends[0], text + used, room - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = 0;
	close(ends[0]);
	if (waitpid(child, &status, 0) != child) {
		perror("clauses: waitpid");
		exit(2);
	}
	if (WIFSIGNALED(status))
		snprintf(text, room, "killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) > 1)
		snprintf(text, room, "exit status %d", WEXITSTATUS(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int count, char **arguments)
{
	static struct clause clauses[CLAUSES_MOST];
	bool glibc = count == 2 && strcmp(arguments[1], "glibc") == 0;
	bool strict = !glibc || strcmp(gnu_get_libc_version(), GLIBC) == 0;
	size_t rows = 0;
	int failed = 0;

	if (count != 2 || (!glibc && strcmp(arguments[1], "acre") != 0)) {
		fputs("clauses: give the column to judge by, glibc or acre\n", stderr);
		return 2;
	}
	rows += add_refusals(clauses + rows);
	rows += add_blocks(clauses + rows);
	rows += add_frees(clauses + rows);
	rows += add_services(clauses + rows);
	printf("1..%zu\n", rows);
	for (size_t i = 0; i < rows; i++) {
		const struct clause *clause = &clauses[i];
		const char *known = glibc ? clause->glibc : clause->acre;
		char text[500];
		bool good = try(clause, text, sizeof(text));

		if (good && !known)
			printf("ok - %s [%s]\n", clause->name, clause->source);
		else if (!good && known)
			printf("ok - %s [%s]: known to differ: %s\n", clause->name, clause->source,
			       known);
		else if (!strict)
			printf("ok - %s [%s] # SKIP glibc %s isn't the %s of the table: %s\n",
			       clause->name, clause->source, gnu_get_libc_version(), GLIBC,
			       good ? "it conforms" : text);
		else if (good)
			printf("not ok - %s [%s]: it holds, but the table says: %s\n", clause->name,
			       clause->source, known);
		else
			printf("not ok - %s [%s]: %s\n", clause->name, clause->source, text);
		failed += good == (known != NULL) && strict;
	}
	return failed != 0;
}
