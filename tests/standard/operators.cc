/*
 * What the C++ standard says of operator new and operator delete, a row per clause, on whatever
 * allocator the process has. TAP without numbers, the plan first. Built three times:
 *
 *	OWN=0	the program replaces none: the library's serve, from malloc
 *	OWN=1	it replaces operator new(size_t) and operator delete(void *) alone, and the
 *		library's other unaligned forms must go through these two
 *	OWN=2	it replaces all 20 forms, and each must be the one that is called
 *
 * An allocator that brings operators of its own would fail the second or the third. Section numbers
 * are those of C++17: 21.6.2.1 for the single forms, 21.6.2.2 for arrays.
 */
#include <malloc.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/* Some compilers declare these only when asked to. */
void operator delete(void *, std::size_t) noexcept;
void operator delete[](void *, std::size_t) noexcept;
void operator delete(void *, std::size_t, std::align_val_t) noexcept;
void operator delete[](void *, std::size_t, std::align_val_t) noexcept;

namespace
{
constexpr std::align_val_t wide{ 4096 };

enum new_form {
	NEW,
	NEW_NOTHROW,
	NEW_ARRAY,
	NEW_ARRAY_NOTHROW,
	NEW_ALIGNED,
	NEW_ALIGNED_NOTHROW,
	NEW_ARRAY_ALIGNED,
	NEW_ARRAY_ALIGNED_NOTHROW,
	NEWS
};

enum delete_form {
	DELETE,
	DELETE_SIZED,
	DELETE_NOTHROW,
	DELETE_ARRAY,
	DELETE_ARRAY_SIZED,
	DELETE_ARRAY_NOTHROW,
	DELETE_ALIGNED,
	DELETE_ALIGNED_SIZED,
	DELETE_ALIGNED_NOTHROW,
	DELETE_ARRAY_ALIGNED,
	DELETE_ARRAY_ALIGNED_SIZED,
	DELETE_ARRAY_ALIGNED_NOTHROW,
	DELETES
};

struct allocation {
	const char *name;
	void *(*make)(std::size_t size);
	bool throws;
	bool aligned;
};

struct release {
	const char *name;
	void (*give)(void *block, std::size_t size);
};

/* By tables, so that no compiler leaves out a pair whose block it sees the end of. */
const allocation *volatile all_news;
const release *volatile all_deletes;

const allocation news[NEWS] = {
	{ "new", [](std::size_t n) { return ::operator new(n); }, true, false },
	{ "new, nothrow", [](std::size_t n) { return ::operator new(n, std::nothrow); }, false,
	  false },
	{ "new[]", [](std::size_t n) { return ::operator new[](n); }, true, false },
	{ "new[], nothrow", [](std::size_t n) { return ::operator new[](n, std::nothrow); }, false,
	  false },
	{ "new, aligned", [](std::size_t n) { return ::operator new(n, wide); }, true, true },
	{ "new, aligned, nothrow",
	  [](std::size_t n) { return ::operator new(n, wide, std::nothrow); }, false, true },
	{ "new[], aligned", [](std::size_t n) { return ::operator new[](n, wide); }, true, true },
	{ "new[], aligned, nothrow",
	  [](std::size_t n) { return ::operator new[](n, wide, std::nothrow); }, false, true },
};

const release deletes[DELETES] = {
	{ "delete", [](void *p, std::size_t) { ::operator delete(p); } },
	{ "delete, sized", [](void *p, std::size_t n) { ::operator delete(p, n); } },
	{ "delete, nothrow", [](void *p, std::size_t) { ::operator delete(p, std::nothrow); } },
	{ "delete[]", [](void *p, std::size_t) { ::operator delete[](p); } },
	{ "delete[], sized", [](void *p, std::size_t n) { ::operator delete[](p, n); } },
	{ "delete[], nothrow", [](void *p, std::size_t) { ::operator delete[](p, std::nothrow); } },
	{ "delete, aligned", [](void *p, std::size_t) { ::operator delete(p, wide); } },
	{ "delete, aligned, sized",
	  [](void *p, std::size_t n) { ::operator delete(p, n, wide); } },
	{ "delete, aligned, nothrow",
	  [](void *p, std::size_t) { ::operator delete(p, wide, std::nothrow); } },
	{ "delete[], aligned", [](void *p, std::size_t) { ::operator delete[](p, wide); } },
	{ "delete[], aligned, sized",
	  [](void *p, std::size_t n) { ::operator delete[](p, n, wide); } },
	{ "delete[], aligned, nothrow",
	  [](void *p, std::size_t) { ::operator delete[](p, wide, std::nothrow); } },
};

/* The forms of delete that fit a form of new: three in a row. */
delete_form first_delete(int form)
{
	return static_cast<delete_form>(form / 2 * 3);
}
} // namespace

