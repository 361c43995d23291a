/*
 * What sanitizers are told.
 *
 * ThreadSanitizer learns that a free writes the whole payload, so that a thread which still reads
 * the block without order is reported; all other order it sees by itself, in locks and atomics, but
 * for that of liburcu, which isn't built for it.
 * AddressSanitizer keeps the payload of a block poisoned while nobody holds it; footers, links and
 * tags, which lie in such memory, are read and written by functions marked UNSHADOWED. Their
 * alignment isn't checked either: free reads what would be the tag before any other test.
 */
#ifndef ACRE_SHADOW_H
#define ACRE_SHADOW_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define ACRE_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ACRE_UNDER_TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define ACRE_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ACRE_UNDER_ASAN 1
#endif
#endif

#ifdef ACRE_UNDER_TSAN
void __tsan_write_range(void *address, long size);
/* Of a large block, whose shadow is four times its size, the first part will do. */
#define SHADOW_RETIRE_MOST (1u << 20)
#define SHADOW_RETIRE(p, n) \
	__tsan_write_range((p), (n) < SHADOW_RETIRE_MOST ? (long)(n) : (long)SHADOW_RETIRE_MOST)
/* A grace period of this flavour has ended; readers say __tsan_release() of the same address. */
void __tsan_acquire(void *address);
#define SHADOW_GRACE(flavor) __tsan_acquire((void *)(uintptr_t)(flavor))
#else
#define SHADOW_RETIRE(p, n) ((void)0)
#define SHADOW_GRACE(flavor) ((void)0)
#endif

#ifdef ACRE_UNDER_ASAN
#include <sanitizer/asan_interface.h>
#define UNSHADOWED __attribute__((no_sanitize("address", "alignment")))
#define SHADOW_HIDE(p, n) __asan_poison_memory_region((p), (n))
#define SHADOW_SHOW(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define UNSHADOWED
#define SHADOW_HIDE(p, n) ((void)0)
#define SHADOW_SHOW(p, n) ((void)0)
#endif

#endif
