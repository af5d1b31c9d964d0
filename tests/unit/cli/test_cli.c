/* SPDX-License-Identifier: Apache-2.0 */
/* The program as a whole: help for everything, exit codes, and the commands that need no gateway.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/file.h"
#include "proto/manifest.h"
#include "proto/signature.h"

static char dir[] = "/tmp/penstock-test-XXXXXX";
static char *out, *err; /* of the last call */

enum { WORDS_MAX = 12 };

static int penstock(const char *first, ...)
{
	const char *argv[WORDS_MAX] = { "penstock", first };
	int n = first ? 2 : 1;
	va_list ap;
	va_start(ap, first);
	for (const char *w; first && (w = va_arg(ap, const char *)); n++) {
		assert_true(n < WORDS_MAX - 1);
		argv[n] = w;
	}
	va_end(ap);
	free(out);
	free(err);
	size_t size;
	FILE *o = open_memstream(&out, &size), *e = open_memstream(&err, &size);
	int code = cli_main(n, argv, o, e);
	assert_int_equal(fclose(o), 0);
	assert_int_equal(fclose(e), 0);
	return code;
}

static void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

static void write_file(const char *name, const void *bytes, size_t len)
{
	const struct span s = { bytes, len };
	assert_int_equal(file_write(name, s, FILE_REPLACE, 0644, NULL), 0);
}

/* A module with one function `f` that returns 42. */
static const uint8_t module[] = {
	0, 'a', 's', 'm', 1, 0, 0,   0, 1, 5,  1, 0x60, 0, 1, 0x7f, 3,  2,
	1, 0,   7,   5,   1, 1, 'f', 0, 0, 10, 6, 1,    4, 0, 0x41, 42, 0x0b,
};

static const struct command *const commands[] = {
#define COMMAND(id) &command_##id,
#include "cli/commands.def"
#undef COMMAND
};

static void every_command_has_help_and_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = commands[i];
		assert_int_equal(penstock(c->name, "--help", NULL), CODE_OK);
		assert_says(out, c->summary);
		assert_says(out, "Exit codes:");
		assert_null(strstr(out, " \n"));
		assert_int_equal(strstr(out, "cannot be reached") != NULL, c->asks_gateway);
		assert_int_equal(c->needs != NULL, c->least_args > 0);
		assert_int_equal(strstr(out, "--json") != NULL, c->prints_data);
		assert_int_equal(strstr(out, "--socket") != NULL, c->asks_gateway);
		char *with_option = strdup(out);
		assert_int_equal(penstock("help", c->name, NULL), CODE_OK);
		assert_string_equal(out, with_option);
		free(with_option);
		assert_int_equal(penstock(c->name, "--no-such-option", NULL), CODE_USAGE);
		assert_says(err, "--no-such-option");
		assert_says(err, c->name);
		assert_int_equal(penstock("--help", NULL), CODE_OK);
		assert_says(out, c->summary);
	}
}

static void the_program_itself_has_version_and_usage(void **state)
{
	(void)state;
	assert_int_equal(penstock("--version", NULL), CODE_OK);
	assert_says(out, PENSTOCK_VERSION);
	assert_int_equal(penstock(NULL), CODE_USAGE);
	assert_says(err, "Usage:");
	assert_int_equal(penstock("sgin", NULL), CODE_USAGE);
	assert_says(err, "did you mean sign?");
	assert_int_equal(penstock("help", "sgin", NULL), CODE_USAGE);
	assert_int_equal(penstock("\x1b[31m", NULL), CODE_USAGE);
	assert_says(err, "\\x1b[31m");
	assert_int_equal(penstock("--json", "status", NULL), CODE_USAGE);
	assert_int_equal(penstock("verify", NULL), CODE_USAGE);
	assert_says(err, "FILE.wasm is missing");
	assert_int_equal(penstock("keys", "x", NULL), CODE_USAGE);
	assert_says(err, "x is one argument too many");
}

static void a_gateway_that_is_away_is_said_with_what_to_do(void **state)
{
	(void)state;
	assert_int_equal(penstock("status", "--socket", "./nowhere.sock", NULL), CODE_AWAY);
	assert_says(err, "./nowhere.sock");
	assert_says(err, "is penstockd running?");
	write_file("s.wasm", module, sizeof(module));
	assert_int_equal(penstock("deploy", "s.wasm", "--socket", "./nowhere.sock", NULL),
			 CODE_AWAY);
	assert_int_equal(penstock("bind", "f", "--mqtt", "a/#/b", NULL), CODE_USAGE);
	assert_says(err, "not an MQTT topic filter");
	assert_int_equal(penstock("bind", "f", "--mqtt", "a/+", "--publish", "b/{2}", NULL),
			 CODE_USAGE);
	assert_says(err, "has 1 wildcard");
	assert_int_equal(penstock("bind", "f", NULL), CODE_USAGE);
	assert_says(err, "--mqtt");
	assert_int_equal(penstock("state", "--prefix", "a", NULL), CODE_USAGE);
	assert_says(err, "of which function");
	assert_int_equal(penstock("state", "f", "--delete", "k", "--delete-all", NULL), CODE_USAGE);
	assert_int_equal(penstock("state", "f", "--delete-all", "--prefix", "k", NULL), CODE_USAGE);
}