#if OWN
namespace
{
/* Calls of the program's own operators, by form. */
long made[NEWS];
long gone[DELETES];

/* Own blocks begin behind a mark: the library's operators would give such a pointer to free(). */
constexpr std::size_t mark_bytes = 16;

void *own(std::size_t size, new_form form, std::size_t offset = mark_bytes)
{
	char *block = static_cast<char *>(offset == mark_bytes ? std::malloc(size + offset) :
								 memalign(offset, size + offset));

	made[form]++;
	if (!block)
		return nullptr;
	std::memcpy(block + offset - 8, "own news", 8);
	return block + offset;
}

void *own_or_throw(std::size_t size, new_form form, std::size_t offset = mark_bytes)
{
	void *block = own(size, form, offset);

	if (!block)
		throw std::bad_alloc();
	return block;
}

void disown(void *block, delete_form form, std::size_t offset = mark_bytes)
{
	gone[form]++;
	if (!block)
		return;
	if (std::memcmp(static_cast<char *>(block) - 8, "own news", 8) != 0) {
		std::fputs("an own delete got a block that no own new gave\n", stderr);
		std::abort();
	}
	std::free(static_cast<char *>(block) - offset);
}
} // namespace

void *operator new(std::size_t n)
{
	return own_or_throw(n, NEW);
}

/* That the sized form is left to the library is the point. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif
void operator delete(void *p) noexcept
{
	disown(p, DELETE);
}
#endif

#if OWN == 2
#define OFFSET(a) static_cast<std::size_t>(a)

void *operator new(std::size_t n, const std::nothrow_t &) noexcept
{
	return own(n, NEW_NOTHROW);
}

void *operator new[](std::size_t n)
{
	return own_or_throw(n, NEW_ARRAY);
}

void *operator new[](std::size_t n, const std::nothrow_t &) noexcept
{
	return own(n, NEW_ARRAY_NOTHROW);
}

void *operator new(std::size_t n, std::align_val_t a)
{
	return own_or_throw(n, NEW_ALIGNED, OFFSET(a));
}

void *operator new(std::size_t n, std::align_val_t a, const std::nothrow_t &) noexcept
{
	return own(n, NEW_ALIGNED_NOTHROW, OFFSET(a));
}

void *operator new[](std::size_t n, std::align_val_t a)
{
	return own_or_throw(n, NEW_ARRAY_ALIGNED, OFFSET(a));
}

void *operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t &) noexcept
{
	return own(n, NEW_ARRAY_ALIGNED_NOTHROW, OFFSET(a));
}

void operator delete(void *p, std::size_t) noexcept
{
	disown(p, DELETE_SIZED);
}

void operator delete(void *p, const std::nothrow_t &) noexcept
{
	disown(p, DELETE_NOTHROW);
}

void operator delete[](void *p) noexcept
{
	disown(p, DELETE_ARRAY);
}

void operator delete[](void *p, std::size_t) noexcept
{
	disown(p, DELETE_ARRAY_SIZED);
}

void operator delete[](void *p, const std::nothrow_t &) noexcept
{
	disown(p, DELETE_ARRAY_NOTHROW);
}

void operator delete(void *p, std::align_val_t a) noexcept
{
	disown(p, DELETE_ALIGNED, OFFSET(a));
}

void operator delete(void *p, std::size_t, std::align_val_t a) noexcept
{
	disown(p, DELETE_ALIGNED_SIZED, OFFSET(a));
}

void operator delete(void *p, std::align_val_t a, const std::nothrow_t &) noexcept
{
	disown(p, DELETE_ALIGNED_NOTHROW, OFFSET(a));
}

void operator delete[](void *p, std::align_val_t a) noexcept
{
	disown(p, DELETE_ARRAY_ALIGNED, OFFSET(a));
}

void operator delete[](void *p, std::size_t, std::align_val_t a) noexcept
{
	disown(p, DELETE_ARRAY_ALIGNED_SIZED, OFFSET(a));
}

void operator delete[](void *p, std::align_val_t a, const std::nothrow_t &) noexcept
{
	disown(p, DELETE_ARRAY_ALIGNED_NOTHROW, OFFSET(a));
}
#endif

namespace
{
char why[300];

bool because(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool because(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	std::vsnprintf(why, sizeof(why), format, list);
	va_end(list);
	return false;
}

#define REQUIRE(condition, ...) \
	do { \
		if (!(condition)) \
			return because(__VA_ARGS__); \
	} while (0)

volatile std::size_t sizes[] = { 0, 1, 16, 24, 100, 1000, 5000, 100000, 3000000 };

/* The last are for the library's plain operators: aligned ones and own ones add to a size. */
volatile std::size_t huge_sizes[] = { SIZE_MAX / 2 + 1, SIZE_MAX / 3 * 2, SIZE_MAX - 100000,
				      SIZE_MAX - 9000,	SIZE_MAX - 33,	  SIZE_MAX - 16,
				      SIZE_MAX - 1,	SIZE_MAX };
