/* SPDX-License-Identifier: Apache-2.0 */
/* replay: events of the journal once more, and what is different */
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"

#define GROUP "Events"

enum {
	REPLAY_TIMEOUT_S = 180, /* the version may have to be compiled */
	PAGE = 500,
	RATE_USUAL = 500,
	SHOWN_MAX = 10,
};

static const struct option_row replay_rows[] = {
	{ "version", 0, OPT_TEXT, "REV", "by this revision or version (default: the one it ran by)",
	  0, 0 },
	{ "commit", 0, OPT_FLAG, NULL,
	  "run it again FOR REAL by the active version: messages go out, state changes", 0, 0 },
	{ "since", 0, OPT_TEXT, "AGE", "all events of --function that came since: 90s, 5m, 1h, 2d",
	  0, 0 },
	{ "function", 0, OPT_TEXT, "NAME", "whose events, with --since", 0, 0 },
	{ "diff", 0, OPT_FLAG, NULL, "with --since: show the first differences", 0, 0 },
	{ "rate", 0, OPT_NUMBER, "N", "with --since: at most so many events a second (default 500)",
	  1, 100000 },
};

static void bytes_put(FILE *out, const char *mark, const json_t *text)
{
	(void)fputs(mark, out);
	if (json_is_string(text))
		text_put(out, json_string_value(text));
	else
		(void)fputs("(nothing)", out);
	(void)fputc('\n', out);
}

static void differences_print(FILE *out, const json_t *answer, size_t most)
{
	size_t i;
	json_t *d;
	json_array_foreach(json_object_get(answer, "differences"), i, d)
	{
		if (i == most)
			break;
		(void)fprintf(out, "  %s\n", json_text(d, "what"));
		bytes_put(out, "  - ", json_object_get(d, "then"));
		bytes_put(out, "  + ", json_object_get(d, "now"));
	}
	if (json_num(answer, "ndifferences") > (double)most)
		(void)fprintf(out, "  ... %.0f differences in all\n",
			      json_num(answer, "ndifferences"));
}

static bool is_same(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "same"));
}

/* ---- one event ---- */

static void run_print(struct cli *c, const json_t *a)
{
	const json_t *first = json_object_get(a, "first");
	size_t i;
	json_t *line;
	(void)fprintf(c->out, "then      %s by revision %.0f\n", json_text(first, "status"),
		      json_num(first, "revision"));
	(void)fprintf(c->out, "now       %s by revision %.0f", json_text(a, "status"),
		      json_num(a, "revision"));
	if (json_text(a, "reason")[0]) {
		(void)fputs(": ", c->out);
		text_put(c->out, json_text(a, "reason"));
	}
	(void)fputc('\n', c->out);
	json_array_foreach(json_object_get(a, "log"), i, line)
	{
		(void)fprintf(c->out, "log       %-8s", json_text(line, "level"));
		text_put(c->out, json_text(line, "text"));
		(void)fputc('\n', c->out);
	}
	(void)fputs(is_same(a) ? "same      reply, messages and changes of state\n" : "different\n",
		    c->out);
	differences_print(c->out, a, SIZE_MAX);
}

/* What --version names: a revision, or the newest one with this version. NULL: said why. */
static char *revision_of(struct cli *c, struct client *k, const char *function)
{
	const char *wanted = args_text(&c->args, "version");
	OWN_JSON *answer = NULL;
	OWN_FREE char *path = client_path("/functions/%s", function);
	const struct client_request q = { .method = CLIENT_GET, .path = path };
	size_t i;
	json_t *v;
	char *text = NULL;
	if (wanted[strspn(wanted, "0123456789")] == '\0')
		return strdup(wanted);
	if (client_do(k, &q, &answer) != CODE_OK)
		return NULL;
	json_array_foreach(json_object_get(answer, "versions"), i, v)
	{
		if (strcmp(json_text(v, "version"), wanted) == 0) {
			ENSURE(asprintf(&text, "%.0f", json_num(v, "revision")) >= 0);
			return text;
		}
	}
	(void)cli_fail(c, CODE_FAILED, "penstock functions NAME lists those that are kept",
		       "%s has no version %s (any more)", function, wanted);
	return NULL;
}

static int replay_call(struct client *k, const char *id, const char *revision, json_t **ret,
		       struct why *why)
{
	OWN_FREE char *path = revision ? client_path("/events/%s/replay?revision=%s", id, revision)
				       : client_path("/events/%s/replay", id);
	const struct client_request q = { .method = CLIENT_POST,
					  .path = path,
					  .timeout_s = REPLAY_TIMEOUT_S };
	return client_call(k, &q, ret, why);
}

