/*
 * Hooks: what the compiler's instrumentation for ThreadSanitizer calls, here a point of the
 * schedule each. Names and types are those of that run-time, which this program is linked without.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schedule.h"

#define WHERE()	__builtin_return_address(0)

/* Declared, then defined: nobody but the compiler calls them. */
#define HOOK(type, name, ...) \
	type __tsan_##name(__VA_ARGS__); \
	type __tsan_##name(__VA_ARGS__)

HOOK(void, init, void) {}
HOOK(void, func_entry, void *from) { (void)from; }
HOOK(void, func_exit, void) {}

#define ACCESS(name) \
	HOOK(void, name, void *at) \
	{ \
		(void)at; \
		schedule_point(POINT_ACCESS, WHERE()); \
	}
#define ACCESSES(bytes) \
	ACCESS(read##bytes) \
	ACCESS(write##bytes) \
	ACCESS(read_write##bytes) \
	ACCESS(unaligned_read##bytes) \
	ACCESS(unaligned_write##bytes) \
	ACCESS(unaligned_read_write##bytes) \
	ACCESS(volatile_read##bytes) \
	ACCESS(volatile_write##bytes)

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

#define RANGE(name) \
	HOOK(void, name, void *at, long size) \
	{ \
		(void)at; \
		(void)size; \
		schedule_point(POINT_ACCESS, WHERE()); \
	}

RANGE(read_range)
RANGE(write_range)

/* What lib/shadow.h says of liburcu's order, and a fence for the compiler alone: neither is a point. */
HOOK(void, acquire, void *at)
{
	(void)at;
}

HOOK(void, atomic_signal_fence, int order)
{
	(void)order;
}

HOOK(void *, memcpy, void *to, const void *from, size_t size)
{
	schedule_point(POINT_ACCESS, WHERE());
	return memcpy(to, from, size);
}

HOOK(void *, memmove, void *to, const void *from, size_t size)
{
	schedule_point(POINT_ACCESS, WHERE());
	return memmove(to, from, size);
}

HOOK(void *, memset, void *to, int byte, size_t size)
{
	schedule_point(POINT_ACCESS, WHERE());
	return memset(to, byte, size);
}

/* The schedule orders everything: whatever order is asked for, this is the strongest. */
#define UPDATE(bits, name, builtin) \
	HOOK(uint##bits##_t, atomic##bits##_##name, volatile uint##bits##_t *at, \
	     uint##bits##_t value, int order) \
	{ \
		(void)order; \
		schedule_point(POINT_UPDATE, WHERE()); \
		return builtin(at, value, __ATOMIC_SEQ_CST); \
	}

#define EXCHANGE(bits, name, may_fail) \
	HOOK(int, atomic##bits##_compare_exchange_##name, volatile uint##bits##_t *at, \
	     uint##bits##_t *expected, uint##bits##_t value, int order, int failed) \
	{ \
		(void)order; \
		(void)failed; \
		schedule_point(POINT_UPDATE, WHERE()); \
		if ((may_fail) && schedule_lets_weak_fail()) { \
			*expected = __atomic_load_n(at, __ATOMIC_SEQ_CST); \
			return 0; \
		} \
		if (__atomic_compare_exchange_n(at, expected, value, 0, __ATOMIC_SEQ_CST, \
						__ATOMIC_SEQ_CST)) \
			return 1; \
		schedule_lost(); \
		return 0; \
	}

/* As clang has it, strong always: it returns what was there, and the caller compares. */
#define EXCHANGE_VALUE(bits) \
	HOOK(uint##bits##_t, atomic##bits##_compare_exchange_val, volatile uint##bits##_t *at, \
	     uint##bits##_t expected, uint##bits##_t value, int order, int failed) \
	{ \
		(void)order; \
		(void)failed; \
		schedule_point(POINT_UPDATE, WHERE()); \
		if (!__atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_SEQ_CST, \
						 __ATOMIC_SEQ_CST)) \
			schedule_lost(); \
		return expected; \
	}

#define ATOMICS(bits) \
	HOOK(uint##bits##_t, atomic##bits##_load, const volatile uint##bits##_t *at, int order) \
	{ \
		(void)order; \
		schedule_point(POINT_ATOMIC, WHERE()); \
		return __atomic_load_n(at, __ATOMIC_SEQ_CST); \
	} \
	HOOK(void, atomic##bits##_store, volatile uint##bits##_t *at, uint##bits##_t value, \
	     int order) \
	{ \
		(void)order; \
		schedule_point(POINT_ATOMIC, WHERE()); \
		__atomic_store_n(at, value, __ATOMIC_SEQ_CST); \
	} \
	UPDATE(bits, exchange, __atomic_exchange_n) \
	UPDATE(bits, fetch_add, __atomic_fetch_add) \
	UPDATE(bits, fetch_sub, __atomic_fetch_sub) \
	UPDATE(bits, fetch_and, __atomic_fetch_and) \
	UPDATE(bits, fetch_or, __atomic_fetch_or) \
	UPDATE(bits, fetch_xor, __atomic_fetch_xor) \
	EXCHANGE(bits, strong, 0) \
	EXCHANGE(bits, weak, 1) \
	EXCHANGE_VALUE(bits)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
