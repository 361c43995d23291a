/*
 * Gather: see gather.h. The segments are merged by the numbers of their slots, with a heap of those
 * that have any left; addresses become the numbers of blocks as the calls go by.
 */
#include "gather.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "places.h"

#define NONE	UINT64_MAX

/* A segment being read: the slot that comes next. */
struct stream {
	const struct recording_slot *at;
	const struct recording_slot *end;
	uint64_t number;
	uint32_t thread;	/* as recorded, from 1 */
};

/* What is known of a thread. */
struct player {
	uint32_t number;	/* in the trace, plus 1; 0 = it had no event yet */
	uint64_t moving;	/* the block that its realloc is about; NONE */
	uint64_t from;		/* and where that was */
};

struct gathering {
	struct trace_writer *writer;
	struct stream *heap;	/* the least number first */
	uint64_t streams;
	struct player *players;
	uint32_t player_count;
	uint32_t numbered;
	uint64_t blocks;
	uint64_t strange;
	struct places places;
};

static void *room_for(uint64_t count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		complain(FAILED, "out of memory for so many threads");
	return memory;
}

/* Looks at the stream's next slot; false if there's none. */
static bool look(struct stream *stream)
{
	if (stream->at == stream->end || !stream->at->when)
		return false;
	stream->number = stream->at->when >> 8;
	return true;
}

static void sift(struct gathering *gathering, uint64_t at)
{
	struct stream *heap = gathering->heap;

	for (;;) {
		uint64_t least = at;
		struct stream moved;

		for (uint64_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < gathering->streams && heap[child].number < heap[least].number)
				least = child;
		if (least == at)
			return;
		moved = heap[at];
		heap[at] = heap[least];
		heap[least] = moved;
		at = least;
	}
}

static void open_streams(struct gathering *gathering, const struct recording *recording)
{
	const char *base = (const char *)recording;
	uint64_t taken = atomic_load(&recording->taken);
	uint64_t most = taken < recording->size ? taken : recording->size;

	gathering->heap = room_for(most / RECORDING_SEGMENT, sizeof(*gathering->heap));
	for (uint64_t at = RECORDING_HEAD; at + RECORDING_SEGMENT <= most; at += RECORDING_SEGMENT) {
		struct stream *stream = &gathering->heap[gathering->streams];

		stream->at = (const struct recording_slot *)(base + at);
		stream->end = stream->at + RECORDING_SLOTS;
		gathering->streams += look(stream);
	}
	for (uint64_t at = gathering->streams / 2 + 1; at--;)
		sift(gathering, at);
}

static struct player *player_of(struct gathering *gathering, const struct stream *stream)
{
	return &gathering->players[stream->thread <= gathering->player_count ? stream->thread : 0];
}

/* Adds an event; with its first one a player gets a number. */
static void emit(struct gathering *gathering, struct player *player, enum trace_kind kind,
		 uint64_t block, uint64_t size, uint64_t alignment)
{
	struct trace_event event = { kind, 0, block, size, alignment };

	if (!player->number)
		player->number = ++gathering->numbered;
	event.thread = player->number - 1;
	trace_add(gathering->writer, &event);
}

/* A block is at this address from now on. */
static void settle(struct gathering *gathering, struct player *player, uint64_t address,
		   uint64_t block)
{
	uint64_t *place = places_at(&gathering->places, address);

	if (*place) {
		emit(gathering, player, TRACE_FREE, *place - 1, 0, 1);
		gathering->strange++;
	}
	*place = block + 1;
}

/* Takes the block away that is at this address; NONE if there is none. */
static uint64_t unsettle(struct gathering *gathering, uint64_t address)
{
	uint64_t *place = places_at(&gathering->places, address);
	uint64_t block = *place ? *place - 1 : NONE;

	*place = 0;
	gathering->strange += block == NONE;
	return block;
}

static void play_allocation(struct gathering *gathering, struct player *player,
			    enum trace_kind kind, uint64_t address, uint64_t size,
			    uint64_t alignment)
{
	settle(gathering, player, address, gathering->blocks);
	emit(gathering, player, kind, gathering->blocks, size, alignment);
	gathering->blocks++;
}

static void play_free(struct gathering *gathering, struct player *player, uint64_t address)
{
	uint64_t block = unsettle(gathering, address);

	if (block != NONE)
		emit(gathering, player, TRACE_FREE, block, 0, 1);
}

static void play_arrival(struct gathering *gathering, struct player *player, uint64_t address,
			 uint64_t size)
{
	uint64_t block = player->moving;

	player->moving = NONE;
	if (block == NONE)
		return;
	if (!address) {
		settle(gathering, player, player->from, block);
		emit(gathering, player, TRACE_REFUSED, 0, size, 1);
	} else {
		settle(gathering, player, address, block);
		emit(gathering, player, TRACE_REALLOC, block, size, 1);
	}
}

/* Plays one slot, and moves the stream on. */
static void play(struct gathering *gathering, struct stream *stream)
{
	const struct recording_slot *slot = stream->at++;
	uint64_t address = slot->what >> 16;
	uint64_t size = slot->what & RECORDING_BEYOND;
	uint64_t alignment = 1;
	struct player *player;

	if ((slot->when & 0xff) == RECORDING_THREAD) {
		stream->thread = (uint32_t)slot->what;
		return;
	}
	if (size == RECORDING_BEYOND && stream->at < stream->end) {
		size = stream->at->when;
		alignment = stream->at->what;
		stream->at++;
	}
	player = player_of(gathering, stream);
	switch ((enum recording_kind)(slot->when & 0xff)) {
	case RECORDING_MALLOC:
		play_allocation(gathering, player, TRACE_MALLOC, address, size, 1);
		break;
	case RECORDING_CALLOC:
		play_allocation(gathering, player, TRACE_CALLOC, address, size, 1);
		break;
	case RECORDING_ALIGNED:
		play_allocation(gathering, player, TRACE_ALIGNED, address, size, alignment);
		break;
	case RECORDING_FREE:
		play_free(gathering, player, address);
		break;
	case RECORDING_LEAVES:
		player->from = address;
		player->moving = unsettle(gathering, address);
		break;
	case RECORDING_ARRIVES:
		play_arrival(gathering, player, address, size);
		break;
	case RECORDING_REFUSED:
		emit(gathering, player, TRACE_REFUSED, 0, size, alignment);
		break;
	default:
		gathering->strange++;
	}
}

uint64_t gather(struct trace_writer *writer, const struct recording *recording)
{
	struct gathering gathering = { .writer = writer,
				       .player_count = atomic_load(&recording->threads) };
	uint64_t full = atomic_load(&recording->full);

	gathering.players = room_for(gathering.player_count, sizeof(*gathering.players));
	for (uint32_t i = 0; i <= gathering.player_count; i++)
		gathering.players[i].moving = NONE;
	places_begin(&gathering.places);
	open_streams(&gathering, recording);
	while (gathering.streams && (!full || gathering.heap[0].number < full)) {
		struct stream *first = &gathering.heap[0];

		play(&gathering, first);
		if (!look(first))
			*first = gathering.heap[--gathering.streams];
		sift(&gathering, 0);
	}
	places_end(&gathering.places);
	free(gathering.heap);
	free(gathering.players);
	return gathering.strange;
}