constexpr std::size_t added_most = 8192;

/* Blocks of a form, each given back by one of the forms of delete that fit. */
bool gives_blocks(int form)
{
	std::size_t alignment = all_news[form].aligned ? static_cast<std::size_t>(wide) : 16;

	for (std::size_t size : sizes) {
		void *blocks[3];

		for (void *&block : blocks) {
			block = all_news[form].make(size);
			REQUIRE(block, "none of %zu bytes", size);
			REQUIRE(reinterpret_cast<std::uintptr_t>(block) % alignment == 0,
				"%p isn't aligned to %zu", block, alignment);
		}
		REQUIRE(blocks[0] != blocks[1] && blocks[1] != blocks[2] && blocks[0] != blocks[2],
			"one block twice of %zu bytes", size);
		for (int i = 0; i < 3; i++)
			std::memset(blocks[i], i + 1, size);
		for (int i = 0; i < 3; i++) {
			const char *bytes = static_cast<const char *>(blocks[i]);

			REQUIRE(!size || (bytes[0] == i + 1 && bytes[size - 1] == i + 1),
				"blocks of %zu bytes share memory", size);
			all_deletes[first_delete(form) + i].give(blocks[i], size);
		}
	}
	for (int i = 0; i < 3; i++)
		all_deletes[first_delete(form) + i].give(nullptr, 100);
	return true;
}

bool is_refused(int form, std::size_t size)
{
	try {
		void *block = all_news[form].make(size);

		REQUIRE(!block, "a block of %#zx bytes", size);
		REQUIRE(!all_news[form].throws, "NULL for %#zx bytes", size);
	} catch (const std::bad_alloc &) {
		REQUIRE(all_news[form].throws, "it throws for %#zx bytes", size);
	}
	return true;
}

bool refuses(int form)
{
	for (std::size_t size : huge_sizes)
		if (((!OWN && !all_news[form].aligned) || size <= SIZE_MAX - added_most) &&
		    !is_refused(form, size))
			return false;
	return true;
}

#if OWN == 0
std::size_t bytes_in_use()
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* And it's all given back, by all forms that fit. */
bool uses_malloc(int form)
{
	constexpr std::size_t size = 3000000;
	std::size_t before, with;

	for (int i = 0; i < 3; i++) {
		void *block;

		before = bytes_in_use();
		block = all_news[form].make(size);
		with = bytes_in_use();
		all_deletes[first_delete(form) + i].give(block, size);
		REQUIRE(with - before >= size, "%zu bytes more in use, not %zu", with - before,
			size);
		REQUIRE(bytes_in_use() < before + size / 2, "%s doesn't give it back",
			all_deletes[first_delete(form) + i].name);
	}
	return true;
}

int handled;

/* Two tries, and then there's no handler any more. */
void handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

bool calls_handler(int form)
{
	handled = 0;
	std::set_new_handler(handler);
	if (!is_refused(form, huge_sizes[0]))
		return false;
	REQUIRE(handled == 3, "the handler was called %d times, not 3", handled);
	REQUIRE(std::get_new_handler() == nullptr, "the handler is still there");
	return true;
}

struct alignas(256) Wide {
	char bytes[300];
};

struct Plain {
	char bytes[300];
};

bool expressions(int)
{
	volatile std::size_t count = 10;
	std::unique_ptr<Wide> one(new Wide);
	std::unique_ptr<Wide[]> many(new Wide[count]);
	std::unique_ptr<long double> number(new long double(1));

	for (void *place : { static_cast<void *>(one.get()), static_cast<void *>(many.get()) })
		REQUIRE(reinterpret_cast<std::uintptr_t>(place) % 256 == 0, "%p", place);
	REQUIRE(reinterpret_cast<std::uintptr_t>(number.get()) % alignof(long double) == 0, "%p",
		static_cast<void *>(number.get()));
	/* gcc throws bad_array_new_length, clang its base class. */
	for (std::size_t beyond : { SIZE_MAX, SIZE_MAX / 4, SIZE_MAX / sizeof(Plain) + 1 }) {
		count = beyond;
		try {
			Plain *volatile none = new Plain[count];

			return because("an array of %zu at %p", beyond,
				       static_cast<void *>(none));
		} catch (const std::bad_alloc &) {
		}
	}
	return true;
}
#else
/* The forms that the program replaces take all calls; those of the library are behind none. */
new_form takes(int form)
{
	return OWN == 2 || form >= NEW_ALIGNED ? static_cast<new_form>(form) : NEW;
}

