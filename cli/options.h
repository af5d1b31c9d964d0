/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: each command has a table of options; parsing, checking and --help come from it.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/why.h"

enum { OPTIONS_MAX = 40, OPTIONS_GIVEN_MAX = 256 };

enum option_kind {
	OPT_FLAG,
	OPT_TEXT,   /* any, not empty */
	OPT_NUMBER, /* least..most */
	OPT_SIZE,   /* "2MiB", least..most bytes */
	OPT_CHOICE, /* arg lists them: "guard|check" */
};

struct option_row {
	const char *name; /* without the dashes */
	char letter;      /* 0 = none */
	enum option_kind kind;
	const char *arg; /* in --help: "FILE"; NULL for flags */
	const char *help;
	uint64_t least, most;
};

/* What a command line may hold. */
struct options {
	const struct option_row *rows[OPTIONS_MAX];
	size_t n;
	/* The rest after the first argument belongs to somebody else: options are only looked for
	 * before it, and right behind it (until "--" or anything that is not in the table). */
	bool rest_is_foreign;
};

struct option_given {
	const struct option_row *row;
	const char *text;
	uint64_t number;
};

struct args {
	struct option_given given[OPTIONS_GIVEN_MAX];
	size_t ngiven;
	const char **rest; /* arguments that are no options; malloc'd, strings of argv */
	size_t nrest;
};

void options_add(struct options *o, const struct option_row *rows, size_t n);

/* argv without program and command. -E_CONFIG with the reason; -ENOMEM. args_fini in each case. */
int options_parse(const struct options *o, const char *const *argv, struct args *ret,
		  struct why *why) MUST_USE;
void args_fini(struct args *a);

/* The option's last value; NULL, or the value given here, when it was not used. */
bool args_flag(const struct args *a, const char *name);
const char *args_text(const struct args *a, const char *name);
uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise);
/* The i-th (from 0) value of an option that may come several times; NULL at the end. */
const char *args_each(const struct args *a, const char *name, size_t i);

/* The lines of --help. */
void options_help(const struct options *o, FILE *out);

/* The one of n names that a mistyped word was likely meant to be, or NULL. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

#endif
