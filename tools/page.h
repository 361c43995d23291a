/*
 * Page: the heaps of a replay over time, as one HTML file that needs no other.
 *
 * The page itself is tools/page.html, which the build takes in as page_html; what it shows stands in it
 * as JSON, between the halves of that.
 */
#ifndef ACRE_PAGE_H
#define ACRE_PAGE_H

#include "play.h"
#include "target.h"

/* A policy's part. */
struct page_policy {
	enum acre_policy policy;
	size_t arena;
	struct play_result result;
};

/* The page as it's built in: its text, and the length of that. */
extern const unsigned char page_html[];
extern const size_t page_html_length;

/*
 * Makes sure that there can be a page at this path, which isn't the trace's; what can't ends the
 * process with a line.
 */
void page_open(struct target *page, const char *path, const char *trace);

/*
 * Plays the trace once more under each policy, and writes the page. arena is what was asked for, as
 * text. False if it was interrupted; there is no page then, nor another file.
 */
bool page_write(struct target *page, const char *path, const struct trace *trace, const char *arena,
		const struct page_policy *policies, unsigned count);

#endif
