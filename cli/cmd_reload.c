/* SPDX-License-Identifier: Apache-2.0 */
/* reload: the gateway reads its configuration again */
#include "cli/client.h"
#include "cli/text.h"

static int reload_run(struct cli *c)
{
	OWN_CLIENT *k = client_new(c);
	OWN_JSON *done = NULL;
	if (!k)
		return CODE_FAILED;
	const struct client_request q = { .method = CLIENT_POST, .path = "/reload" };
	int code = client_do(k, &q, &done);
	if (code != CODE_OK)
		return code;
	if (cli_json(c)) {
		json_print(c, done);
		return CODE_OK;
	}
	(void)fprintf(c->out, "bindings  %.0f added, %.0f removed, %.0f changed\n",
		      json_num(done, "added"), json_num(done, "removed"),
		      json_num(done, "changed"));
	if (json_num(done, "at_next_start") > 0)
		(void)fprintf(c->out,
			      "later     %.0f other settings changed; they take effect when "
			      "penstockd starts again (penstock logs has their names)\n",
			      json_num(done, "at_next_start"));
	if (json_num(done, "refused") == 0)
		return CODE_OK;
	return cli_fail(c, CODE_FAILED, "penstock logs says why",
			"%.0f bindings make no sense and are not there", json_num(done, "refused"));
}

const struct command command_reload = {
	.name = "reload",
	.group = "Gateway",
	.summary = "Let the gateway read its configuration files again",
	.usage = "",
	.more = "Bindings of the files ([binding.NAME]) take effect at once, passwords and\n"
		"certificates of brokers at their next connection; other settings when penstockd\n"
		"starts again. Files that make no sense change nothing.",
	.prints_data = true,
	.asks_gateway = true,
	.run = reload_run,
};
