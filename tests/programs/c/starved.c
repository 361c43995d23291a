/*
 * A program that looks at every result: a list, a table that grows, an array, text, streams, a sort,
 * aligned blocks, threads whose blocks others free, and a child. When it gets no memory it says so
 * and exits with status 3, at any point; all that it holds is whole until then.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 60
#define THREADS 3

struct word {
	struct word *next;
	char *text;
	int number;
};

static _Noreturn void give_up(void)
{
	static const char said[] = "out of memory\n";

	if (errno != ENOMEM && errno != EAGAIN)
		abort();
	if (write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
		_exit(4);
	exit(3);
}

static void drop(struct word *list)
{
	while (list) {
		struct word *next = list->next;

		free(list->text);
		free(list);
		list = next;
	}
}

/* A list of so many words; NULL, and nothing is left behind, if there's no memory for it. */
static struct word *make(int first, int count)
{
	struct word *list = NULL;

	for (int i = first; i < first + count; i++) {
		struct word *word = malloc(sizeof(*word));

		if (!word || asprintf(&word->text, "%0*d", 1 + i * 37 % 400, i) < 0) {
			free(word);
			drop(list);
			errno = ENOMEM;
			return NULL;
		}
		word->number = i;
		word->next = list;
		list = word;
	}
	return list;
}

static void check(const struct word *list, int count)
{
	for (; list; list = list->next, count--)
		if (atoi(list->text) != list->number ||
		    strlen(list->text) < (size_t)(1 + list->number * 37 % 400))
			abort();
	if (count)
		abort();
}

/* A table of pointers to the words, twice as large each time that it's half full. */
static void use_table(const struct word *list)
{
	const struct word **table = calloc(4, sizeof(*table));
	size_t size = 4;
	size_t used = 0;

	if (!table)
		give_up();
	for (; list; list = list->next) {
		size_t place = (size_t)list->number * 2654435761u % size;

		if (2 * used++ >= size) {
			const struct word **wider = calloc(2 * size, sizeof(*wider));

			if (!wider) {
				free(table);
				give_up();
			}
			for (size_t i = 0; i < size; i++) {
				size_t to = table[i] ? (size_t)table[i]->number * 2654435761u : 0;

				for (to %= 2 * size; table[i] && wider[to];)
					to = (to + 1) % (2 * size);
				if (table[i])
					wider[to] = table[i];
			}
			free(table);
			table = wider;
			size *= 2;
			place = (size_t)list->number * 2654435761u % size;
		}
		while (table[place])
			place = (place + 1) % size;
		table[place] = list;
	}
	free(table);
}

/* An array that grows to half a megabyte and shrinks again; what it holds stays. */
static void use_array(void)
{
	size_t size = 16;
	char *array = malloc(size);

	if (!array)
		give_up();
	memset(array, 'a', size);
	for (; size < 512 << 10; size = size * 3 / 2) {
		char *larger = realloc(array, size * 3 / 2);

		for (size_t i = 0; !larger && i < size; i++)
			if (array[i] != 'a')
				abort();
		if (!larger) {
			free(array);
			give_up();
		}
		array = larger;
		memset(array + size, 'a', size * 3 / 2 - size);
	}
	for (; size > 16; size /= 3) {
		array = realloc(array, size);
		/* A shrink is never refused. */
		if (!array)
			abort();
		for (size_t i = 0; i < size; i++)
			if (array[i] != 'a')
				abort();
	}
	free(array);
}

static int by_number(const void *a, const void *b)
{
	const struct word *const *one = a, *const *other = b;

	return ((*one)->number > (*other)->number) - ((*one)->number < (*other)->number);
}

/* qsort may want memory of its own, and does without. */
static void use_sort(struct word *list)
{
	struct word **sorted = reallocarray(NULL, WORDS, sizeof(*sorted));
	size_t count = 0;

	if (!sorted)
		give_up();
	for (; list; list = list->next)
		sorted[count++] = list;
	qsort(sorted, count, sizeof(*sorted), by_number);
	for (size_t i = 1; i < count; i++)
		if (sorted[i - 1]->number >= sorted[i]->number)
			abort();
	free(sorted);
}

/* A stream may report a refused write late, and a failed stream has no text. */
static void use_streams(const struct word *list)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	int bad;

	if (!stream)
		give_up();
	for (; list; list = list->next)
		fprintf(stream, "%s\n", list->text);
	bad = ferror(stream);
	if (fclose(stream) != 0 || bad || !text) {
		free(text);
		errno = ENOMEM;
		give_up();
	}
	stream = fmemopen(text, strlen(text) ? strlen(text) : 1, "r");
	if (!stream) {
		free(text);
		give_up();
	}
	{
		char *line = NULL;
		size_t room = 0;

		while (getline(&line, &room, stream) > 0)
			;
		free(line);
	}
	fclose(stream);
	free(text);
}

static void use_aligned(void)
{
	void *blocks[8] = { 0 };
	int refused = 0;

	for (size_t i = 0; i < 8 && !refused; i++)
		refused = posix_memalign(&blocks[i], (size_t)16 << i, 100 << i);
	for (size_t i = 0; i < 8; i++)
		free(blocks[i]);
	if (refused) {
		errno = refused;
		give_up();
	}
}

static void *make_in_a_thread(void *first)
{
	return make((int)(size_t)first, WORDS / THREADS);
}

/* Lists that threads make; others free them, or the main thread does. */
static void *drop_in_a_thread(void *list)
{
	check(list, WORDS / THREADS);
	drop(list);
	return NULL;
}

static void use_threads(void)
{
	pthread_t threads[THREADS];
	void *lists[THREADS] = { 0 };
	int started = 0;
	int refused = 0;

	while (started < THREADS && !refused) {
		refused = pthread_create(&threads[started], NULL, make_in_a_thread,
					 (void *)(size_t)(started * 100));
		started += !refused;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(threads[i], &lists[i]);
		refused |= !lists[i];
	}
	for (int i = 0; i < THREADS; i++) {
		if (i % 2 || !lists[i] ||
		    pthread_create(&threads[i], NULL, drop_in_a_thread, lists[i]) != 0)
			drop(lists[i]);
		else
			pthread_join(threads[i], NULL);
	}
	if (refused) {
		errno = ENOMEM;
		give_up();
	}
}

static void use_child(const struct word *list)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		give_up();
	if (child == 0) {
		struct word *more = make(500, WORDS);

		if (!more)
			give_up();
		check(list, WORDS);
		check(more, WORDS);
		drop(more);
		exit(0);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3))
		abort();
}

int main(void)
{
	struct word *list = make(0, WORDS);

	if (!list)
		give_up();
	check(list, WORDS);
	use_table(list);
	use_array();
	use_sort(list);
	use_streams(list);
	use_aligned();
	use_threads();
	use_child(list);
	check(list, WORDS);
	drop(list);
	return 0;
}
