/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning and the end of a deploy, and who is told. */
#include "gateway/deploy_job.h"

#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/wall.h"
#include "proto/manifest_sheet.h"

struct deploy_job *deploy_job_new(struct deployer *d)
{
	struct deploy_job *j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->d = d;
	j->wasm_fd = j->so_fd = j->objects_fd = -1;
	j->work.data = j;
	j->manifest_json = (char *)"";
	arena_init(&j->arena, 16 * MANIFEST_BYTES_MAX);
	return j;
}

void deploy_job_free(struct deploy_job *j)
{
	if (!j)
		return;
	own_fd_close(&j->wasm_fd);
	own_fd_close(&j->so_fd);
	own_fd_close(&j->objects_fd);
	json_decref(j->previous);
	arena_fini(&j->arena);
	free(j->report);
	free(j->keys);
	free(j->wasm);
	free(j);
}

const char *deploy_mode_text(enum path_role role)
{
	static const char *const text[] = { "", "canary", "shadow", "aside" };
	return text[role];
}

/* What the registry shall know of how it ended. */
static void keep_outcome(struct deploy_job *j)
{
	struct registry *r = j->d->env.registry;
	const char *reason = j->err == 0 ? "" : why_text(&j->why, j->err);
	if (j->err == 0 && j->report)
		(void)registry_function_report(r, j->name, j->revision, j->report, NULL);
	if (j->role == PATH_ACTIVE)
		(void)registry_function_state(r, j->name, j->err == 0 ? "active" : "failed", reason,
					      NULL);
	else if (j->err < 0)
		(void)registry_rollout_end(r, j->name, reason, wall_ms(), NULL);
}

static void note_restored(struct deploy_job *j)
{
	struct deployer *d = j->d;
	if (j->is_superseded || d->stopping)
		return; /* the row is somebody else's */
	if (j->err == 0) {
		LOG(LOG_INFO, "function restored", F_STR("function", j->name),
		    F_U64("revision", j->revision), F_STR("from", j->is_cached ? "cache" : "wasm"),
		    F_U64("compile_ms", j->compile_ms));
	} else {
		LOG(LOG_ERR, "function cannot be restored", F_STR("function", j->name),
		    F_STR("reason", why_text(&j->why, j->err)), F_ERR(j->err));
	}
	keep_outcome(j);
}

static void tell(struct deploy_job *j)
{
	OWN_FREE char *named = NULL;
	const char *text = j->err == 0 ? "" : why_text(&j->why, j->err);
	if (j->name[0] != '\0' && j->err < 0 &&
	    asprintf(&named, "function \"%s\": %s", j->name, text) >= 0)
		text = named;
	static const char *const said[] = { "function deployed", "canary deployed",
					    "shadow deployed", "revision loaded for repetitions",
					    "another revision is active" };
	json_t *sheet = j->err == 0 || j->err == -EPERM ? manifest_sheet(&j->manifest) : NULL;
	json_t *report = j->report ? json_loads(j->report, JSON_ALLOW_NUL, NULL) : NULL;
	const struct deploy_outcome o = {
		.err = j->err,
		.why = text,
		.hint = j->hint,
		.name = j->name,
		.manifest = sheet,
		.previous = j->previous,
		.report = report,
		.version = j->manifest.version,
		.hash = j->hash,
		.key_id = j->key_id,
		.revision = j->revision,
		.state = j->role == PATH_ACTIVE ? "active" : deploy_mode_text(j->role),
		.unchanged = j->is_unchanged,
		.compile_ms = j->compile_ms,
	};
	if (j->err == 0 && j->is_unchanged)
		LOG(LOG_NOTE, "function deployed again, unchanged", F_STR("function", j->name),
		    F_U64("revision", j->revision));
	else if (j->err == 0)
		LOG(LOG_NOTE, said[j->kind == DEPLOY_SWITCH ? 4 : j->role],
		    F_STR("function", j->name), F_U64("revision", j->revision),
		    F_STR("version", j->manifest.version), F_STR("key", j->key_id),
		    F_U64("compile_ms", j->compile_ms));
	else if (j->err != -EPERM && j->err != -ESTALE)
		LOG(LOG_WARN, "deploy refused", F_STR("function", j->name), F_STR("reason", text),
		    F_ERR(j->err));
	j->done(j->arg, &o);
	json_decref(sheet);
	json_decref(report);
}

void deploy_job_over(struct deploy_job *j, int err)
{
	struct deployer *d = j->d;
	bool has_files = j->kind == DEPLOY_UPLOAD && j->stage >= DEPLOY_KEEP;
	j->err = err;
	j->stage = DEPLOY_OVER;
	TAILQ_REMOVE(&d->jobs, j, link);
	if (has_files && err < 0)
		deployer_forget(d, j->hash);
	if (j->kind == DEPLOY_RESTORE) {
		note_restored(j);
	} else {
		d->uploads--;
		d->upload_bytes -= j->len;
		tell(j);
	}
	if (j->is_loading)
		TAILQ_INSERT_TAIL(&d->owed, j, link);
	else
		deploy_job_free(j);
}
