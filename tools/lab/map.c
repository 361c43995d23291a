/*
 * Drawing the lab's map: see map.h.
 */
#include "map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "screen.h"

#define ROWS_MOST	8u
#define CELLS_LEAST	8u

/* What a cell shows. */
struct cell {
	const struct lab_block *block;	/* the only one in it; NULL: there are several */
	bool begins;			/* the block begins in it */
};

struct grid {
	size_t bytes;			/* in a cell */
	unsigned columns;
	unsigned digits;		/* of the offsets */
	size_t count;
	struct cell *cells;
};

static unsigned digits_of(size_t n)
{
	unsigned digits = 1;

	while (n /= 10)
		digits++;
	return digits;
}

/* As many cells in a row, and as few bytes in a cell, as the terminal allows. */
static struct grid grid_for(size_t size)
{
	unsigned rows = lab_screen_rows() / 3;
	struct grid grid = { .bytes = LAB_GRANULE, .columns = CELLS_LEAST };

	rows = rows < 1 ? 1 : rows > ROWS_MOST ? ROWS_MOST : rows;
	grid.digits = digits_of(size);
	while (grid.columns * 2 + grid.digits + 1 <= lab_screen_columns())
		grid.columns *= 2;
	while (grid.bytes * grid.columns * rows < size)
		grid.bytes *= 2;
	grid.count = (size + grid.bytes - 1) / grid.bytes;
	grid.cells = calloc(grid.count, sizeof(*grid.cells));
	if (!grid.cells)
		complain(FAILED, "out of memory");
	return grid;
}

static void fill(struct grid *grid, const struct lab_picture *picture)
{
	for (size_t i = 0; i < picture->count; i++) {
		const struct lab_block *block = &picture->blocks[i];
		size_t first = block->offset / grid->bytes;
		size_t last = (block->offset + block->size - 1) / grid->bytes;

		for (size_t at = first; at <= last; at++) {
			struct cell *cell = &grid->cells[at];
			bool shared = block->offset > at * grid->bytes && at == first;

			cell->block = shared ? NULL : block;
			cell->begins = at == first;
		}
	}
}

/* A cell is of the block that begins with it, until another one begins in its midst. */
static bool same(const struct grid *grid, size_t a, size_t b)
{
	return a / grid->columns == b / grid->columns && b < grid->count &&
	       grid->cells[a].block == grid->cells[b].block;
}

static void draw_live(const struct lab_session *session, const struct grid *grid, size_t at,
		      size_t end, bool marked)
{
	size_t number = lab_session_at(session, grid->cells[at].block->offset);
	char name[LAB_NAME_MOST];
	size_t width = end - at;

	lab_name(number, name);
	if (strlen(name) > width)
		strcpy(name, "#");
	printf("%s%s", lab_hue(number, marked), name);
	for (size_t i = strlen(name); i < width; i++)
		putchar(*lab_style(LAB_PLAIN) ? ' ' : '=');
	fputs(lab_style(LAB_PLAIN), stdout);
}

static void draw_free(const struct grid *grid, size_t at, size_t end, bool marked)
{
	const struct cell *before = at % grid->columns ? &grid->cells[at - 1] : NULL;
	bool behind_free = before && before->block && !before->block->live;

	fputs(lab_style(marked ? LAB_FRESH : LAB_DIM), stdout);
	for (size_t i = at; i < end; i++)
		putchar(i == at && behind_free && grid->cells[at].begins ? ':' : '.');
	fputs(lab_style(LAB_PLAIN), stdout);
}

static void draw_rows(const struct lab_session *session, const struct grid *grid, size_t marked)
{
	for (size_t at = 0, end; at < grid->count; at = end) {
		const struct lab_block *block = grid->cells[at].block;

		for (end = at + 1; same(grid, at, end);)
			end++;
		if (at % grid->columns == 0)
			printf("%s%s%*zu%s ", at ? "\n" : "", lab_style(LAB_DIM), (int)grid->digits,
			       at * grid->bytes, lab_style(LAB_PLAIN));
		if (!block)
			for (size_t i = at; i < end; i++)
				putchar('+');
		else if (block->live)
			draw_live(session, grid, at, end, block->offset == marked);
		else
			draw_free(grid, at, end, block->offset == marked);
	}
	putchar('\n');
}

/* Whether a cell shows this. */
static bool has_shared(const struct grid *grid)
{
	for (size_t i = 0; i < grid->count; i++)
		if (!grid->cells[i].block)
			return true;
	return false;
}

void lab_map_draw(const struct lab_session *session, const struct lab_picture *picture,
		  size_t marked)
{
	struct lab_sums sums = lab_sums_of(picture);
	struct grid grid;
	FILE *text;

	if (lab_screen_is_quiet())
		return;
	grid = grid_for(session->heap.size);
	fill(&grid, picture);
	draw_rows(session, &grid, marked);
	text = lab_screen_text();
	fprintf(text, "%*s%s%zu bytes a cell", (int)grid.digits + 1, "", lab_style(LAB_DIM),
		grid.bytes);
	if (has_shared(&grid))
		fprintf(text, " (+ has several blocks)");
	fprintf(text, "; %zu block%s in use, %zu bytes free", sums.live_blocks,
		lab_plural(sums.live_blocks), sums.free);
	if (sums.free)
		fprintf(text, " in %zu hole%s", sums.holes, lab_plural(sums.holes));
	fprintf(text, "%s", lab_style(LAB_PLAIN));
	lab_screen_say(grid.digits + 1);
	free(grid.cells);
}
