/*
 * The naive model: see model.h.
 */
#include "model.h"

size_t model_granules(size_t bytes)
{
	size_t granules = (bytes + TAG + GRANULE - 1) / GRANULE;

	return granules ? granules : 1;
}

void *model_payload(const struct model *model, const struct cell *cell)
{
	return (void *)(uintptr_t)(model->origin + cell->start * GRANULE + TAG);
}

struct cell *model_cell(struct model *model, const void *payload)
{
	size_t start = (size_t)((const char *)payload - TAG - model->origin) / GRANULE;
	size_t low = 0;
	size_t high = model->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (model->cells[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	must(low < model->count && model->cells[low].start == start, "no block at %p", payload);
	return &model->cells[low];
}

void model_insert(struct model *model, struct cell *before, struct cell cell)
{
	size_t at = (size_t)(before - model->cells);

	if (model->count == model->room) {
		model->room = model->room ? model->room * 2 : 1024;
		model->cells = realloc(model->cells, model->room * sizeof(cell));
		must(model->cells, "out of memory for a model of %zu blocks", model->room);
	}
	memmove(model->cells + at + 1, model->cells + at, (model->count - at) * sizeof(cell));
	model->cells[at] = cell;
	model->count++;
}

static void drop_cell(struct model *model, struct cell *cell)
{
	model->count--;
	memmove(cell, cell + 1, (model->count - (size_t)(cell - model->cells)) * sizeof(*cell));
}

/* Cuts cell to so many granules; what is left becomes free and merges with a free block behind. */
static void cut(struct model *model, struct cell *cell, size_t size)
{
	size_t rest = cell->size - size;
	struct cell *next = cell + 1;

	cell->size = size;
	if (rest == 0)
		return;
	if (next < model->cells + model->count && !next->live) {
		next->start -= rest;
		next->size += rest;
	} else {
		model_insert(model, next, (struct cell){ cell->start + size, rest, false });
	}
}

/* Whether this policy rather takes the first of two blocks that fit; the second lies higher. */
static bool takes_lower(const struct model *model, const struct cell *low, const struct cell *high)
{
	switch (model->policy) {
	case ACRE_BEST_FIT:
		return low->size <= high->size;
	case ACRE_WORST_FIT:
		return low->size >= high->size;
	case ACRE_NEXT_FIT:
		return low->start + low->size > model->place ||
		       high->start + high->size <= model->place;
	default:
		return true;
	}
}

struct cell *model_choice(struct model *model, size_t size)
{
	struct cell *best = NULL;

	for (struct cell *cell = model->cells; cell < model->cells + model->count; cell++)
		if (!cell->live && cell->size >= size &&
		    (!best || !takes_lower(model, best, cell)))
			best = cell;
	return best;
}

void *model_malloc(struct model *model, size_t bytes)
{
	struct cell *cell = model_choice(model, model_granules(bytes));
	void *payload;

	if (!cell)
		return NULL;
	payload = model_payload(model, cell);
	model->place = cell->start + model_granules(bytes);
	cell->live = true;
	cut(model, cell, model_granules(bytes));
	return payload;
}

void model_free(struct model *model, const void *payload)
{
	struct cell *cell = model_cell(model, payload);

	must(cell->live, "%p", payload);
	cell->live = false;
	if (cell + 1 < model->cells + model->count && !cell[1].live) {
		cell->size += cell[1].size;
		drop_cell(model, cell + 1);
	}
	if (cell > model->cells && !cell[-1].live) {
		cell[-1].size += cell->size;
		drop_cell(model, cell);
	}
}

bool model_resize(struct model *model, const void *payload, size_t bytes)
{
	struct cell *cell = model_cell(model, payload);
	size_t size = model_granules(bytes);
	struct cell *next = cell + 1;

	if (size > cell->size) {
		if (next == model->cells + model->count || next->live ||
		    cell->size + next->size < size)
			return false;
		cell->size += next->size;
		drop_cell(model, next);
	}
	cut(model, cell, size);
	return true;
}

bool model_can_align(const struct model *model, size_t alignment, size_t bytes)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct cell *cell = &model->cells[i];
		uintptr_t low = (uintptr_t)model_payload(model, cell);
		uintptr_t at = (low + alignment - 1) & ~(uintptr_t)(alignment - 1);

		if (!cell->live && (at - low) / GRANULE + model_granules(bytes) <= cell->size)
			return true;
	}
	return false;
}
