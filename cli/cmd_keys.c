/* SPDX-License-Identifier: Apache-2.0 */
/* keygen, trust, keys, untrust */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"
#include "proto/signature.h"

#define GROUP "Keys"

/* ---- keygen ---- */

static int pair_write(struct cli *c, const char *key_path, const char *pub_path,
		      struct sig_public *pk)
{
	uint8_t secret[1 + SIG_SECRET_BYTES] = { 0x81 }, public[1 + SIG_PUBLIC_BYTES] = { 0x01 };
	struct sig_secret sk;
	struct why why = { 0 };
	int err = sig_init();
	if (err == 0)
		err = sig_keygen(&sk, pk);
	if (err < 0)
		return cli_fail(c, CODE_FAILED, NULL, "no random numbers for a key");
	memcpy(secret + 1, sk.key, SIG_SECRET_BYTES);
	memcpy(public + 1, pk->key, SIG_PUBLIC_BYTES);
	err = file_write(pub_path, (struct span){ public, sizeof(public) }, FILE_NEW, 0644, &why);
	if (err == 0) {
		err = file_write(key_path, (struct span){ secret, sizeof(secret) }, FILE_NEW, 0600,
				 &why);
		if (err < 0)
			(void)remove(pub_path);
	}
	sodium_memzero(&sk, sizeof(sk));
	sodium_memzero(secret, sizeof(secret));
	if (err == -EEXIST)
		return cli_fail(c, CODE_FAILED, "choose another name; a key is never overwritten",
				"%s", why.text);
	return err < 0 ? cli_fail(c, CODE_FAILED, NULL, "%s", why.text) : CODE_OK;
}

static int keygen_run(struct cli *c)
{
	OWN_FREE char *key_path = NULL;
	OWN_FREE char *pub_path = NULL;
	const char *name = cli_arg(c, 0);
	struct sig_public pk;
	char id[SIG_KEY_ID_TEXT];
	ENSURE(asprintf(&key_path, "%s.key", name) >= 0);
	ENSURE(asprintf(&pub_path, "%s.pub", name) >= 0);
	int code = pair_write(c, key_path, pub_path, &pk);
	if (code != CODE_OK)
		return code;
	sig_key_id(&pk, id);
	if (cli_json(c)) {
		OWN_JSON *j = json_pack("{s:s, s:s, s:s}", "id", id, "secret_file", key_path,
					"public_file", pub_path);
		json_print(c, j);
		return CODE_OK;
	}
	(void)fprintf(c->out, "key      %s\nsecret   ", id);
	text_put(c->out, key_path);
	(void)fprintf(c->out, "   signs modules: keep it to yourself\npublic   ");
	text_put(c->out, pub_path);
	(void)fprintf(c->out, "   for gateways: penstock trust ");
	text_put(c->out, pub_path);
	(void)fputc('\n', c->out);
	return CODE_OK;
}

const struct command command_keygen = {
	.name = "keygen",
	.group = GROUP,
	.summary = "Make a key pair, NAME.key and NAME.pub",
	.usage = "NAME",
	.more = "NAME.key signs modules and stays with its author; NAME.pub is given to gateways.\n"
		"The files are those of wasmsign2. Nothing is overwritten.",
	.needs = "NAME",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.run = keygen_run,
};

/* ---- trust ---- */

static const struct option_row trust_rows[] = {
	{ "comment", 0, OPT_TEXT, "TEXT", "whose key it is", 0, 0 },
};

