/* SPDX-License-Identifier: Apache-2.0 */
/* Where deploys come from: uploads, the registry at start, a switch to another revision. */
#include <errno.h>
#include <string.h>

#include "base/child.h"
#include "base/own.h"
#include "gateway/deploy_job.h"

int deployer_new(const struct deploy_env *env, struct deployer **ret, struct why *why)
{
	struct deployer *d = calloc(1, sizeof(*d));
	if (!d)
		return why_set(why, -ENOMEM, "out of memory");
	OWN_FREE char *compiler = child_sibling("penstock-aot", why);
	if (!compiler) {
		free(d);
		return -ENOENT;
	}
	d->env = *env;
	TAILQ_INIT(&d->jobs);
	TAILQ_INIT(&d->owed);
	seal_compiler_id(compiler, d->compiler);
	seal_cpu_id(d->cpu);
	(void)uv_timer_init(env->loop, &d->tick);
	d->tick.data = d;
	*ret = d;
	return 0;
}

void deployer_stop(struct deployer *d)
{
	struct deploy_job *j, *next;
	if (!d || d->stopping)
		return;
	d->stopping = true;
	uv_close((uv_handle_t *)&d->tick, NULL);
	for (j = TAILQ_FIRST(&d->jobs); j; j = next) {
		next = TAILQ_NEXT(j, link);
		if (j->is_working)
			continue; /* its thread cannot be stopped; worked() ends it */
		if (j->compile) {
			compile_cancel(j->compile);
			j->compile = NULL;
		}
		deploy_job_over(j, why_set(&j->why, -E_GONE, "the gateway is stopping"));
	}
}

void deployer_free(struct deployer *d)
{
	struct deploy_job *j;
	if (!d)
		return;
	deployer_stop(d);
	while ((j = TAILQ_FIRST(&d->owed)) != NULL) {
		TAILQ_REMOVE(&d->owed, j, link);
		deploy_job_free(j);
	}
	free(d);
}

/* A job for what the registry has; not in the list yet. NULL: out of memory. */
static struct deploy_job *job_of_row(struct deployer *d, const struct registry_function *f)
{
	struct deploy_job *j = deploy_job_new(d);
	if (!j)
		return NULL;
	j->kind = DEPLOY_RESTORE;
	j->revision = f->revision;
	j->is_reactor = f->is_reactor;
	(void)snprintf(j->name, sizeof(j->name), "%s", f->name);
	(void)snprintf(j->hash, sizeof(j->hash), "%s", f->hash);
	(void)snprintf(j->key_id, sizeof(j->key_id), "%s", f->key_id);
	j->manifest_json = arena_strndup(&j->arena, f->manifest, strlen(f->manifest));
	if (j->manifest_json)
		return j;
	deploy_job_free(j);
	return NULL;
}

int deploy_restore_row(void *arg, const struct registry_function *f)
{
	struct deploy_job *j = job_of_row(arg, f);
	if (!j)
		return -ENOMEM;
	deploy_begin(j);
	return 0;
}

struct candidate {
	struct deployer *d;
	const struct registry_rollout *rollout;
};

static int restore_candidate_row(void *arg, const struct registry_function *f)
{
	const struct candidate *c = arg;
	struct deploy_job *j = job_of_row(c->d, f);
	if (!j)
		return -ENOMEM;
	j->role = strcmp(c->rollout->mode, "shadow") == 0 ? PATH_SHADOW : PATH_CANARY;
	j->percent = c->rollout->percent;
	deploy_begin(j);
	return 0;
}

static int restore_candidate(void *arg, const struct registry_rollout *o)
{
	struct candidate c = { arg, o };
	return registry_version(c.d->env.registry, o->name, o->revision, restore_candidate_row, &c,
				NULL);
}

int deployer_restore(struct deployer *d, struct why *why)
{
	/* Candidates come behind the versions beside which they run. */
	int err = registry_functions(d->env.registry, NULL, deploy_restore_row, d, why);
	if (err == 0)
		err = registry_rollouts(d->env.registry, NULL, restore_candidate, d, why);
	return err == -ENOMEM ? why_set(why, err, "out of memory") : err;
}

