/*
 * Page: see page.h. While a policy is played, the heap is looked at some SAMPLES times:
 *
 *	sample:	[call, live bytes, live blocks, extent, largest hole]	bytes with their tags
 *	map:	CELLS letters, each a share of the page's scale: A, nothing is live there, to /, all is
 *
 * The extent of a moment is the end of the last live block, holes are what's free before it. All
 * policies have one scale, so that they can be compared.
 */
#include "page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "progress.h"
#include "words.h"

#define SAMPLES		180u
#define CELLS		256u
#define LEVELS		63u
#define TAG_BYTES	8u
#define MARK		"@DATA@"
#define GENERATOR	"<meta name=\"generator\" content=\"acre replay\">"
#define HEAD_BYTES	256u	/* of the page: the generator is in these */

/* The heap at one moment, as far as a walk has come. */
struct moment {
	const struct play *play;
	uint64_t scale;
	uint64_t live, blocks, extent, hole, largest;
	uint64_t cells[CELLS];		/* live bytes in each */
};

struct painter {
	FILE *file;
	uint64_t scale;
	bool first;
	char *maps;			/* of all samples so far, as they will stand there */
	size_t maps_used, maps_room;
};

void page_open(struct target *page, const char *path, const char *trace)
{
	static const struct target_kind kind = { "page of acre's", GENERATOR, HEAD_BYTES };
	const char *wrong;

	if (target_is(path, trace))
		complain(BAD_INPUT, "--report '%s' is the trace itself: give a name for the page",
			 path);
	wrong = target_check(path, &kind);
	if (!wrong)
		wrong = target_open(page, path, &kind);
	if (wrong)
		complain(BAD_INPUT, "--report '%s' %s", path, wrong);
}

/* Shares a live block out among the cells that it lies in. */
static void fill_cells(struct moment *moment, uint64_t from, uint64_t to)
{
	uint64_t cell = moment->scale / CELLS;

	for (uint64_t i = from / cell; i < CELLS && i * cell < to; i++) {
		uint64_t start = i * cell > from ? i * cell : from;
		uint64_t end = (i + 1) * cell < to ? (i + 1) * cell : to;

		moment->cells[i] += end - start;
	}
}

static int see_block(const struct acre_block *block, void *user)
{
	struct moment *moment = user;
	uint64_t from = (uint64_t)((const char *)block->address - moment->play->origin) - TAG_BYTES;
	uint64_t to = from + TAG_BYTES + block->size;

	if (block->state == ACRE_FREE) {
		moment->hole = to - from;
		return 0;
	}
	if (moment->hole > moment->largest)
		moment->largest = moment->hole;
	moment->hole = 0;
	moment->live += to - from;
	moment->blocks++;
	moment->extent = to;
	fill_cells(moment, from, to);
	return 0;
}

static void put_map(struct painter *painter, const struct moment *moment)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t cell = moment->scale / CELLS;
	char *at;

	if (painter->maps_used + CELLS + 8 > painter->maps_room) {
		painter->maps_room = 2 * painter->maps_room + (CELLS + 8) * SAMPLES;
		painter->maps = realloc(painter->maps, painter->maps_room);
		if (!painter->maps)
			complain(FAILED, "out of memory for the page");
	}
	at = painter->maps + painter->maps_used;
	at += sprintf(at, painter->first ? "\"" : ",\n\"");
	for (unsigned i = 0; i < CELLS; i++)
		*at++ = letters[(moment->cells[i] * LEVELS + cell - 1) / cell];
	*at++ = '"';
	painter->maps_used = (size_t)(at - painter->maps);
}

static void look(const struct play *play, void *user)
{
	struct painter *painter = user;
	struct moment moment = { .play = play, .scale = painter->scale };

	acre_walk(play->arena, see_block, &moment);
	fprintf(painter->file,
		"%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]",
		painter->first ? "" : ",", play->event + 1, moment.live, moment.blocks,
		moment.extent, moment.largest);
	put_map(painter, &moment);
	painter->first = false;
}

