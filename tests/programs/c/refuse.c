/*
 * Runs a program to which the kernel refuses some of what an allocator asks for, by a seccomp filter.
 *
 *	refuse WHAT PROGRAM [ARGUMENT]...
 *
 *	reserve		mmap without access rights: ENOMEM
 *	reserve-1G	the same of 1 GiB or more
 *	commit		mprotect to read and write: ENOMEM
 *	advice		madvise, mincore and mremap: EPERM
 *	self		gettid and tgkill: EPERM
 *	clone		clone and clone3: EAGAIN
 *	nothing
 *
 * Status 77: filters can't be installed here.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#define THIS_ARCH 0
#endif

#define NUMBER offsetof(struct seccomp_data, nr)
#define LOW(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define HIGH(n) (LOW(n) + 4)
#define LOAD(place) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (place))
#define IF_IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define IF_LEAST(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), (yes), (no))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static struct sock_filter reserve[] = {
	LOAD(NUMBER),		IF_IS(SYS_mmap, 0, 3), LOAD(LOW(2)),
	IF_IS(PROT_NONE, 0, 1), REFUSE(ENOMEM),	       ALLOW,
};

static struct sock_filter reserve_1g[] = {
	LOAD(NUMBER),	    IF_IS(SYS_mmap, 0, 7),     LOAD(LOW(2)),
	IF_IS(PROT_NONE, 0, 5), LOAD(HIGH(1)),	       IF_LEAST(1, 2, 0),
	LOAD(LOW(1)),	    IF_LEAST(1u << 30, 0, 1),  REFUSE(ENOMEM),
	ALLOW,
};

static struct sock_filter commit[] = {
	LOAD(NUMBER),			     IF_IS(SYS_mprotect, 0, 3), LOAD(LOW(2)),
	IF_IS(PROT_READ | PROT_WRITE, 0, 1), REFUSE(ENOMEM),		ALLOW,
};

static struct sock_filter advice[] = {
	LOAD(NUMBER),		  IF_IS(SYS_madvise, 2, 0), IF_IS(SYS_mincore, 1, 0),
	IF_IS(SYS_mremap, 0, 1), REFUSE(EPERM),		    ALLOW,
};

static struct sock_filter self[] = {
	LOAD(NUMBER), IF_IS(SYS_gettid, 1, 0), IF_IS(SYS_tgkill, 0, 1), REFUSE(EPERM), ALLOW,
};

static struct sock_filter no_clone[] = {
	LOAD(NUMBER), IF_IS(SYS_clone, 1, 0), IF_IS(SYS_clone3, 0, 1), REFUSE(EAGAIN), ALLOW,
};

static struct sock_filter nothing[] = { ALLOW };

#define FILTER(name) { #name, { sizeof(name) / sizeof(name[0]), name } }
static const struct {
	const char *name;
	struct sock_fprog program;
} filters[] = {
	FILTER(reserve),
	{ "reserve-1G", { sizeof(reserve_1g) / sizeof(reserve_1g[0]), reserve_1g } },
	{ "clone", { sizeof(no_clone) / sizeof(no_clone[0]), no_clone } },
	FILTER(commit), FILTER(advice), FILTER(self), FILTER(nothing),
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(filters) / sizeof(filters[0]); i++) {
		if (strcmp(argv[1], filters[i].name) != 0)
			continue;
		if (!THIS_ARCH || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filters[i].program) != 0)
			return 77;
		execvp(argv[2], argv + 2);
		return 127;
	}
	fputs("refuse: bad arguments: see its source\n", stderr);
	return 2;
}
