/*
 * CRC-32C (Castagnoli's polynomial, bits reflected): finds every error of up to 32 bits in a row.
 */
#ifndef ACRE_CRC_H
#define ACRE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what gave crc so far (0: nothing), followed by these bytes. */
uint32_t crc_add(uint32_t crc, const void *bytes, size_t count);

#endif