/* Text as JSON, which also may stand within a script. What isn't UTF-8 becomes a question mark. */
static void put_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		unsigned more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 :
				*at >= 0xe0 && *at < 0xf0 ? 2 : *at >= 0xf0 && *at < 0xf5 ? 3 : 9;

		for (unsigned i = 1; more < 9 && i <= more; i++)
			if (at[i] < 0x80 || at[i] > 0xbf)
				more = 9;
		if (more == 9)
			fputc('?', file);
		else if (!more && (*at < ' ' || strchr("\"\\<>&", *at)))
			fprintf(file, "\\u%04x", *at);
		else
			fprintf(file, "%.*s", (int)more + 1, (const char *)at);
		at += more < 9 ? more : 0;
	}
	fputc('"', file);
}

static void put_trace(FILE *file, const struct trace *trace)
{
	fputs("\"program\":", file);
	put_text(file, trace->program);
	fprintf(file,
		",\"calls\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"threads\":%" PRIu64
		",\"peak\":%" PRIu64 ",\"peakCall\":%" PRIu64 ",\"refused\":%" PRIu64
		",\"end\":%d,\"code\":%" PRIu64,
		trace->events, trace->blocks, trace->threads, trace->peak_bytes,
		trace->peak_event + 1, trace->refused, trace->end, trace->code);
}

/* A policy's figures, samples and maps; false if it was interrupted. */
static bool put_policy(FILE *file, const struct trace *trace, const struct page_policy *policy,
		       uint64_t scale)
{
	const struct play_result *result = &policy->result;
	struct painter painter = { .file = file, .scale = scale, .first = true };
	struct play_plan plan = { .trace = trace,
				  .policy = policy->policy,
				  .arena = policy->arena,
				  .measured = true,
				  .every = (trace->events + SAMPLES - 1) / SAMPLES,
				  .look = look,
				  .user = &painter };
	struct play_result again;

	fprintf(file,
		"{\"name\":\"%s\",\"arena\":%zu,\"ms\":%.1f,\"extent\":%" PRIu64
		",\"live\":%" PRIu64 ",\"frag\":%.4f,\"refusals\":%" PRIu64 ",\"steps\":%" PRIu64
		",\n\"samples\":[",
		words_of_policy(policy->policy), policy->arena, result->seconds * 1000,
		result->extent, result->live, play_fragmentation(result), result->refusals,
		result->steps);
	if (!play(&plan, &again))
		complain(FAILED, "an arena of %zu bytes: %s", policy->arena, strerror(errno));
	fprintf(file, "],\n\"map\":[%.*s]}", (int)painter.maps_used,
		painter.maps ? painter.maps : "");
	free(painter.maps);
	return again.complete;
}

/* What the cells share: as far as any of the policies ever went. */
static uint64_t scale_of(const struct page_policy *policies, unsigned count)
{
	uint64_t most = 1;

	for (unsigned i = 0; i < count; i++)
		if (policies[i].result.extent > most)
			most = policies[i].result.extent;
	return (most + CELLS * 16 - 1) / (CELLS * 16) * (CELLS * 16);
}

static bool put_data(FILE *file, const struct trace *trace, const char *arena,
		     const struct page_policy *policies, unsigned count)
{
	uint64_t scale = scale_of(policies, count);

	fputc('{', file);
	put_trace(file, trace);
	fputs(",\"arena\":", file);
	put_text(file, arena);
	fprintf(file, ",\"scale\":%" PRIu64 ",\"cells\":%u,\n\"policies\":[", scale, CELLS);
	for (unsigned i = 0; i < count; i++) {
		if (i)
			fputs(",\n", file);
		if (!put_policy(file, trace, &policies[i], scale))
			return false;
	}
	fputs("]}", file);
	return true;
}

bool page_write(struct target *page, const char *path, const struct trace *trace, const char *arena,
		const struct page_policy *policies, unsigned count)
{
	const char *html = (const char *)page_html;
	const char *mark = memmem(html, page_html_length, MARK, strlen(MARK));
	size_t before = (size_t)(mark - html);
	const char *wrong;

	fwrite(html, 1, before, page->file);
	if (!put_data(page->file, trace, arena, policies, count)) {
		target_abandon(page);
		return false;
	}
	mark += strlen(MARK);
	fwrite(mark, 1, page_html_length - before - strlen(MARK), page->file);
	wrong = target_close(page);
	if (wrong)
		complain(FAILED, "--report '%s' %s", path, wrong);
	return true;
}
