/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edges N MARKS NAME PULL VALUE...: N edges on each simulated line, one at a time, the lines in turn. PULL is the file that
 * sets a line's voltage, VALUE the level of the line that is to follow; the next edge comes when it has. Each is
 * announced by "NAME LEVEL" in MARKS, the kernel's trace. Between looks it sleeps: there may be one processor only.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 10, LOOKS = 3000, MOST_LINES = 16 };

struct line {
	const char *name;
	int pull, value;
};

static void pause_ms(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000 * 1000 }, NULL);
}

/* sysfs takes each write as a whole value, wherever in the file it is. */
static bool put(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool follows(const struct line *l, int level)
{
	for (int i = 0; i < LOOKS; i++) {
		char is = 0;
		pause_ms();
		if (pread(l->value, &is, 1, 0) == 1 && is == '0' + level)
			return true;
	}
	return false;
}

static bool edge(const struct line *l, int marks, int level)
{
	char mark[64];
	(void)snprintf(mark, sizeof(mark), "%s %d\n", l->name, level);
	if (!put(marks, mark) || !put(l->pull, level ? "pull-up" : "pull-down")) {
		perror(l->name);
		return false;
	}
	if (!follows(l, level)) {
		(void)fprintf(stderr, "%s: the output does not become %d\n", l->name, level);
		return false;
	}
	pause_ms(); /* what comes after the output: the end in the journal, log lines */
	return true;
}

int main(int argc, char **argv)
{
	struct line lines[MOST_LINES];
	int n = (argc - 3) / 3;
	if (argc < 6 || argc % 3 || n > MOST_LINES)
		return 64;
	int marks = open(argv[2], O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < n; i++) {
		char **a = argv + 3 + 3 * i;
		lines[i] = (struct line){ a[0], open(a[1], O_WRONLY | O_CLOEXEC),
					  open(a[2], O_RDONLY | O_CLOEXEC) };
	}
	for (long e = 1; e <= strtol(argv[1], NULL, 10); e++) {
		for (int i = 0; i < n; i++) {
			if (!edge(&lines[i], marks, (int)(e % 2)))
				return 1;
		}
	}
	return 0;
}