static int commit_one(struct cli *c, struct client *k, const char *id)
{
	OWN_JSON *answer = NULL;
	OWN_FREE char *path = client_path("/events/%s/replay?commit=1", id);
	int code = client_do(k, &(struct client_request){ .method = CLIENT_POST, .path = path },
			     &answer);
	if (code == CODE_OK && cli_json(c))
		json_print(c, answer);
	else if (code == CODE_OK)
		(void)fprintf(c->out, "event %s runs again for real: penstock events show %s\n",
			      json_text(answer, "id"), json_text(answer, "id"));
	return code;
}

static int replay_one(struct cli *c, struct client *k, const char *id)
{
	struct why why = { 0 };
	OWN_JSON *answer = NULL;
	OWN_FREE char *revision = NULL;
	if (args_text(&c->args, "version")) {
		OWN_JSON *event = NULL;
		OWN_FREE char *path = client_path("/events/%s", id);
		int code = client_do(
			k, &(struct client_request){ .method = CLIENT_GET, .path = path }, &event);
		if (code == CODE_OK)
			revision = revision_of(c, k, json_text(event, "function"));
		if (!revision)
			return code != CODE_OK ? code : CODE_FAILED;
	}
	int status = replay_call(k, id, revision, &answer, &why);
	if (status < 200 || status > 299)
		return client_refused(k, status, answer, &why);
	if (cli_json(c))
		json_print(c, answer);
	else
		run_print(c, answer);
	return is_same(answer) ? CODE_OK : CODE_FAILED;
}

/* ---- many ---- */

struct tally {
	unsigned same, different, failed,
		lost; /* failed: by now and not then; lost: not replayable */
	json_t *shown, *reasons;
	time_t told;
};

static void progress(struct cli *c, struct tally *t, bool last)
{
	time_t now = time(NULL);
	if (!isatty(fileno(c->err)) || (now == t->told && !last))
		return;
	t->told = now;
	(void)fprintf(c->err, "\r%u events%s", t->same + t->different + t->lost, last ? "\n" : "");
}

static void count(struct tally *t, const char *id, int status, json_t *answer)
{
	const json_t *first = json_object_get(answer, "first");
	if (status < 200 || status > 299) {
		const char *reason = json_text(json_object_get(answer, "error"), "message");
		t->lost++;
		if (json_array_size(t->reasons) < SHOWN_MAX)
			(void)json_array_append_new(
				t->reasons, json_pack("{s:s, s:s}", "event", id, "reason", reason));
		return;
	}
	if (is_same(answer)) {
		t->same++;
		return;
	}
	t->different++;
	t->failed += strcmp(json_text(answer, "status"), "ok") != 0 &&
		     strcmp(json_text(first, "status"), "ok") == 0;
	if (json_array_size(t->shown) < SHOWN_MAX)
		(void)json_array_append(t->shown, answer);
}

