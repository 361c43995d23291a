/*
 * How blocks are cut, and how free ones merge, in words: those that the pictures before and after
 * have.
 */
#ifndef ACRE_LAB_PIECES_H
#define ACRE_LAB_PIECES_H

#include <stdio.h>

#include "session.h"

/* A block of so many bytes was taken at offset `at`: of what, and what remains. */
void lab_pieces_say_split(FILE *text, enum acre_policy policy, const struct lab_picture *before,
			  const struct lab_picture *after, size_t at, size_t size);

/* A block was freed: what it merged with, and if not, why. */
void lab_pieces_say_merge(FILE *text, enum acre_policy policy, const struct lab_picture *before,
			  const struct lab_picture *after, struct lab_block freed);

/* " 100 remain free at 300.", or that nothing does. */
void lab_pieces_say_free_behind(FILE *text, const struct lab_picture *after, size_t at);

/* A buddy grew over those above it. */
void lab_pieces_say_doubled(FILE *text, size_t at, size_t had, size_t size);

/* A block shrank from one size to another. */
void lab_pieces_say_tail(FILE *text, enum acre_policy policy, const struct lab_change *change,
			 size_t had, size_t size);

/* A picture in the making: a block; and a hole out of which a block is taken. */
void lab_pieces_add(struct lab_picture *picture, struct lab_block block);
void lab_pieces_add_split(struct lab_picture *picture, enum acre_policy policy,
			  struct lab_block hole, struct lab_block taken);

#endif