static int public_read(struct cli *c, const char *path, struct sig_public *ret)
{
	OWN_BYTES file = { 0 };
	struct why why = { 0 };
	if (sig_init() < 0)
		return cli_fail(c, CODE_FAILED, NULL, "the cryptography library cannot start");
	if (file_read(path, FILE_KEY_MAX, &file, &why) < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	if (sig_public_parse(bytes_span(&file), ret, &why) < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, why.text);
	return CODE_OK;
}

static int trust_run(struct cli *c)
{
	struct sig_public pk;
	int code = public_read(c, cli_arg(c, 0), &pk);
	if (code != CODE_OK)
		return code;
	char text[64];
	const char *comment = args_text(&c->args, "comment");
	(void)sodium_bin2base64(text, sizeof(text), pk.key, sizeof(pk.key),
				sodium_base64_VARIANT_ORIGINAL);
	OWN_JSON *body = json_pack("{s:s, s:s}", "public", text, "comment", comment ? comment : "");
	OWN_FREE char *bytes = body ? json_dumps(body, 0) : NULL;
	if (!bytes)
		return cli_fail(c, CODE_USAGE, NULL, "the comment is not UTF-8");
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	OWN_JSON *item = NULL;
	const struct client_request q = { .method = CLIENT_POST,
					  .path = "/keys",
					  .content_type = "application/json",
					  .body = { (const uint8_t *)bytes, strlen(bytes) } };
	code = client_do(k, &q, &item);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, item);
		return CODE_OK;
	}
	(void)fprintf(c->out, "trusted  ");
	text_put(c->out, json_text(item, "id"));
	(void)fprintf(c->out, "  ");
	text_put(c->out, json_text(item, "comment"));
	(void)fputc('\n', c->out);
	return CODE_OK;
}

const struct command command_trust = {
	.name = "trust",
	.group = GROUP,
	.summary = "Let the gateway run what this key signed",
	.usage = "FILE.pub [--comment TEXT]",
	.more = "FILE.pub is a public key of penstock keygen or wasmsign2, or an OpenSSH Ed25519 "
		"one.",
	.options = trust_rows,
	.noptions = ARRAY_LEN(trust_rows),
	.needs = "FILE.pub",
	.least_args = 1,
	.most_args = 1,
	.prints_data = true,
	.asks_gateway = true,
	.may = MAY_LACK_FILE,
	.run = trust_run,
};

/* ---- keys ---- */

static int keys_run(struct cli *c)
{
	static const char *const heads[] = { "KEY", "TRUSTED SINCE", "COMMENT" };
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	OWN_JSON *list = NULL;
	int code = client_do(k, &(struct client_request){ .path = "/keys" }, &list);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, list);
		return CODE_OK;
	}
	size_t i;
	json_t *item;
	struct table t;
	table_init(&t, heads, ARRAY_LEN(heads), 0);
	json_array_foreach(json_object_get(list, "items"), i, item)
	{
		table_cell(&t, json_text(item, "id"));
		table_cell(&t, json_text(item, "trusted_at"));
		table_cell(&t, json_text(item, "comment"));
	}
	table_print(&t, c->out);
	table_fini(&t);
	return CODE_OK;
}

const struct command command_keys = {
	.name = "keys",
	.group = GROUP,
	.summary = "List the keys that the gateway trusts",
	.usage = "",
	.more = "",
	.prints_data = true,
	.asks_gateway = true,
	.run = keys_run,
};

/* ---- untrust ---- */

static bool is_key_id(const char *s)
{
	return strlen(s) == SIG_KEY_ID_TEXT - 1 && strspn(s, "0123456789abcdef") == strlen(s);
}

static int untrust_run(struct cli *c)
{
	char id[SIG_KEY_ID_TEXT];
	const char *arg = cli_arg(c, 0);
	if (is_key_id(arg)) {
		(void)snprintf(id, sizeof(id), "%s", arg);
	} else if (access(arg, F_OK) < 0) {
		return cli_fail(c, CODE_NOFILE, NULL,
				"%s: no such key (penstock keys shows them) or file", arg);
	} else {
		struct sig_public pk;
		int code = public_read(c, arg, &pk);
		if (code != CODE_OK)
			return code;
		sig_key_id(&pk, id);
	}
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	OWN_FREE char *path = client_path("/keys/%s", id);
	int code = client_do(k, &(struct client_request){ .method = CLIENT_DELETE, .path = path },
			     NULL);
	if (code == CODE_OK)
		(void)fprintf(c->out,
			      "no longer trusted  %s\n"
			      "Functions that it signed go on until they are removed.\n",
			      id);
	return code;
}

const struct command command_untrust = {
	.name = "untrust",
	.group = GROUP,
	.summary = "Refuse what this key signs from now on",
	.usage = "KEY-ID | FILE.pub",
	.more = "Functions signed by it go on until they are removed; new ones are refused.",
	.needs = "KEY-ID or FILE.pub",
	.least_args = 1,
	.most_args = 1,
	.asks_gateway = true,
	.may = MAY_LACK_FILE,
	.run = untrust_run,
};