static void wait_for_turn(struct timespec *next, uint64_t rate)
{
	next->tv_nsec += (long)(1000000000u / rate);
	if (next->tv_nsec >= 1000000000) {
		next->tv_nsec -= 1000000000;
		next->tv_sec++;
	}
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

/* All of a page, newest first; *ret_last is the oldest one's number. */
static int page(struct cli *c, struct client *k, const char *revision, const json_t *items,
		struct tally *t)
{
	struct timespec next;
	size_t i;
	json_t *e;
	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	json_array_foreach(items, i, e)
	{
		struct why why = { 0 };
		OWN_JSON *answer = NULL;
		const char *id = json_text(e, "id");
		int status = replay_call(k, id, revision, &answer, &why);
		if (status < 0)
			return client_refused(k, status, answer, &why);
		count(t, id, status, answer);
		progress(c, t, false);
		wait_for_turn(&next, args_number(&c->args, "rate", RATE_USUAL));
	}
	return CODE_OK;
}

static int all_pages(struct cli *c, struct client *k, const char *revision, unsigned since_s,
		     struct tally *t)
{
	char last[32] = "0";
	for (;;) {
		OWN_JSON *answer = NULL;
		OWN_FREE char *function =
			client_path("function=%s", args_text(&c->args, "function"));
		OWN_FREE char *path = NULL;
		ENSURE(asprintf(&path, "/events?%s&limit=%d&since_s=%u&before=%s", function, PAGE,
				since_s, last) >= 0);
		const struct client_request q = { .method = CLIENT_GET, .path = path };
		int code = client_do(k, &q, &answer);
		const json_t *items = json_object_get(answer, "items");
		size_t n = json_array_size(items);
		if (code == CODE_OK && n > 0)
			code = page(c, k, revision, items, t);
		if (code != CODE_OK || n < PAGE)
			return code;
		(void)snprintf(last, sizeof(last), "%s",
			       json_text(json_array_get(items, n - 1), "id"));
	}
}

static void summary_print(struct cli *c, const struct tally *t)
{
	size_t i;
	json_t *e;
	(void)fprintf(c->out,
		      "same            %u\ndifferent       %u, of which %u fail now\n"
		      "not replayable  %u\n",
		      t->same, t->different, t->failed, t->lost);
	json_array_foreach(t->reasons, i, e)
	{
		(void)fprintf(c->out, "event %s: ", json_text(e, "event"));
		text_put(c->out, json_text(e, "reason"));
		(void)fputc('\n', c->out);
	}
	if (!args_flag(&c->args, "diff"))
		return;
	json_array_foreach(t->shown, i, e)
	{
		(void)fprintf(c->out, "event %s\n", json_text(e, "event"));
		differences_print(c->out, e, SHOWN_MAX);
	}
}

/* "90s", "5m", "1h", "2d", and seconds without a letter. 0: none of these. */
static unsigned age_parse(const char *text)
{
	static const char letters[] = "smhd";
	static const unsigned seconds[] = { 1, 60, 3600, 86400 };
	size_t digits = strspn(text, "0123456789");
	const char *letter = text[digits] ? strchr(letters, text[digits]) : letters;
	if (digits == 0 || digits > 6 || !letter || (text[digits] && text[digits + 1]))
		return 0;
	uint64_t s = strtoull(text, NULL, 10) * seconds[letter - letters];
	return s <= INT32_MAX ? (unsigned)s : 0;
}

static int replay_many(struct cli *c, struct client *k)
{
	const char *since = args_text(&c->args, "since"), *name = args_text(&c->args, "function");
	unsigned since_s = age_parse(since);
	OWN_FREE char *revision = NULL;
	OWN_JSON *shown = json_array(), *reasons = json_array();
	if (since_s == 0)
		return cli_fail(c, CODE_USAGE, "a number of s, m, h or d: --since 1h",
				"--since %s is no age", since);
	if (!name)
		return cli_fail(c, CODE_USAGE, "penstock functions lists them",
				"--since needs --function NAME");
	if (args_text(&c->args, "version") && !(revision = revision_of(c, k, name)))
		return CODE_FAILED;
	struct tally t = { .shown = shown, .reasons = reasons };
	int code = all_pages(c, k, revision, since_s, &t);
	progress(c, &t, true);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		OWN_JSON *o = json_pack("{s:i, s:i, s:i, s:i, s:O, s:O}", "same", (int)t.same,
					"different", (int)t.different, "failed", (int)t.failed,
					"not_replayable", (int)t.lost, "first_differences", shown,
					"reasons", reasons);
		json_print(c, o);
	} else {
		summary_print(c, &t);
	}
	return t.different == 0 ? CODE_OK : CODE_FAILED;
}

static int replay_run(struct cli *c)
{
	bool many = args_text(&c->args, "since") != NULL;
	if (many == (c->args.nrest > 0) || (many && args_flag(&c->args, "commit")))
		return cli_fail(c, CODE_USAGE,
				"penstock replay ID, or penstock replay --since 1h --function NAME",
				many ? "--since takes neither an event's number nor --commit"
				     : "an event's number is missing");
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	if (many)
		return replay_many(c, k);
	if (!args_flag(&c->args, "commit"))
		return replay_one(c, k, cli_arg(c, 0));
	if (args_text(&c->args, "version"))
		return cli_fail(c, CODE_USAGE, "penstock rollback NAME --to REV makes it that one",
				"--commit is by the active version, not by --version");
	return commit_one(c, k, cli_arg(c, 0));
}

const struct command command_replay = {
	.name = "replay",
	.group = GROUP,
	.summary = "Run events of the journal once more, and show what is different",
	.usage = "ID [--version REV] [--commit] | --since AGE --function NAME [--version REV] "
		 "[--diff]",
	.more = "The event sees what it saw then: payload, attributes, clocks, random bytes, "
		"state. "
		"What it\n"
		"does is compared with the first run and thrown away; the exit code is 1 where it "
		"differs.\n"
		"A version that is not active is loaded for it, beside the active one.\n"
		"  penstock replay --since 1h --function NAME --version 1.3.0 --diff    before an "
		"upgrade\n"
		"With --commit nothing is compared: the active version runs the event again for "
		"real, with\n"
		"the clocks and the state of now; its messages are published and its changes of "
		"state stay.\n"
		"Messages of the same revision have the same effect ids as the first time.",
	.options = replay_rows,
	.noptions = ARRAY_LEN(replay_rows),
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.run = replay_run,
};
