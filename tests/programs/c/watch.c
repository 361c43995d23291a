/*
 * Preloaded beside the drop-in where a program is starved on purpose: says on stderr, in lines that
 * begin with "acre: ", what would be acre's own fault. A crash or a hang inside the library, or in
 * what it called, is told from the program's own, and when the process exits the arena is checked.
 */
#include <acre/acre.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* A program that runs on another allocator isn't watched. */
#pragma weak acre_check
#pragma weak acre_default

static struct {
	uintptr_t start, end;
} ranges[8];
static unsigned count;

static int note(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (int i = 0; strstr(info->dlpi_name, "/libacre") && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || count == 8)
			continue;
		ranges[count].start = info->dlpi_addr + part->p_vaddr;
		ranges[count].end = ranges[count].start + part->p_memsz;
		count++;
	}
	return 0;
}

static void crashed(int number)
{
	static const char said[] = "acre: watch: a crash or a hang in the library\n";
	void *frames[64];
	int depth = backtrace(frames, 64);
	int ours = 0;

	for (int i = 0; i < depth; i++)
		for (unsigned k = 0; k < count; k++)
			ours |= (uintptr_t)frames[i] >= ranges[k].start &&
				(uintptr_t)frames[i] < ranges[k].end;
	if (ours && write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
		_exit(99);
	/* As it would have ended by itself: the handler is gone by now. */
	raise(number);
}

__attribute__((constructor)) static void begin(void)
{
	struct sigaction action = { .sa_handler = crashed, .sa_flags = (int)SA_RESETHAND };
	void *frame;

	/* The first call loads a library, which couldn't be done later. */
	backtrace(&frame, 1);
	dl_iterate_phdr(note, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
}

__attribute__((destructor)) static void end(void)
{
	/* Each fault has a line of its own. */
	if (acre_default && acre_default())
		acre_check(acre_default());
}
