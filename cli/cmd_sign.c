/* SPDX-License-Identifier: Apache-2.0 */
/* sign, verify */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"
#include "proto/envelope.h"
#include "proto/manifest.h"
#include "proto/signature.h"

#define GROUP "Modules, without a gateway"

/* ---- sign ---- */

static const struct option_row sign_rows[] = {
	{ "key", 'k', OPT_TEXT, "FILE.key", "the secret key (penstock keygen)", 0, 0 },
	{ "output", 'o', OPT_TEXT, "OUT", "where the signed module goes (default: over FILE)", 0,
	  0 },
	{ "manifest", 'm', OPT_TEXT, "M.json", "put this manifest in, under the signature", 0, 0 },
};

static int secret_read(struct cli *c, const char *path, struct sig_secret *ret)
{
	OWN_BYTES file = { 0 };
	struct why why = { 0 };
	if (file_read(path, FILE_KEY_MAX, &file, &why) < 0)
		return cli_fail(c, CODE_NOFILE, "penstock keygen NAME makes a key", "%s", why.text);
	int err = sig_secret_parse(bytes_span(&file), ret, &why);
	sodium_memzero(file.at, file.len);
	return err < 0 ? cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, why.text) : CODE_OK;
}

/* Replaces the module by one with this manifest. */
static int manifest_put(struct cli *c, const char *path, struct bytes *module)
{
	OWN_BYTES json = { 0 };
	struct why why = { 0 };
	struct bytes with;
	if (file_read(path, MANIFEST_BYTES_MAX, &json, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	int err = manifest_embed(bytes_span(module), bytes_span(&json), &with.at, &with.len, &why);
	if (err < 0)
		return cli_fail(c, CODE_REFUSED, NULL, "%s: %s", path, why.text);
	bytes_fini(module);
	*module = with;
	return CODE_OK;
}

/* Before anything is said about signing it. */
static int module_check(struct cli *c, const char *path, struct span module)
{
	struct envelope e;
	struct section s;
	struct why why = { 0 };
	int more = envelope_open(&e, module.at, module.len, &why);
	while (more >= 0 && (more = envelope_next(&e, &s, &why)) > 0)
		;
	return more < 0 ? cli_fail(c, CODE_REFUSED, NULL, "%s: %s", path, why_text(&why, more))
			: CODE_OK;
}

/* A manifest that is in the module already is signed as it is; but its author should know now what
 * the gateway will say later. */
static void manifest_warn(struct cli *c, const char *path, struct span module)
{
	struct arena arena;
	struct manifest m;
	struct why why = { 0 };
	arena_init(&arena, 1 << 20);
	if (manifest_from_module(module, &manifest_limits_any, &arena, &m, NULL, &why) < 0)
		(void)cli_fail(c, CODE_OK, "it is signed as it is; gateways will refuse it",
			       "%s: %s", path, why.text);
	arena_fini(&arena);
}

static int signed_write(struct cli *c, struct span module, const struct sig_secret *sk)
{
	const char *in = cli_arg(c, 0), *out = args_text(&c->args, "output");
	struct why why = { 0 };
	OWN_BYTES done = { 0 };
	int err = sig_sign(module, sk, &done.at, &done.len, &why);
	if (err < 0)
		return cli_fail(c, CODE_REFUSED, NULL, "%s: %s", in, why.text);
	err = file_write(out ? out : in, bytes_span(&done), FILE_REPLACE, 0644, &why);
	if (err < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s", why.text);
	struct sig_public pk;
	char id[SIG_KEY_ID_TEXT];
	memcpy(pk.key, sk->key + SIG_SECRET_BYTES - SIG_PUBLIC_BYTES, SIG_PUBLIC_BYTES);
	sig_key_id(&pk, id);
	if (cli_json(c)) {
		OWN_JSON *j = json_pack("{s:s, s:s, s:I}", "file", out ? out : in, "key_id", id,
					"bytes", (json_int_t)done.len);
		json_print(c, j);
		return CODE_OK;
	}
	(void)fprintf(c->out, "signed   ");
	text_put(c->out, out ? out : in);
	(void)fprintf(c->out, "  by key %s\n", id);
	return CODE_OK;
}

static int sign_run(struct cli *c)
{
	const char *path = cli_arg(c, 0), *key = args_text(&c->args, "key");
	const char *manifest = args_text(&c->args, "manifest");
	if (!key)
		return cli_fail(c, CODE_USAGE, "penstock keygen NAME makes one",
				"--key is missing");
	if (strcmp(path, "-") == 0 && !args_text(&c->args, "output"))
		return cli_fail(c, CODE_USAGE, NULL, "a module from standard input needs -o OUT");
	if (sig_init() < 0)
		return cli_fail(c, CODE_FAILED, NULL, "the cryptography library cannot start");
	struct sig_secret sk;
	struct why why = { 0 };
	OWN_BYTES module = { 0 };
	if (file_read(path, FILE_MODULE_MAX, &module, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	int code = module_check(c, path, bytes_span(&module));
	if (code != CODE_OK)
		return code;
	if (manifest)
		code = manifest_put(c, manifest, &module);
	else
		manifest_warn(c, path, bytes_span(&module));
	if (code == CODE_OK)
		code = secret_read(c, key, &sk);
	if (code == CODE_OK)
		code = signed_write(c, bytes_span(&module), &sk);
	sodium_memzero(&sk, sizeof(sk));
	return code;
}

const struct command command_sign = {
	.name = "sign",
	.group = GROUP,
	.summary = "Sign a module, and put its manifest in",
	.usage = "FILE.wasm --key NAME.key [--manifest M.json] [-o OUT]",
	.more = "The signature covers every byte of the module, the manifest included. An earlier\n"
		"signature is replaced, and so is an earlier manifest when --manifest is given.\n"
		"The format is that of wasmsign2.",
	.options = sign_rows,
	.noptions = ARRAY_LEN(sign_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.may = MAY_REFUSE | MAY_LACK_FILE,
	.run = sign_run,
};

/* ---- verify ---- */

static const struct option_row verify_rows[] = {
	{ "key", 'k', OPT_TEXT, "FILE.pub", "a public key; may be given several times", 0, 0 },
};

enum { KEYS_MAX = 64 };

static int keys_read(struct cli *c, struct sig_public keys[KEYS_MAX], size_t *ret_n)
{
	const char *path;
	size_t n = 0;
	for (; (path = args_each(&c->args, "key", n)); n++) {
		OWN_BYTES file = { 0 };
		struct why why = { 0 };
		if (n >= KEYS_MAX)
			return cli_fail(c, CODE_USAGE, NULL, "more than %d keys", KEYS_MAX);
		if (file_read(path, FILE_KEY_MAX, &file, &why) < 0)
			return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
		if (sig_public_parse(bytes_span(&file), &keys[n], &why) < 0)
			return cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, why.text);
	}
	*ret_n = n;
	return n > 0 ? CODE_OK
		     : cli_fail(c, CODE_USAGE, "penstock verify FILE.wasm --key NAME.pub",
				"--key is missing");
}

static int verify_run(struct cli *c)
{
	struct sig_public keys[KEYS_MAX];
	size_t n, index;
	char id[SIG_KEY_ID_TEXT];
	struct why why = { 0 };
	OWN_BYTES module = { 0 };
	const char *path = cli_arg(c, 0);
	if (sig_init() < 0)
		return cli_fail(c, CODE_FAILED, NULL, "the cryptography library cannot start");
	int code = keys_read(c, keys, &n);
	if (code != CODE_OK)
		return code;
	if (file_read(path, FILE_MODULE_MAX, &module, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	int err = sig_verify(bytes_span(&module), keys, n, &index, &why);
	if (err == -E_TRUST)
		return cli_fail(c, CODE_REFUSED, "is it the right public key?",
				"%s: none of the given keys has signed it (%s)", path, why.text);
	if (err < 0)
		return cli_fail(c, CODE_REFUSED, NULL, "%s: %s", path, why.text);
	sig_key_id(&keys[index], id);
	if (cli_json(c)) {
		OWN_JSON *j = json_pack("{s:s, s:s}", "file", path, "key_id", id);
		json_print(c, j);
		return CODE_OK;
	}
	text_put(c->out, path);
	(void)fprintf(c->out, ": signed by key %s, and unchanged\n", id);
	return CODE_OK;
}

const struct command command_verify = {
	.name = "verify",
	.group = GROUP,
	.summary = "Check the signature of a module",
	.usage = "FILE.wasm --key NAME.pub",
	.more = "Only a signature over the whole module counts.",
	.options = verify_rows,
	.noptions = ARRAY_LEN(verify_rows),
	.needs = "FILE.wasm",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.may = MAY_REFUSE | MAY_LACK_FILE,
	.run = verify_run,
};
