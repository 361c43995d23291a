/*
 * Mix: a permutation of 64 bits in which each bit of the result hangs on all of the argument's: the
 * finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
 */
#ifndef ACRE_MIX_H
#define ACRE_MIX_H

#include <stdint.h>

static inline uint64_t mixed(uint64_t n)
{
	n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
	return n ^ n >> 31;
}

#endif