bool deployer_uses(const struct deployer *d, const char *hash)
{
	const struct deploy_job *j;
	TAILQ_FOREACH(j, &d->jobs, link)
	{
		/* Before that it has no hash, and no files either. */
		if (j->stage > DEPLOY_CHECK && strcmp(j->hash, hash) == 0)
			return true;
	}
	return false;
}

void deployer_forget(struct deployer *d, const char *hash)
{
	if (registry_hash_used(d->env.registry, hash) || deployer_uses(d, hash))
		return;
	store_remove(d->env.store, hash);
	seal_remove(d->env.seal, hash);
}

static int take_key(void *arg, const struct registry_key *k)
{
	struct deploy_job *j = arg;
	struct sig_public *more = realloc(j->keys, (j->nkeys + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	j->keys = more;
	j->keys[j->nkeys++] = k->public;
	return 0;
}

static int room_for(struct deployer *d, size_t len, struct why *why)
{
	if (d->stopping)
		return why_set(why, -E_GONE, "the gateway is stopping");
	if (d->uploads >= DEPLOY_WAITING_MAX ||
	    d->upload_bytes + len > DEPLOY_WAITING_FULL * d->env.config->module_bytes)
		return why_set(why, -E_LIMIT, "%u deploys with %zu bytes are under way already",
			       d->uploads, d->upload_bytes);
	return 0;
}

/* Somebody waits for it. */
static void begin_for(struct deploy_job *j, deploy_done *done, void *arg)
{
	j->done = done;
	j->arg = arg;
	j->d->uploads++;
	j->d->upload_bytes += j->len;
	deploy_begin(j);
}

int deploy_start(struct deployer *d, const struct deploy_request *r, deploy_done *done, void *arg,
		 struct why *why)
{
	struct deploy_job *j = deploy_job_new(d);
	if (!j) {
		free(r->wasm);
		return why_set(why, -ENOMEM, "out of memory");
	}
	j->wasm = r->wasm;
	j->len = r->len;
	j->granted = r->granted;
	j->older = r->older;
	j->role = r->role;
	j->percent = r->percent;
	int err = 0;
	if (r->name && *r->name && !manifest_name_ok(r->name))
		err = deploy_name_refused(r->name, why);
	else if (r->role != PATH_ACTIVE && (r->percent < 1 || r->percent > 100))
		err = why_set(why, -EINVAL, "a candidate gets 1 to 100 percent of the events");
	if (err == 0)
		err = room_for(d, r->len, why);
	if (err == 0)
		err = registry_keys(d->env.registry, NULL, take_key, j, why);
	if (err < 0) {
		deploy_job_free(j);
		return err;
	}
	(void)snprintf(j->name, sizeof(j->name), "%s", r->name ? r->name : "");
	begin_for(j, done, arg);
	return 0;
}

struct wanted {
	struct deployer *d;
	struct deploy_job *job;
};

static int switch_row(void *arg, const struct registry_function *f)
{
	struct wanted *w = arg;
	w->job = job_of_row(w->d, f);
	return w->job ? 0 : -ENOMEM;
}

static int job_of_revision(struct deployer *d, const char *name, unsigned revision,
			   struct deploy_job **ret, struct why *why)
{
	struct wanted w = { d, NULL };
	struct registry *r = d->env.registry;
	int err = room_for(d, 0, why);
	if (err == 0 && revision == 0)
		err = registry_version_before(r, name, &revision, why);
	if (err == 0)
		err = registry_version(r, name, revision, switch_row, &w, why);
	*ret = w.job;
	return err == -ENOMEM ? why_set(why, err, "out of memory") : err;
}

int deploy_switch(struct deployer *d, const char *name, unsigned revision, deploy_done *done,
		  void *arg, struct why *why)
{
	struct deploy_job *j;
	int err = job_of_revision(d, name, revision, &j, why);
	if (err < 0)
		return err;
	j->kind = DEPLOY_SWITCH;
	begin_for(j, done, arg);
	return 0;
}

int deploy_aside(struct deployer *d, const char *name, unsigned revision, deploy_done *done,
		 void *arg, struct why *why)
{
	struct deploy_job *j;
	int err = job_of_revision(d, name, revision, &j, why);
	if (err < 0)
		return err;
	j->kind = DEPLOY_ASIDE;
	j->role = PATH_ASIDE;
	begin_for(j, done, arg);
	return 0;
}
