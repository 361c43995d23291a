/*
 * rcu_order.h: tells ThreadSanitizer the order that liburcu makes, where a program is built with it.
 *
 * liburcu before 0.15 orders readers and grace periods by inline assembly and fences, which
 * ThreadSanitizer doesn't see: it would report races in every correct program. Include this after the
 * flavour's header. It changes nothing in other builds; in this one
 *
 *	rcu_dereference(), rcu_assign_pointer(), rcu_xchg_pointer()
 *				are atomics of the compiler
 *	rcu_read_unlock(), and with qsbr rcu_quiescent_state(), rcu_thread_offline() and
 *	rcu_unregister_thread()	first say that the reader is through, for the flavour's grace periods
 *	synchronize_rcu()	then takes note of that; as acre_free_rcu() does, where libacre-rcu is
 *				built with ThreadSanitizer
 *	rcu_container_push(p), rcu_container_pop(p)
 *				are for a node that is put into a container of liburcu, before, and
 *				that came from one, after: they order what's in the node
 *
 * Don't define _LGPL_SOURCE in such a build: the inlined functions would be looked at as well. The
 * programs here need no suppression. Where liburcu itself is reported, as its call_rcu threads may be,
 * called_from_lib:liburcu-memb.so (the whole name of that file) hides it, and nothing of the program.
 */
#ifndef RCU_ORDER_H
#define RCU_ORDER_H

#if defined(__SANITIZE_THREAD__)
#define RCU_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_UNDER_TSAN 1
#endif
#endif

#ifdef RCU_UNDER_TSAN
#include <stdint.h>
#include <urcu/flavor.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define rcu_container_push(node) __tsan_release(node)
#define rcu_container_pop(node) __tsan_acquire(node)

static inline void rcu_order_through(void)
{
	__tsan_release((void *)(uintptr_t)&rcu_flavor);
}

static inline void rcu_order_read_unlock(void)
{
	rcu_order_through();
	rcu_read_unlock();
}

static inline void rcu_order_quiescent_state(void)
{
	rcu_order_through();
	rcu_quiescent_state();
}

static inline void rcu_order_thread_offline(void)
{
	rcu_order_through();
	rcu_thread_offline();
}

static inline void rcu_order_unregister_thread(void)
{
	rcu_order_through();
	rcu_unregister_thread();
}

static inline void rcu_order_synchronize(void)
{
	synchronize_rcu();
	__tsan_acquire((void *)(uintptr_t)&rcu_flavor);
}

#undef rcu_read_unlock
#define rcu_read_unlock rcu_order_read_unlock
#undef rcu_quiescent_state
#define rcu_quiescent_state rcu_order_quiescent_state
#undef rcu_thread_offline
#define rcu_thread_offline rcu_order_thread_offline
#undef rcu_unregister_thread
#define rcu_unregister_thread rcu_order_unregister_thread
#undef synchronize_rcu
#define synchronize_rcu rcu_order_synchronize
#undef rcu_dereference
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#undef rcu_assign_pointer
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELEASE)
#undef rcu_xchg_pointer
#define rcu_xchg_pointer(p, v) __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL)
#else
#define rcu_container_push(node) ((void)(node))
#define rcu_container_pop(node) ((void)(node))
#endif

#endif