static void keys_are_made_once_and_kept_secret(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(penstock("keygen", "k1", NULL), CODE_OK);
	assert_int_equal(stat("k1.key", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 65);
	assert_int_equal(stat("k1.pub", &st), 0);
	assert_int_equal(st.st_size, 33);
	assert_int_equal(penstock("keygen", "k1", NULL), CODE_FAILED);
	assert_says(err, "never overwritten");
	assert_int_equal(unlink("k1.pub"), 0); /* a left-over half is no reason either */
	assert_int_equal(penstock("keygen", "k1", NULL), CODE_FAILED);
	assert_int_equal(access("k1.pub", F_OK), -1);
	assert_int_equal(penstock("keygen", "no/such/folder", NULL), CODE_FAILED);
	assert_says(err, "no/such/folder");
}

static void a_module_is_signed_verified_and_inspected(void **state)
{
	(void)state;
	static const char manifest[] = "{\"name\":\"f\",\"version\":\"1.2.3\","
				       "\"capabilities\":{\"publish\":[\"alerts/#\"]}}";
	write_file("m.wasm", module, sizeof(module));
	write_file("m.json", manifest, sizeof(manifest) - 1);
	assert_int_equal(penstock("keygen", "k2", NULL), CODE_OK);
	assert_int_equal(penstock("keygen", "k3", NULL), CODE_OK);
	assert_int_equal(penstock("sign", "m.wasm", "--key", "k2.key", "--manifest", "m.json", "-o",
				  "signed.wasm", NULL),
			 CODE_OK);
	assert_int_equal(penstock("verify", "signed.wasm", "--key", "k2.pub", NULL), CODE_OK);
	assert_int_equal(penstock("verify", "signed.wasm", "-k", "k3.pub", "-k", "k2.pub", NULL),
			 CODE_OK);
	assert_int_equal(penstock("verify", "signed.wasm", "--key", "k3.pub", NULL), CODE_REFUSED);
	assert_int_equal(penstock("verify", "m.wasm", "--key", "k2.pub", NULL), CODE_REFUSED);
	assert_says(err, "not signed");
	assert_int_equal(penstock("verify", "signed.wasm", NULL), CODE_USAGE);
	assert_int_equal(penstock("inspect", "signed.wasm", NULL), CODE_OK);
	assert_says(out, "() -> (i32)");
	assert_says(out, "alerts/#");
	assert_says(out, "1.2.3");
	assert_int_equal(penstock("inspect", "--json", "signed.wasm", NULL), CODE_OK);
	assert_says(out, "\"covers_all\": true");
	/* over itself, twice */
	assert_int_equal(penstock("sign", "m.wasm", "--key", "k2.key", NULL), CODE_OK);
	assert_int_equal(penstock("sign", "m.wasm", "--key", "k3.key", NULL), CODE_OK);
	assert_int_equal(penstock("verify", "m.wasm", "--key", "k3.pub", NULL), CODE_OK);
}

static void what_cannot_be_signed_is_said(void **state)
{
	(void)state;
	write_file("m.wasm", module, sizeof(module));
	write_file("bad.wasm", module, sizeof(module) - 1);
	write_file("bad.json", "{\"nam\":1}", 9);
	assert_int_equal(penstock("keygen", "k4", NULL), CODE_OK);
	assert_int_equal(penstock("sign", "m.wasm", NULL), CODE_USAGE);
	assert_says(err, "--key");
	assert_int_equal(penstock("sign", "m.wasm", "--key", "k4.pub", NULL), CODE_FAILED);
	assert_says(err, "public key");
	assert_int_equal(penstock("sign", "m.wasm", "--key", "nokey", NULL), CODE_NOFILE);
	assert_says(err, "keygen");
	assert_int_equal(penstock("sign", "nofile", "--key", "k4.key", NULL), CODE_NOFILE);
	assert_says(err, "nofile");
	assert_int_equal(
		penstock("sign", "m.wasm", "--key", "k4.key", "-o", "no/where/x.wasm", NULL),
		CODE_FAILED);
	assert_says(err, "there is no folder no/where\n");
	assert_int_equal(penstock("sign", "bad.wasm", "--key", "k4.key", NULL), CODE_REFUSED);
	assert_int_equal(
		penstock("sign", "m.wasm", "--key", "k4.key", "--manifest", "bad.json", NULL),
		CODE_REFUSED);
	assert_says(err, "nam is not a key");
	write_file("bad.json", "{\"name\":\"f\",\"limits\":{\"memory\":\"8GiB\"}}", 39);
	assert_int_equal(
		penstock("sign", "m.wasm", "--key", "k4.key", "--manifest", "bad.json", NULL),
		CODE_REFUSED);
	assert_says(err, "no gateway grants more than 4GiB");
	assert_int_equal(penstock("sign", "bad.json", "--key", "k4.key", NULL), CODE_REFUSED);
	assert_null(strstr(err, "signed as it is"));
	assert_int_equal(penstock("untrust", "00", NULL), CODE_NOFILE);
	assert_says(err, "penstock keys shows them");
	assert_int_equal(penstock("inspect", "bad.wasm", NULL), CODE_REFUSED);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "m.wasm",   "m.json", "signed.wasm",
					     "bad.wasm", "s.wasm", "bad.json" };
	char name[16];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlink(names[i]);
	for (int i = 1; i <= 4; i++) {
		(void)snprintf(name, sizeof(name), "k%d.key", i);
		(void)unlink(name);
		(void)snprintf(name, sizeof(name), "k%d.pub", i);
		(void)unlink(name);
	}
	free(out);
	free(err);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_has_help_and_says_what_is_wrong),
		cmocka_unit_test(the_program_itself_has_version_and_usage),
		cmocka_unit_test(a_gateway_that_is_away_is_said_with_what_to_do),
		cmocka_unit_test(keys_are_made_once_and_kept_secret),
		cmocka_unit_test(a_module_is_signed_verified_and_inspected),
		cmocka_unit_test(what_cannot_be_signed_is_said),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
