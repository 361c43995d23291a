/*
 * OS: see os.h. Beyond what os.h tells, every call is the real one.
 */
#include "os.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

struct os os;

int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
void *__real_mmap(void *start, size_t bytes, int access, int flags, int file, off_t offset);
void *__wrap_mmap(void *start, size_t bytes, int access, int flags, int file, off_t offset);
int __real_mprotect(void *start, size_t bytes, int access);
int __wrap_mprotect(void *start, size_t bytes, int access);
int __real_madvise(void *start, size_t bytes, int advice);
int __wrap_madvise(void *start, size_t bytes, int advice);
void *__real_mremap(void *start, size_t bytes, size_t size, int flags, ...);
void *__wrap_mremap(void *start, size_t bytes, size_t size, int flags, ...);

void os_begin(void)
{
	os = (struct os){ .clock_ms = 1000000 };
}

static bool is_refused(enum os_call call)
{
	if (!os.refuse[call] || --os.refuse[call])
		return false;
	os.refused++;
	errno = ENOMEM;
	return true;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	if (!os.busy)
		return __real_pthread_mutex_trylock(mutex);
	os.busy--;
	os.busy_met++;
	return EBUSY;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
	if (id != CLOCK_MONOTONIC_COARSE)
		return __real_clock_gettime(id, now);
	now->tv_sec = (time_t)(os.clock_ms / 1000);
	now->tv_nsec = (long)(os.clock_ms % 1000) * 1000000;
	return 0;
}

/* So much more is mapped that a multiple of OS_ALIGN lies in it; what's around is given back. */
static void *map_aligned(size_t bytes, int access, int flags)
{
	char *space = __real_mmap(NULL, bytes + OS_ALIGN, access, flags, -1, 0);
	size_t front;

	if (space == MAP_FAILED)
		return MAP_FAILED;
	front = -(uintptr_t)space % OS_ALIGN;
	if (front)
		munmap(space, front);
	if (OS_ALIGN - front)
		munmap(space + front + bytes, OS_ALIGN - front);
	return space + front;
}

void *__wrap_mmap(void *start, size_t bytes, int access, int flags, int file, off_t offset)
{
	if (start)
		return __real_mmap(start, bytes, access, flags, file, offset);
	if (!os.creating)
		os.asked++;
	return map_aligned(bytes, access, flags);
}

int __wrap_mprotect(void *start, size_t bytes, int access)
{
	return is_refused(OS_MPROTECT) ? -1 : __real_mprotect(start, bytes, access);
}

int __wrap_madvise(void *start, size_t bytes, int advice)
{
	return is_refused(OS_MADVISE) ? -1 : __real_madvise(start, bytes, advice);
}

void *__wrap_mremap(void *start, size_t bytes, size_t size, int flags, ...)
{
	va_list arguments;
	void *to;

	va_start(arguments, flags);
	to = va_arg(arguments, void *);
	va_end(arguments);
	return is_refused(OS_MREMAP) ? MAP_FAILED : __real_mremap(start, bytes, size, flags, to);
}

void *os_memory(size_t bytes)
{
	void *memory = map_aligned(bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);

	if (memory == MAP_FAILED) {
		perror("fuzz: mmap");
		exit(1);
	}
	return memory;
}
