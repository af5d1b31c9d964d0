/* SPDX-License-Identifier: Apache-2.0 */
/* etc/penstock.conf is the reference: complete, true, and harmless. */
#include "tests/unit/gateway/scratch.h"

#include "gateway/config.h"

static char reference[64 << 10], help[64 << 10];

static int read_both(void **state)
{
	(void)state;
	FILE *out = tmpfile();
	int saved = dup(STDOUT_FILENO);
	if (!out || saved < 0 || dup2(fileno(out), STDOUT_FILENO) < 0)
		return -1;
	config_print_help();
	(void)fflush(stdout);
	(void)dup2(saved, STDOUT_FILENO);
	(void)close(saved);
	rewind(out);
	help[fread(help, 1, sizeof(help) - 1, out)] = '\0';
	(void)fclose(out);
	reference[scratch_read("etc/penstock.conf", reference, sizeof(reference) - 1)] = '\0';
	return 0;
}

/* The next line "[section]" or ";key = value" of a text, cut after its key, or whole. */
static char *setting_next(char **text, bool whole)
{
	for (char *line; (line = strsep(text, "\n")) != NULL;) {
		bool is_key = line[0] == ';' && line[1] != ' ' && strchr(line, '=');
		if (line[0] != '[' && !is_key)
			continue;
		char *end = line[0] == '[' ? strchr(line, ']') + 1
			    : whole        ? line + strlen(line)
					   : strchr(line, '=');
		while (end > line && end[-1] == ' ')
			end--;
		*end = '\0';
		return line;
	}
	return NULL;
}

static void it_has_every_key_with_its_default_in_the_order_of_the_help(void **state)
{
	char *want = help, *have = reference, *a, *b;
	unsigned n = 0;
	(void)state;
	do {
		a = setting_next(&want, true);
		b = setting_next(&have, true);
		if (a && b)
			assert_string_equal(a, b);
		assert_true((a == NULL) == (b == NULL));
		n++;
	} while (a);
	assert_true(n > 20);
}

static void it_is_accepted_and_gives_the_defaults(void **state)
{
	struct config c, defaults;
	struct why why = { 0 };
	(void)state;
	if (config_load("etc/penstock.conf", &c, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(config_load(NULL, &defaults, NULL), 0);
	assert_string_equal(c.state_dir, defaults.state_dir);
	assert_int_equal(c.queue_events, defaults.queue_events);
	config_fini(&c);
	config_fini(&defaults);
}

/* People take the ';' away: each line must then be read, with nothing else changed. */
static void every_default_can_be_written_out(void **state)
{
	struct config c;
	struct why why = { 0 };
	char *text = help, *line;
	FILE *f = fopen(scratch_path(*state, "all.conf"), "we");
	assert_non_null(f);
	(void)read_both(NULL);
	while ((line = setting_next(&text, true)) != NULL)
		(void)fprintf(f, "%s\n", line + (line[0] == ';'));
	assert_int_equal(fclose(f), 0);
	if (config_load(scratch_path(*state, "all.conf"), &c, &why) != 0)
		fail_msg("%s", why.text);
	config_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_has_every_key_with_its_default_in_the_order_of_the_help,
				       read_both),
		cmocka_unit_test(it_is_accepted_and_gives_the_defaults),
		cmocka_unit_test_setup_teardown(every_default_can_be_written_out, scratch_new,
						scratch_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
