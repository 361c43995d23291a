/*
 * Keeps the counts of processes that don't end by exit(): a shared object beside the libraries of
 * the tree that `make coverage` builds, and no part of any other.
 *
 * gcc's run-time library writes an image's counts (a program's, a shared library's) in a destructor.
 * A report of misuse ends by abort(), a test's child by _exit(), and neither runs destructors. So the
 * images are linked with --wrap=abort and --wrap=_exit, both come here, and all images that joined
 * (join.c) write theirs before the process ends.
 *
 *	libacre.so --join--+
 *	libacre-malloc.so -+-> images[] <-- __wrap_abort, __wrap__exit
 *	test program ------+
 *
 * abort() comes with a heap that can't be trusted, and perhaps with its locks held, and under the
 * drop-in malloc may refuse on purpose. That writing allocates, and stdio does too. So the libraries
 * are also linked with --wrap for what it calls: one buffer here stands for the file, another for the
 * heap. Nothing else in the libraries uses these functions.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "counts.h"

#define IMAGES 8

static struct {
	void (*dump)(void);
	void (*reset)(void);
} images[IMAGES];
static size_t joined;

void counts_join(void (*dump)(void), void (*reset)(void))
{
	if (joined == IMAGES)
		abort();
	images[joined].dump = dump;
	images[joined++].reset = reset;
}

/* After a reset they may be written again: by the parent of a vfork, after its child's _exit(). */
static void keep(void)
{
	for (size_t i = 0; i < joined; i++) {
		images[i].dump();
		images[i].reset();
	}
}

_Noreturn void __wrap_abort(void)
{
	keep();
	abort();
}

_Noreturn void __wrap__exit(int status)
{
	keep();
	_exit(status);
}

/* ---- The heap: a file's name at a time, gone when the file is; threads share a long ring ---- */

#define ROOM 4096
static char room[64][ROOM];
static atomic_uint turn;

void *__wrap_malloc(size_t size)
{
	return size <= ROOM ? room[atomic_fetch_add(&turn, 1) % 64] : NULL;
}

void __wrap_free(void *block)
{
	(void)block;
}

/* ---- The file: read as a whole, written as a whole; there's one at a time ---- */

static struct {
	int fd;
	size_t size, at;
	bool changed;
	char bytes[1 << 20];
} file;

/* The process that has it: what a forked child finds here of its parent's thread doesn't count. */
static atomic_int user;

static bool is_ours(const FILE *stream)
{
	return (const void *)stream == &file;
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
	int self = (int)getpid();
	int other = atomic_load(&user);
	ssize_t n;

	(void)mode;
	while (other == self || !atomic_compare_exchange_weak(&user, &other, self))
		other = atomic_load(&user);
	file.fd = fd;
	file.at = 0;
	file.size = 0;
	file.changed = false;
	while ((n = pread(fd, file.bytes + file.size, sizeof(file.bytes) - file.size,
			  (off_t)file.size)) > 0)
		file.size += (size_t)n;
	return (FILE *)(void *)&file;
}

size_t __wrap_fread(void *to, size_t size, size_t count, FILE *stream)
{
	if (!is_ours(stream))
		return fread(to, size, count, stream);
	if (size * count > file.size - file.at)
		return 0;
	memcpy(to, file.bytes + file.at, size * count);
	file.at += size * count;
	return count;
}

size_t __wrap_fwrite(const void *from, size_t size, size_t count, FILE *stream)
{
	if (!is_ours(stream))
		return fwrite(from, size, count, stream);
	if (size * count > sizeof(file.bytes) - file.at)
		return 0;
	memcpy(file.bytes + file.at, from, size * count);
	file.at += size * count;
	if (file.at > file.size)
		file.size = file.at;
	file.changed = true;
	return count;
}

int __wrap_fseek(FILE *stream, long offset, int whence)
{
	if (!is_ours(stream))
		return fseek(stream, offset, whence);
	if (whence == SEEK_CUR)
		offset += (long)file.at;
	else if (whence == SEEK_END)
		offset += (long)file.size;
	if (offset < 0 || (size_t)offset > file.size)
		return -1;
	file.at = (size_t)offset;
	return 0;
}

int __wrap_fclose(FILE *stream)
{
	bool failed;

	if (!is_ours(stream))
		return fclose(stream);
	failed = file.changed && (pwrite(file.fd, file.bytes, file.size, 0) != (ssize_t)file.size ||
				  ftruncate(file.fd, (off_t)file.size) != 0);
	failed = close(file.fd) != 0 || failed;
	atomic_store(&user, 0);
	return failed ? EOF : 0;
}
