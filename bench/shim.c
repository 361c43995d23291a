/*
 * glibc's allocator, to be preloaded: for programs that are linked to another one, as Debian's
 * redis-server is to jemalloc, and are to run on glibc's in a comparison.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

/* The names under which glibc offers its own functions; malloc_usable_size has none. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
void __libc_free(void *block);

static size_t (*usable_size)(void *block);

/* Looked up in libc.so.6 itself: the next in the search order would be the other allocator's. */
static void __attribute__((constructor)) find_usable_size(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	if (libc)
		*(void **)&usable_size = dlsym(libc, "malloc_usable_size");
	if (!usable_size)
		abort();
}

void *malloc(size_t size)
{
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
	return __libc_realloc(block, size);
}

void free(void *block)
{
	__libc_free(block);
}

void *memalign(size_t alignment, size_t size)
{
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
	int before = errno;
	void *block;

	if (alignment < sizeof(void *) || (alignment & (alignment - 1)))
		return EINVAL;
	block = __libc_memalign(alignment, size);
	errno = before;
	if (!block)
		return ENOMEM;
	*result = block;
	return 0;
}

void *valloc(size_t size)
{
	return __libc_valloc(size);
}

void *pvalloc(size_t size)
{
	return __libc_pvalloc(size);
}

size_t malloc_usable_size(void *block)
{
	if (!usable_size)
		find_usable_size();
	return usable_size(block);
}