delete_form takes_back(int form)
{
	return OWN == 2 || form >= DELETE_ALIGNED ? static_cast<delete_form>(form) : DELETE;
}

bool own_is_called(int form)
{
	bool replaced = OWN == 2 || form < NEW_ALIGNED;

	for (int i = first_delete(form); i < first_delete(form) + 3; i++) {
		long made_before = made[takes(form)], gone_before = gone[takes_back(i)];
		long all_made = 0, all_gone = 0;
		void *block;

		for (long count : made)
			all_made -= count;
		for (long count : gone)
			all_gone -= count;
		block = all_news[form].make(500);
		REQUIRE(block, "it gives none");
		all_deletes[i].give(block, 500);
		for (long count : made)
			all_made += count;
		for (long count : gone)
			all_gone += count;
		REQUIRE(made[takes(form)] - made_before == replaced && all_made == replaced,
			"%ld calls of the own %s, %ld of any", made[takes(form)] - made_before,
			all_news[takes(form)].name, all_made);
		REQUIRE(gone[takes_back(i)] - gone_before == replaced && all_gone == replaced,
			"%s: %ld calls of the own %s, %ld of any", all_deletes[i].name,
			gone[takes_back(i)] - gone_before, all_deletes[takes_back(i)].name,
			all_gone);
	}
	return true;
}

/* Templates that are compiled in the library, and what it makes inside. */
bool library_uses_own(int)
{
	long before = made[NEW];
	long gone_before = gone[DELETE] + gone[DELETE_SIZED];

	{
		std::string text(1000, 'x');
		std::ostringstream stream;
		std::vector<std::string> lines(100, text);

		text.append(5000, 'y');
		for (const std::string &line : lines)
			stream << line << text;
		REQUIRE(stream.str().size() == 700000, "%zu characters", stream.str().size());
		REQUIRE(made[NEW] - before > 105, "%ld calls of the own new", made[NEW] - before);
	}
	REQUIRE(gone[DELETE] + gone[DELETE_SIZED] - gone_before == made[NEW] - before,
		"%ld calls of the own delete, %ld of new",
		gone[DELETE] + gone[DELETE_SIZED] - gone_before, made[NEW] - before);
	return true;
}

bool exceptions_go_through(int)
{
	long before = made[NEW];

	for (int i = 0; i < 100; i++)
		try {
			throw std::runtime_error(std::string(200, 'e'));
		} catch (const std::exception &e) {
			REQUIRE(std::strlen(e.what()) == 200, "%s", e.what());
		}
	REQUIRE(made[NEW] - before >= 200, "%ld calls of the own new", made[NEW] - before);
	return true;
}
#endif

/* A clause of one form, or of none. */
struct clause {
	const char *name;
	const char *source;
	bool (*check)(int form);
	bool of_forms;
};

const clause clauses[] = {
	{ "blocks aligned, apart, unique for size 0; every delete takes them",
	  "21.6.2.1, 21.6.2.2", gives_blocks, true },
	{ "more than there can be is bad_alloc or, nothrow, NULL", "21.6.2.1, 21.6.2.2", refuses,
	  true },
#if OWN == 0
	{ "the library's takes memory from malloc, and gives it back", "as libstdc++ does",
	  uses_malloc, true },
	{ "the new handler is called until there is none", "21.6.2.1, 21.6.3.3", calls_handler,
	  true },
	{ "new expressions: wide types, arrays beyond any length", "8.3.4, 21.6.3.2", expressions,
	  false },
#else
	{ OWN == 2 ? "the program's own is called" : "the program's plain own serves it",
	  "20.5.4.6, 21.6.2", own_is_called, true },
	{ "strings and streams use the program's own", "20.5.4.6", library_uses_own, false },
	{ "exceptions go through, their texts from the program's own", "18.1, 20.5.4.6",
	  exceptions_go_through, false },
#endif
};
} // namespace

int main()
{
	int rows = 0, failed = 0;

	all_news = news;
	all_deletes = deletes;
	std::free(std::malloc(100));
	for (const clause &clause : clauses)
		rows += clause.of_forms ? NEWS : 1;
	std::printf("1..%d\n", rows);
	for (const clause &clause : clauses)
		for (int form = 0; form < (clause.of_forms ? NEWS : 1); form++) {
			const char *of = clause.of_forms ? news[form].name : "C++";

			if (clause.check(form)) {
				std::printf("ok - %s: %s [C++17 %s]\n", of, clause.name,
					    clause.source);
			} else {
				failed++;
				std::printf("not ok - %s: %s [C++17 %s]: %s\n", of, clause.name,
					    clause.source, why);
			}
			std::fflush(stdout);
		}
	return failed != 0;
}
