/*
 * G1, Fixed: an arena in the caller's buffer, of any address and odd size, writes nowhere else; and
 * after its creation no arena asks the system for memory.
 */
#include "support.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The caller's buffer.
 */
#define GUARD 8192
#define GUARD_BYTE 0xa7
static unsigned char space[GUARD + 64 + 3 * MIB + GUARD] __attribute__((aligned(4096)));

static struct acre *create_guarded(size_t offset, size_t size, const struct acre_options *options)
{
	memset(space, GUARD_BYTE, sizeof(space));
	errno = 0;
	return acre_create_at(space + GUARD + offset, size, options);
}

static void guards_must_hold(size_t offset, size_t size)
{
	size_t end = GUARD + offset + size;

	must(all_bytes(space, GUARD + offset, GUARD_BYTE), "before the %zu bytes at %zu", size,
	     offset);
	must(all_bytes(space + end, sizeof(space) - end, GUARD_BYTE), "behind the %zu bytes at %zu",
	     size, offset);
}

static const size_t buffer_sizes[] = { 64 * KIB,	64 * KIB + 1, 64 * KIB + 13,
				       64 * KIB + 4095, 100003,	      262144 - 8,
				       300007,		MIB - 1,      2 * MIB + 4097 };

/* G1: "acre_create_at writes nowhere but in the caller's buffer"; any alignment, any size. */
START_TEST(a_buffer_of_any_address_and_size)
{
	size_t size = buffer_sizes[_i / 2];
	const struct acre_options *options = &both[_i % 2];

	for (size_t offset = 0; offset <= 64; offset += SCALE(1, 7)) {
		struct acre *arena = create_guarded(offset, size, options);
		const char *low = (const char *)space + GUARD + offset;
		struct image image = { 0 };

		must(arena, "%zu bytes at %zu: %s", size, offset, strerror(errno));
		must(stats_of(arena).size <= size, "%zu of %zu bytes", stats_of(arena).size, size);
		must(stats_of(arena).largest_free >= size / 2, "%zu of %zu bytes at %zu",
		     stats_of(arena).largest_free, size, offset);
		work_in(arena, size / 16, 2000, offset);
		take_the_largest(arena);
		for (size_t n = size / 4; n > 100; n = n * 4 / 5) {
			char *block = acre_aligned_alloc(arena, n & 1 ? 4096 : 256, n);

			if (block)
				memset(block, 0x11, acre_usable_size(arena, block));
		}
		while (acre_malloc(arena, 50))
			;
		look(arena, &image);
		for (size_t i = 0; i < image.count; i++) {
			const char *block = image.blocks[i].address;

			must(block >= low && block + image.blocks[i].size <= low + size,
			     "block %p of %zu bytes", (const void *)block, image.blocks[i].size);
			if (image.blocks[i].state == ACRE_LIVE)
				memset((void *)(uintptr_t)block, 0x22, image.blocks[i].size);
		}
		must_be_sound(arena);
		acre_trim(arena);
		end_arena(arena);
		forget(&image);
		guards_must_hold(offset, size);
	}
}
END_TEST

START_TEST(buffers_that_are_refused)
{
	static const size_t wrong[] = { 0, 1, 4096, 64 * KIB - 1, TIB + 1, SIZE_MAX, SIZE_MAX / 2 };

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct acre *arena = create_guarded(i, wrong[i], NULL);

		must(!arena && errno == EINVAL, "%zu bytes: %s", wrong[i], strerror(errno));
		must(all_bytes(space, sizeof(space), GUARD_BYTE), "%zu bytes", wrong[i]);
	}
	errno = 0;
	ck_assert_ptr_null(acre_create_at(NULL, MIB, NULL));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(acre_create_at((void *)(UINTPTR_MAX - 1000), MIB, NULL));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

struct worker {
	struct acre *arena;
	size_t most;
	int steps;
	uint64_t seed;
	pthread_barrier_t *gate; /* passed once before the work and once after it, if not NULL */
};

static void *work(void *argument)
{
	struct worker *worker = argument;

	if (worker->gate)
		meet(worker->gate);
	work_in(worker->arena, worker->most, worker->steps, worker->seed);
	acre_flush(worker->arena);
	if (worker->gate)
		meet(worker->gate);
	return NULL;
}

START_TEST(a_buffer_under_many_threads)
{
	size_t size = buffer_sizes[_i];
	size_t offset = 3 + (size_t)_i;
	struct acre *arena = create_guarded(offset, size, NULL);
	pthread_t threads[8];
	struct worker worker = { arena, size / 128, SCALE(20000, 1000), (uint64_t)_i, NULL };

	ck_assert_ptr_nonnull(arena);
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < COUNT_OF(threads); i++)
			threads[i] = start(work, &worker);
		for (size_t i = 0; i < COUNT_OF(threads); i++)
			finish(threads[i]);
		take_the_largest(arena);
		guards_must_hold(offset, size);
	}
	acre_trim(arena);
	end_arena(arena);
	guards_must_hold(offset, size);
}
END_TEST

