/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/path/args.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 64 };

static int help(FILE *to, const char *about, const struct arg *args, size_t nargs)
{
	fputs(about, to);
	for (size_t i = 0; i < nargs; i++) {
		int width = fprintf(to, "  --%s %s", args[i].name, args[i].value);
		fprintf(to, "%*s%s", width < 24 ? 24 - width : 1, "", args[i].help);
		if (args[i].number && *args[i].number)
			fprintf(to, " (%u)", *args[i].number);
		else if (args[i].text && **args[i].text)
			fprintf(to, " (%s)", *args[i].text);
		fputc('\n', to);
	}
	return to == stdout ? -1 : -1 - EXIT_USAGE;
}

static bool number(const char *text, unsigned *ret)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n > UINT_MAX)
		return false;
	*ret = (unsigned)n;
	return true;
}

int args_parse(int argc, char **argv, const struct arg *args, size_t nargs, const char *about)
{
	int at = 1;
	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
		if (argv[at][2] == '\0')
			return at + 1;
		if (strcmp(argv[at], "--help") == 0)
			return help(stdout, about, args, nargs);
		size_t i = 0;
		while (i < nargs && strcmp(argv[at] + 2, args[i].name) != 0)
			i++;
		if (i == nargs || at + 1 == argc ||
		    (args[i].number && !number(argv[at + 1], args[i].number))) {
			fprintf(stderr, "%s: %s: %s\n", argv[0], argv[at],
				i == nargs ? "no such option" : "wants a value");
			return help(stderr, about, args, nargs);
		}
		if (args[i].text)
			*args[i].text = argv[at + 1];
	}
	return at;
}
