/*
 * libacre-record.so: stands before the allocator, notes each call, and passes it on.
 *
 * `acre run --record` puts it into LD_PRELOAD before libacre-malloc.so, which knows nothing of it and
 * so costs the same as ever. Where notes go, and why their order is right, is told in recording.h.
 *
 *	program -> malloc here -> malloc of the next library, found with dlsym(RTLD_NEXT)
 *	             |
 *	             +-> two words into the thread's segment: no lock, no system call, no allocation
 *
 * Notes are taken by the process that was started, until it executes another program: the variable is
 * taken out of the environment before main. A child of a fork has no part in it, however it was made:
 * the flag that all notes depend on lies in a page that the kernel clears in a child.
 *
 * When a thread ends, its segment goes to the next that needs one, under a lock of its own; nothing
 * else here is shared but the counter, which is a plain one as long as there's one thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording.h"
#include "report.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PUBLIC __attribute__((visibility("default")))
#define RARELY(x) __builtin_expect(!!(x), 0)

/* The allocator behind. */
static struct {
	void *(*malloc)(size_t);
	void (*free)(void *);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*reallocarray)(void *, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	void (*free_sized)(void *, size_t);
	void (*free_aligned_sized)(void *, size_t, size_t);
} next;

static _Atomic char not_recording;
static _Atomic char *recording_flag = &not_recording;	/* in the page that children find cleared */
static struct recording *notes;
static pthread_key_t leaving;

/* What a segment still has room for. */
struct room {
	struct recording_slot *at;
	struct recording_slot *end;	/* the last slot: where at is lower, two are free */
};

/* Of threads that have ended. */
static struct room left[1024];
static unsigned left_count;
static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local struct room mine;
static _Thread_local uint32_t my_number;	/* from 1; 0 = none yet */

/* Relaxed: it only ever becomes false, and nothing hangs on when others see that. */
static inline bool recording_now(void)
{
	return atomic_load_explicit(recording_flag, memory_order_relaxed);
}

static void *function(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	struct line line = { 0 };

	if (found)
		return found;
	line_text(&line, "nothing behind libacre-record.so has ");
	line_text(&line, name);
	line_text(&line, ": start programs with acre run --record");
	report(&line);
	_exit(126);
}

