/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/compile.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "cli/client.h"
#include "cli/objects.h"
#include "cli/text.h"
#include "proto/ipc.h"
#include "proto/manifest.h"

struct aot_job_options compile_options_of(const struct args *a)
{
	const char *bounds = args_text(a, "bounds");
	return (struct aot_job_options){
		.bounds_check = bounds && strcmp(bounds, "check") == 0,
		.opt = args_flag(a, "opt") ? (int)args_number(a, "opt", 0) : -1,
		.debug = args_flag(a, "debug"),
	};
}

/* "refused: REASON" is what scripts look for. */
static int refused(struct cli *c, int err, const struct why *why)
{
	bool is_refusal =
		err == -E_INVALID || err == -E_UNSUPPORTED || err == -E_LIMIT || err == -E_TIME;
	if (!is_refusal)
		return cli_fail_why(c, err, why);
	(void)fprintf(c->err, "refused: ");
	text_put(c->err, why_text(why, err));
	(void)fputc('\n', c->err);
	return CODE_REFUSED;
}

/* A memfd with the file: what is compiled cannot change while it is. */
static int module_open(struct cli *c, int *ret_fd)
{
	OWN_BYTES module = { 0 };
	struct why why = { 0 };
	int err = file_read(cli_arg(c, 0), FILE_MODULE_MAX, &module, &why);
	if (err == -E_LIMIT)
		return refused(c, err, &why);
	if (err < 0)
		return cli_fail(c, CODE_NOFILE, NULL, "%s", why.text);
	const struct span all = bytes_span(&module);
	int fd = ipc_memfd("penstock-module", &all, 1);
	if (fd < 0)
		return cli_fail(c, CODE_FAILED, NULL, "a file in memory: %s", strerrordesc_np(-fd));
	*ret_fd = fd;
	return CODE_OK;
}

int compile_file(struct cli *c, const struct aot_job_options *o, int *ret_so, char **ret_report)
{
	OWN_FD wasm = -1;
	struct why why = { 0 };
	int code = module_open(c, &wasm);
	if (code != CODE_OK)
		return code;
	struct objects objects;
	struct aot_job_options with = *o;
	objects_open(cli_arg(c, 0), o, &objects);
	with.has_objects = objects.fd >= 0;
	with.objects_fd = objects.fd;
	int err = aot_job_run(wasm, &with, ret_so, ret_report, &why);
	if (err == 0)
		objects_keep(&objects);
	objects_close(&objects);
	return err < 0 ? refused(c, err, &why) : CODE_OK;
}
