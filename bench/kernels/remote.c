/*
 * Blocks that another thread frees than the one that allocated them. Nobody spins: a thread that
 * has to wait sleeps, so that CPU time is what the allocator took.
 */
#include <errno.h>
#include <semaphore.h>

#include "kernel.h"

static void take(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		if (errno != EINTR)
			fail("sem_wait");
}

/* ---- handover: each thread gives batches to the next in a circle ---- */

enum { THREADS = 4, BATCH = 500, SLOTS = 8 };

struct seat {
	int number;
	long batches;
	struct seat *next;
	sem_t filled, empty;
	void *slots[SLOTS][BATCH];	/* what the seat before gave */
};

static void *sit(void *argument)
{
	struct seat *seat = argument;
	struct dice dice = dice_of((unsigned)seat->number);

	for (long n = 0; n < seat->batches; n++) {
		void **batch = seat->next->slots[n % SLOTS];

		take(&seat->next->empty);
		for (int k = 0; k < BATCH; k++)
			batch[k] = allocate(small_size(&dice));
		sem_post(&seat->next->filled);

		take(&seat->filled);
		free_all(seat->slots[n % SLOTS], BATCH);
		sem_post(&seat->empty);
	}
	return NULL;
}

static void handover(long amount)
{
	struct seat *seats = pages(THREADS * sizeof(*seats));

	for (int k = 0; k < THREADS; k++) {
		seats[k].number = k;
		seats[k].batches = amount;
		seats[k].next = &seats[(k + 1) % THREADS];
		sem_init(&seats[k].filled, 0, 0);
		sem_init(&seats[k].empty, 0, SLOTS);
	}
	run_threads(THREADS, sit, seats, sizeof(*seats));
}

/* ---- ring: one thread allocates, another frees in the same order ---- */

enum { SECTIONS = 16, SECTION = 256 };

static struct {
	long sections;
	sem_t filled, empty;	/* sections: one for each block would cost more than malloc */
	void *blocks[SECTIONS][SECTION];
} ring;

static void *produce(void *unused)
{
	struct dice dice = dice_of(1);

	(void)unused;
	for (long n = 0; n < ring.sections; n++) {
		take(&ring.empty);
		for (int k = 0; k < SECTION; k++)
			ring.blocks[n % SECTIONS][k] = allocate(mixed_size(&dice));
		sem_post(&ring.filled);
	}
	return NULL;
}

static void run_ring(long amount)
{
	pthread_t producer;

	ring.sections = amount;
	sem_init(&ring.filled, 0, 0);
	sem_init(&ring.empty, 0, SECTIONS);
	producer = start(produce, NULL);
	for (long n = 0; n < amount; n++) {
		take(&ring.filled);
		free_all(ring.blocks[n % SECTIONS], SECTION);
		sem_post(&ring.empty);
	}
	end(producer);
}

const struct kernel remote_kernels[] = {
	{ "handover", "4 threads in a circle, each frees batches of the one before", handover },
	{ "ring", "one thread allocates mixed sizes, another frees them in order", run_ring },
	{ NULL, NULL, NULL },
};