/* The file whose number the environment has; false if it's none of the command's. */
static bool map_notes(void)
{
	const char *text = getenv(RECORDING_VARIABLE);
	int file = text ? atoi(text) : -1;
	struct recording head;
	struct stat st;
	void *map;

	if (file < 0 || fstat(file, &st) != 0 || !S_ISREG(st.st_mode) ||
	    pread(file, &head, sizeof(head), 0) != sizeof(head) || head.mark != RECORDING_MARK ||
	    (uint64_t)st.st_size != head.size)
		return false;
	map = mmap(NULL, head.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
	close(file);
	if (map == MAP_FAILED)
		return false;
	notes = map;
	return madvise(map, head.size, MADV_DONTFORK) == 0;
}

/* Starts the recording, if it's asked for; before there is a second thread. */
static void start(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *flag;

	if (!map_notes())
		return;
	flag = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (flag == MAP_FAILED || madvise(flag, page, MADV_WIPEONFORK) != 0)
		return;
	recording_flag = flag;
	atomic_store_explicit(recording_flag, 1, memory_order_relaxed);
	atomic_store_explicit(&notes->begun, 1, memory_order_relaxed);
}

static void leave(void *unused);

/* Finds the functions behind. No thread is there yet that could come twice. */
static __attribute__((noinline, cold)) void begin(void)
{
	int error = errno;

	next.free = (void (*)(void *))function("free");
	next.calloc = (void *(*)(size_t, size_t))function("calloc");
	next.realloc = (void *(*)(void *, size_t))function("realloc");
	next.reallocarray = (void *(*)(void *, size_t, size_t))function("reallocarray");
	next.aligned_alloc = (void *(*)(size_t, size_t))function("aligned_alloc");
	next.memalign = (void *(*)(size_t, size_t))function("memalign");
	next.posix_memalign = (int (*)(void **, size_t, size_t))function("posix_memalign");
	next.valloc = (void *(*)(size_t))function("valloc");
	next.pvalloc = (void *(*)(size_t))function("pvalloc");
	next.free_sized = (void (*)(void *, size_t))function("free_sized");
	next.free_aligned_sized =
		(void (*)(void *, size_t, size_t))function("free_aligned_sized");
	next.malloc = (void *(*)(size_t))function("malloc");
	start();
	pthread_key_create(&leaving, leave);
	errno = error;
}

/* Before main: what the program starts doesn't record. */
static __attribute__((constructor)) void clear_environment(void)
{
	if (!next.malloc)
		begin();
	unsetenv(RECORDING_VARIABLE);
}

static uint64_t take_number(void)
{
	uint64_t number;

	if (__libc_single_threaded) {
		number = atomic_load_explicit(&notes->number, memory_order_relaxed) + 1;
		atomic_store_explicit(&notes->number, number, memory_order_relaxed);
		return number;
	}
	/* Relaxed is enough: recording.h says why. */
	return atomic_fetch_add_explicit(&notes->number, 1, memory_order_relaxed) + 1;
}

/* A thread ends: another may use what it leaves. */
static void leave(void *unused)
{
	(void)unused;
	if (!recording_now() || mine.at >= mine.end)
		return;
	pthread_mutex_lock(&left_lock);
	if (left_count < sizeof(left) / sizeof(left[0])) {
		left[left_count++] = mine;
		mine = (struct room){ 0 };
	}
	pthread_mutex_unlock(&left_lock);
}

static bool take_left(void)
{
	bool found;

	pthread_mutex_lock(&left_lock);
	found = left_count != 0;
	if (found)
		mine = left[--left_count];
	pthread_mutex_unlock(&left_lock);
	return found;
}

/* A new segment, whose pages are made now: where the disk is full that fails, and kills nobody. */
static bool take_new(void)
{
	uint64_t at = atomic_fetch_add_explicit(&notes->taken, RECORDING_SEGMENT,
						memory_order_relaxed);
	char *segment = (char *)notes + at;

	if (at + RECORDING_SEGMENT > notes->size)
		return false;
	/* A kernel that doesn't know it makes pages as they are written. */
	if (madvise(segment, RECORDING_SEGMENT, MADV_POPULATE_WRITE) != 0 && errno != EINVAL)
		return false;
	mine.at = (struct recording_slot *)segment;
	mine.end = mine.at + RECORDING_SLOTS - 1;
	return true;
}

/* Notes from this number on don't count, since one is missing. */
static void stop(uint64_t number)
{
	uint64_t full = atomic_load_explicit(&notes->full, memory_order_relaxed);

	while ((!full || number < full) &&
	       !atomic_compare_exchange_weak_explicit(&notes->full, &full, number,
						      memory_order_relaxed, memory_order_relaxed))
		;
	atomic_store_explicit(recording_flag, 0, memory_order_relaxed);
}

static inline void write_slot(uint64_t when, enum recording_kind kind, uint64_t what)
{
	mine.at->what = what;
	/* Last, so that where the program is killed no half of a slot counts. */
	__atomic_store_n(&mine.at->when, when << 8 | kind, __ATOMIC_RELEASE);
	mine.at++;
}

/* Room for the thread's next notes; false if there is none. */
static __attribute__((noinline, cold)) bool make_room(void)
{
	int error = errno;
	uint64_t number;

	if (!take_left() && !take_new()) {
		stop(take_number());
		errno = error;
		return false;
	}
	if (!my_number)
		my_number = atomic_fetch_add_explicit(&notes->threads, 1, memory_order_relaxed) + 1;
	number = take_number();
	write_slot(number, RECORDING_THREAD, my_number);
	/* May allocate, which is a call like any other. */
	pthread_setspecific(leaving, &mine);
	errno = error;
	return mine.at < mine.end || make_room();
}

/* Notes a call; cheap where the size is below 64 KiB and nothing is aligned. */
static inline void note(enum recording_kind kind, const void *block, size_t size, size_t alignment)
{
	uint64_t what = (uint64_t)(uintptr_t)block << 16;

	if (RARELY(!recording_now()))
		return;
	if (RARELY(mine.at >= mine.end) && !make_room())
		return;
	if (size < RECORDING_BEYOND && alignment <= 1) {
		write_slot(take_number(), kind, what | size);
		return;
	}
	/* The second slot first: the first one makes both count. */
	mine.at[1].when = size;
	mine.at[1].what = alignment;
	write_slot(take_number(), kind, what | RECORDING_BEYOND);
	mine.at++;
}

static inline void *allocated(enum recording_kind kind, void *block, size_t size, size_t alignment)
{
	note(RARELY(!block) ? RECORDING_REFUSED : kind, block, size, alignment);
	return block;
}

PUBLIC void *malloc(size_t size)
{
	if (RARELY(!next.malloc))
		begin();
	return allocated(RECORDING_MALLOC, next.malloc(size), size, 1);
}

static inline void note_free(void *block)
{
	if (RARELY(!next.malloc))
		begin();
	if (block)
		note(RECORDING_FREE, block, 0, 1);
}

PUBLIC void free(void *block)
{
	note_free(block);
	next.free(block);
}

void cfree(void *block);

PUBLIC void cfree(void *block)
{
	note_free(block);
	next.free(block);
}

void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

PUBLIC void free_sized(void *block, size_t size)
{
	note_free(block);
	next.free_sized(block, size);
}

PUBLIC void free_aligned_sized(void *block, size_t alignment, size_t size)
{
	note_free(block);
	next.free_aligned_sized(block, alignment, size);
}

PUBLIC void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (RARELY(!next.malloc))
		begin();
	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	return allocated(RECORDING_CALLOC, next.calloc(count, size), bytes, 1);
}

