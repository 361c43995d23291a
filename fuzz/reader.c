/*
 * Reader: see reader.h.
 */
#include "reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "model.h"
#include "sizes.h"

#define KIB	((size_t)1 << 10)
#define MIB	((size_t)1 << 20)

int play_aloud;

static const uint8_t verbs[64] = {
	MALLOC, MALLOC, MALLOC, MALLOC, MALLOC, MALLOC, CALLOC, CALLOC,
	CALLOC, CALLOC, ALIGNED, ALIGNED, ALIGNED, ALIGNED, REALLOC, REALLOC,
	REALLOC, REALLOC, REALLOC, REALLOC, REALLOC, REALLOC, FREE, FREE,
	FREE, FREE, FREE, FREE, FREE, FREE, FREE_SIZED, FREE_SIZED,
	RUN, RUN, RUN, RUN, RUN, RUN, FREE_RUN, FREE_RUN,
	FREE_RUN, FREE_RUN, FREE_RUN, FREE_RUN, FILL, FILL, FLUSH, FLUSH,
	TRIM, TRIM, TURN, TURN, TURN, TURN, TURN, EXIT,
	CHECK, BUSY, PASS, PASS, REFUSE, ARENA, DESTROY, USE,
};

/* The first two aren't accepted. */
static const size_t sizes[] = {
	0, 64 * KIB - 1, 64 * KIB, 64 * KIB + 128, 80000, 128 * KIB, 256 * KIB, 500000,
	MIB - 129, MIB - 1, MIB, MIB + 128, MIB + 4096, 3 * MIB / 2, 2 * MIB, 3 * MIB,
	4 * MIB, 4 * MIB + 129, 6 * MIB, 8 * MIB, 12 * MIB, 16 * MIB, 32 * MIB, 64 * MIB,
};

static const size_t cache_sizes[] = {
	0, 1, 100, 4 * KIB, 20000, 64 * KIB, 300 * KIB, MIB, 4 * MIB, (size_t)1 << 40, SIZE_MAX,
};

static const int edges[] = { 0, -1, 1, -8, 8, -9, 9, -16, 16, -17, 17, -24, 24, -7, 7, 15 };

static const uint16_t passes[] = { 1, 4, 5, 16, 999, 1000, 1001, 60000 };

static const uint8_t *at;
static size_t left;
static int ended;

void reader_begin(const uint8_t *bytes, size_t size)
{
	at = bytes;
	left = size;
	ended = size == 0;
}

int reader_ended(void)
{
	return ended;
}

unsigned next_byte(void)
{
	if (!left) {
		ended = 1;
		return 0;
	}
	left--;
	return *at++;
}

void say(const char *format, ...)
{
	va_list arguments;

	if (!play_aloud)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}

enum verb next_verb(unsigned *varied)
{
	unsigned code = next_byte();

	*varied = code >> 6;
	return (enum verb)verbs[code & 63];
}

static size_t share_of(const struct land *land, unsigned figure)
{
	struct acre_stats stats;

	switch (figure % SHARES) {
	case LARGEST:
		acre_stats(land->arena, &stats);
		return stats.largest_free;
	case HALF:
		return land->size / 2;
	case QUARTER:
		return land->size / 4;
	case PLOT_MOST:
		return land->size / 64;
	case LEASE:
		return land->size / 128;
	case NEWEST:
		return model.count ? model.pieces[model.count - 1].usable : 0;
	case REMAP:
		return MIB;
	default:
		return land->size;
	}
}

static size_t huge(unsigned five, unsigned eight)
{
	static const size_t tops[] = {
		SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2 + 1, SIZE_MAX / 2, (size_t)1 << 40,
		((size_t)1 << 40) + 32, (size_t)1 << 47, SIZE_MAX / 16 * 15,
	};

	return tops[eight % COUNT_OF(tops)] - five;
}

size_t next_size(const struct land *land)
{
	unsigned first = next_byte();
	unsigned second = next_byte();
	unsigned five = first >> 3;
	size_t edge = (size_t)(ptrdiff_t)edges[five % COUNT_OF(edges)];
	size_t size;

	switch ((enum size_kind)(first & 7)) {
	case CLASS:
		size = class_granules(1 + second % (CLASSES - 1)) * GRANULE - TAG_BYTES + edge;
		break;
	case PAGES:
		size = (1 + second % 40) * (size_t)4096 + edge;
		break;
	case MIDDLE:
		size = (size_t)(32 + five) << second % 12;
		break;
	case LARGE:
		size = (size_t)(32 + five) << second % 20;
		break;
	case SHARE:
		size = share_of(land, second) + edge;
		break;
	case HUGE:
		size = huge(five, second);
		break;
	default:
		size = (five << 8 | second) % 1100;
	}
	say(" %zu bytes", size);
	return size;
}

size_t next_alignment(void)
{
	static const size_t odd[] = {
		0, 3, 24, 48, 4095, SIZE_MAX, (size_t)1 << 63, (size_t)1 << 41,
	};
	unsigned figure = next_byte();
	size_t alignment = figure >= 0xf0 ? odd[figure % COUNT_OF(odd)] : (size_t)1 << figure % 24;

	say(" at a multiple of %zu", alignment);
	return alignment;
}

size_t next_piece(void)
{
	unsigned figure = next_byte();
	size_t number = figure < 128 ? figure % model.count :
				       model.count - 1 - (255 - figure) % model.count;

	say(" block %u, %p of %zu bytes", model.pieces[number].id,
	    (void *)model.pieces[number].block, model.pieces[number].usable);
	return number;
}

size_t next_arena_size(void)
{
	return sizes[next_byte() % COUNT_OF(sizes)];
}

size_t next_cache_bytes(void)
{
	return cache_sizes[next_byte() % COUNT_OF(cache_sizes)];
}

unsigned next_time(void)
{
	return passes[next_byte() % COUNT_OF(passes)];
}

uint8_t play_byte(enum verb verb, unsigned varied)
{
	uint8_t code = 0;

	while (verbs[code] != verb)
		code++;
	return (uint8_t)(varied << 6 | code);
}

static uint8_t index_of(const size_t *table, size_t bytes)
{
	uint8_t i = 0;

	while (table[i] != bytes)
		i++;
	return i;
}

uint8_t play_size(size_t bytes)
{
	return index_of(sizes, bytes);
}

uint8_t play_cache(size_t bytes)
{
	return index_of(cache_sizes, bytes);
}