/*
 * G1 as the system sees it.
 */
/* Everything that may move memory: refusals, moved large blocks, trims, several threads. */
static void use_all_of(struct acre *arena)
{
	char *block;

	work_in(arena, 4 * MIB, 3000, 31);
	block = acre_malloc(arena, 4 * MIB);
	must(block, "4 MiB");
	for (size_t size = 5 * MIB; size < 40 * MIB; size += 3 * MIB) {
		char *fence = acre_malloc(arena, 100);

		block = acre_realloc(arena, block, size);
		must(block && fence, "%zu bytes", size);
		block[size - 1] = 1;
	}
	must(!acre_malloc(arena, GIB), "1 GiB");
	acre_free(arena, block);
	acre_trim(arena);
	while (acre_malloc(arena, 100000))
		;
	while (acre_malloc(arena, 1))
		;
}

START_TEST(no_mapping_grows)
{
	pthread_barrier_t gate;
	struct worker worker = { NULL, MIB, 5000, 7, &gate };
	pthread_t threads[4];
	size_t before;
	size_t created;

	if (UNDER_TSAN || UNDER_ASAN) {
		skip("a sanitizer maps memory of its own");
		return;
	}
	pthread_barrier_init(&gate, NULL, COUNT_OF(threads) + 1);
	mapped_bytes();
	before = mapped_bytes();
	worker.arena = new_arena(128 * MIB, &both[_i]);
	created = mapped_bytes();
	ck_assert_uint_le(created - before, 128 * MIB + 64 * KIB);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(work, &worker);
	before = mapped_bytes();
	meet(&gate);
	use_all_of(worker.arena);
	meet(&gate);
	ck_assert_uint_eq(mapped_bytes(), before);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	end_arena(worker.arena);
	ck_assert_uint_le(mapped_bytes(), before - 128 * MIB);
}
END_TEST

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef THIS_ARCH
/* Kills at brk, and at any mmap or mremap that isn't fixed to a place which is mapped already. */
static bool forbid_new_memory(void)
{
#define NUMBER offsetof(struct seccomp_data, nr)
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 8),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(3)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_FIXED, 4, 3),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(3)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MREMAP_FIXED, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { COUNT_OF(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ==
		       0;
}

static void work_without_new_memory(void *argument)
{
	static char buffer[64 * MIB];
	pthread_barrier_t gate;
	struct acre *arenas[2] = { new_arena(128 * MIB, argument),
				   acre_create_at(buffer, sizeof(buffer), argument) };
	struct worker workers[2] = { { arenas[0], MIB, 5000, 8, &gate },
				     { arenas[1], MIB, 5000, 9, &gate } };
	pthread_t threads[4];

	pthread_barrier_init(&gate, NULL, COUNT_OF(threads) + 1);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(work, &workers[i % 2]);
	if (!forbid_new_memory())
		_exit(77);
	meet(&gate);
	use_all_of(arenas[0]);
	use_all_of(arenas[1]);
	meet(&gate);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
}

static void break_the_rule(void *argument)
{
	char *more;

	if (!forbid_new_memory())
		_exit(77);
	more = mmap(argument, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	_exit(more == MAP_FAILED ? 2 : 3);
}
#endif

START_TEST(no_memory_is_asked_for)
{
#ifdef THIS_ARCH
	struct outcome outcome;

	if (UNDER_TSAN || UNDER_ASAN) {
		skip("a sanitizer maps memory of its own");
		return;
	}
	in_child(&outcome, break_the_rule, NULL, 10);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 77) {
		skip("seccomp filters can't be installed");
		return;
	}
	ck_assert(WIFSIGNALED(outcome.status));
	in_child(&outcome, work_without_new_memory, (void *)(uintptr_t)&both[_i], 60);
	must_succeed(&outcome, "memory was asked for");
#else
	skip("the seccomp filter isn't written for this machine");
#endif
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fixed");
	TCase *buffers = tcase_create("buffers");
	TCase *systems = tcase_create("system");

	tcase_set_timeout(buffers, 60);
	tcase_add_loop_test(buffers, a_buffer_of_any_address_and_size, 0,
			    2 * COUNT_OF(buffer_sizes));
	tcase_add_test(buffers, buffers_that_are_refused);
	tcase_add_loop_test(buffers, a_buffer_under_many_threads, 0, COUNT_OF(buffer_sizes));
	suite_add_tcase(suite, buffers);

	tcase_set_timeout(systems, 60);
	tcase_add_loop_test(systems, no_mapping_grows, 0, 2);
	tcase_add_loop_test(systems, no_memory_is_asked_for, 0, 2);
	suite_add_tcase(suite, systems);

	return run_suite(suite);
}
