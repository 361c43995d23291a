/*
 * What Tab puts into a line of the lab: commands first, then what the command takes.
 */
#include "complete.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "complain.h"
#include "line.h"
#include "words.h"

struct words {
	char **text;
	size_t count, room;
};

static void add(struct words *words, const char *text)
{
	words->text = lab_grown(words->text, words->count, &words->room, sizeof(*words->text));
	words->text[words->count] = text ? strdup(text) : NULL;
	if (text && !words->text[words->count])
		complain(FAILED, "out of memory");
	words->count++;
}

static void add_if(struct words *words, const char *text, const char *typed)
{
	if (strncmp(text, typed, strlen(typed)) == 0)
		add(words, text);
}

static void add_commands(struct words *words, const char *typed)
{
	for (const struct lab_command *command = lab_commands; command->name; command++)
		add_if(words, command->name, typed);
}

static void add_blocks(struct words *words, const struct lab_session *session, const char *typed)
{
	char name[LAB_NAME_MOST];

	for (size_t block = 0; block < session->item_count; block++) {
		lab_name(block, name);
		if (session->items[block].live)
			add_if(words, name, typed);
	}
}

static void add_policies(struct words *words, const char *typed)
{
	for (int policy = ACRE_FIRST_FIT; policy <= ACRE_GOOD_FIT; policy++)
		add_if(words, words_of_policy((enum acre_policy)policy), typed);
}

/* Files whose path, as it's to be typed, begins so; hidden ones only if that's typed. */
static void add_files(struct words *words, const char *typed)
{
	const char *slash = strrchr(typed, '/');
	size_t length = slash ? (size_t)(slash - typed) + 1 : 0;
	char *copy = strndup(typed, length);
	char *rest = copy;
	const char *folder = copy && *copy ? lab_line_word(&rest) : "";
	DIR *directory = opendir(*folder ? folder : ".");
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char path[4096];
		char text[2 * sizeof(path)];
		struct stat status;

		if (entry->d_name[0] == '.' && typed[length] != '.')
			continue;
		snprintf(path, sizeof(path), "%s%s", folder, entry->d_name);
		lab_line_escape(text, sizeof(text), path);
		if (strncmp(text, typed, strlen(typed)) != 0)
			continue;
		if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
			strncat(text, "/", sizeof(text) - strlen(text) - 1);
		add(words, text);
	}
	if (directory)
		closedir(directory);
	free(copy);
}

char **lab_complete(void *user, const char *line, size_t *start)
{
	const struct lab_session *session = user;
	const char *first = line + strspn(line, " \t");
	size_t length = strcspn(first, " \t");
	const char *second = first + length + strspn(first + length, " \t");
	const struct lab_command *command;
	struct words words = { 0 };
	unsigned several;

	if (!first[length]) {
		*start = (size_t)(first - line);
		add_commands(&words, first);
		add(&words, NULL);
		return words.text;
	}
	*start = (size_t)(second - line);
	command = lab_command_named(first, length, &several);
	if (command && command->kind == LAB_FILE)
		add_files(&words, second);
	else if (command && !strpbrk(second, " \t") && command->kind == LAB_BLOCK)
		add_blocks(&words, session, second);
	else if (command && !strpbrk(second, " \t") && command->kind == LAB_POLICY)
		add_policies(&words, second);
	else if (command && !strpbrk(second, " \t") && command->kind == LAB_COMMAND)
		add_commands(&words, second);
	add(&words, NULL);
	return words.text;
}