PUBLIC void *realloc(void *block, size_t size)
{
	void *fresh;

	if (!block)
		return malloc(size);
	if (!size) {
		note_free(block);
		return next.realloc(block, 0);
	}
	if (RARELY(!next.malloc))
		begin();
	note(RECORDING_LEAVES, block, 0, 1);
	fresh = next.realloc(block, size);
	note(RECORDING_ARRIVES, fresh, size, 1);
	return fresh;
}

PUBLIC void *reallocarray(void *block, size_t count, size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(count, size, &bytes))
		return realloc(block, bytes);
	if (RARELY(!next.malloc))
		begin();
	return next.reallocarray(block, count, size);
}

/* What was refused for its alignment was no request. */
static void *aligned(void *block, size_t alignment, size_t size)
{
	if (block || errno == ENOMEM)
		allocated(alignment > 16 ? RECORDING_ALIGNED : RECORDING_MALLOC, block, size,
			  alignment > 16 ? alignment : 1);
	return block;
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
	if (RARELY(!next.malloc))
		begin();
	return aligned(next.aligned_alloc(alignment, size), alignment, size);
}

PUBLIC void *memalign(size_t alignment, size_t size)
{
	size_t power = 1;

	if (RARELY(!next.malloc))
		begin();
	while (power < alignment && power <= SIZE_MAX / 2)
		power *= 2;
	return aligned(next.memalign(alignment, size), power, size);
}

PUBLIC int posix_memalign(void **result, size_t alignment, size_t size)
{
	int error;

	if (RARELY(!next.malloc))
		begin();
	error = next.posix_memalign(result, alignment, size);
	if (error != EINVAL)
		allocated(alignment > 16 ? RECORDING_ALIGNED : RECORDING_MALLOC,
			  error ? NULL : *result, size, alignment > 16 ? alignment : 1);
	return error;
}

PUBLIC void *valloc(size_t size)
{
	if (RARELY(!next.malloc))
		begin();
	return aligned(next.valloc(size), (size_t)sysconf(_SC_PAGESIZE), size);
}

PUBLIC void *pvalloc(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (RARELY(!next.malloc))
		begin();
	return aligned(next.pvalloc(size), page, (size + page - 1) / page * page);
}
