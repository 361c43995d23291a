/*
 * The flavour of liburcu that a test program is built for: FLAVOR_MEMB, _MB, _BP or _QSBR. Where
 * there's no ThreadSanitizer, memb and qsbr are inlined (_LGPL_SOURCE), the others aren't.
 */
#ifndef ACRE_TESTS_FLAVOR_H
#define ACRE_TESTS_FLAVOR_H

#define URCU_API_MAP
#if !defined(ACRE_TSAN) && (defined(FLAVOR_MEMB) || defined(FLAVOR_QSBR))
#define _LGPL_SOURCE
#endif

#if defined(FLAVOR_MEMB)
#include <urcu/urcu-memb.h>
#define FLAVOR_NAME "memb"
#elif defined(FLAVOR_MB)
#include <urcu/urcu-mb.h>
#define FLAVOR_NAME "mb"
#elif defined(FLAVOR_BP)
#include <urcu/urcu-bp.h>
#define FLAVOR_NAME "bp"
#elif defined(FLAVOR_QSBR)
#include <urcu/urcu-qsbr.h>
#define FLAVOR_NAME "qsbr"
#else
#error "define the flavour"
#endif
#include <acre/rcu.h>

#include "../examples/rcu_order.h"

#ifdef FLAVOR_QSBR
#define IS_QSBR 1
#else
#define IS_QSBR 0
#endif
#ifdef FLAVOR_BP
#define IS_BP 1
#else
#define IS_BP 0
#endif

#endif
