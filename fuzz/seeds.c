/*
 * Seeds: the parts of the format, and the files. See seeds.h.
 */
#include "seeds.h"

#include <stdio.h>

static struct {
	uint8_t bytes[1024];
	size_t count;
} seed;

void put(unsigned byte)
{
	seed.bytes[seed.count++] = (uint8_t)byte;
}

void put_arena(enum acre_policy policy, unsigned kind, size_t bytes, unsigned shift,
	       size_t cache_bytes)
{
	put(policy);
	put(kind);
	put(play_size(bytes));
	put(shift);
	put(play_cache(cache_bytes));
}

void begin(unsigned how, enum acre_policy policy, unsigned kind, size_t bytes)
{
	put(how);
	put_arena(policy, kind, bytes, 0, 0);
}

void op(enum verb verb, unsigned varied)
{
	put(play_byte(verb, varied));
}

void small(unsigned bytes)
{
	put(bytes >> 8 << 3 | SMALL);
	put(bytes & 255);
}

void class(unsigned number, unsigned edge)
{
	put(edge << 3 | CLASS);
	put(number - 1);
}

void pages(unsigned count, unsigned edge)
{
	put(edge << 3 | PAGES);
	put(count - 1);
}

void large(unsigned mantissa, unsigned shift)
{
	put((mantissa - 32) << 3 | LARGE);
	put(shift);
}

void share(enum share of, unsigned edge)
{
	put(edge << 3 | SHARE);
	put(of);
}

void huge(unsigned which, unsigned less)
{
	put(less << 3 | HUGE);
	put(which);
}

void get(unsigned bytes)
{
	op(MALLOC, 0);
	small(bytes);
}

void run(unsigned count, unsigned bytes)
{
	op(RUN, 0);
	put(count - 1);
	small(bytes);
}

void drop(unsigned block)
{
	op(FREE, 0);
	put(block);
}

void drop_run(unsigned from, unsigned count, unsigned each)
{
	op(FREE_RUN, each - 1);
	put(from);
	put(count - 1);
}

void turn(unsigned worker)
{
	op(TURN, 0);
	put(worker);
}

void pass(unsigned entry)
{
	op(PASS, 0);
	put(entry);
}

static int write_all(const char *directory, const struct seed_entry *entry)
{
	for (; entry->name; entry++) {
		char path[4096];
		FILE *file;
		int done;

		seed.count = 0;
		entry->write();
		snprintf(path, sizeof(path), "%s/%s", directory, entry->name);
		file = fopen(path, "wb");
		if (!file)
			return 0;
		done = fwrite(seed.bytes, 1, seed.count, file) == seed.count;
		if (fclose(file) != 0 || !done)
			return 0;
	}
	return 1;
}

int seeds_write(const char *directory)
{
	return write_all(directory, seeds_heap) && write_all(directory, seeds_plots) &&
	       write_all(directory, seeds_arenas);
}
