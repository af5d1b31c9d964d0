/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a deploy on the loop; deploy_work.c does what takes time. */
#include "gateway/deploy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "base/own.h"
#include "gateway/deploy_job.h"
#include "gateway/wall.h"

static void advance(struct deployer *d);
static void on_checked(uv_work_t *w, int status);
static void on_kept(uv_work_t *w, int status);

static struct seal_id seal_id_of(const struct deploy_job *j)
{
	return (struct seal_id){ j->hash, j->d->compiler, j->d->cpu, SEAL_CODE };
}

/* ---- worker threads ---- */

static void check_on_thread(uv_work_t *w)
{
	struct deploy_job *j = w->data;
	const struct seal_id id = seal_id_of(j);
	deploy_check(j, &j->d->env, &id);
}

static void take_on_thread(uv_work_t *w)
{
	struct deploy_job *j = w->data;
	const struct seal_id id = { j->objects_hash, j->d->compiler, j->d->cpu, SEAL_OBJECTS };
	deploy_take_objects(j, &j->d->env, &id);
}

static void keep_on_thread(uv_work_t *w)
{
	struct deploy_job *j = w->data;
	const struct seal_id id = seal_id_of(j);
	deploy_keep(j, &j->d->env, &id);
}

static void work_start(struct deploy_job *j, enum deploy_stage stage, uv_work_cb work,
		       uv_after_work_cb after)
{
	j->stage = stage;
	j->is_working = true;
	ENSURE(uv_queue_work(j->d->env.loop, &j->work, work, after) == 0);
}

/* True when the job goes on. */
static bool worked(struct deploy_job *j)
{
	j->is_working = false;
	if (j->d->stopping)
		j->err = why_set(&j->why, -E_GONE, "the gateway is stopping");
	if (j->err == 0)
		return true;
	deploy_job_over(j, j->err);
	return false;
}

/* ---- CHECK -> TURN ---- */

int deploy_name_refused(const char *name, struct why *why)
{
	return why_set(why, -E_INVALID,
		       "\"%.80s\" is no function name: 1 to %d of a-z, 0-9, - and _, a letter or "
		       "digit first",
		       name, MANIFEST_NAME_MAX);
}

/* An upload's name is known only now, unless the caller gave one. */
static int name_take(struct deploy_job *j)
{
	const char *name = j->name[0] != '\0' || !j->manifest.name ? j->name : j->manifest.name;
	if (*name == '\0')
		return why_set(&j->why, -E_INVALID,
			       "the module has no manifest that names it: give a name (?name=, "
			       "penstock deploy --name), or add a manifest when signing");
	if (!manifest_name_ok(name))
		return deploy_name_refused(name, &j->why);
	if (name != j->name)
		(void)snprintf(j->name, sizeof(j->name), "%s", name);
	return 0;
}

static void on_checked(uv_work_t *w, int status)
{
	struct deploy_job *j = w->data;
	struct deployer *d = j->d;
	(void)status;
	if (worked(j)) {
		j->stage = DEPLOY_TURN;
		int err = name_take(j);
		if (err < 0)
			deploy_job_over(j, err);
	}
	advance(d);
}

/* ---- TURN -> TAKE -> SLOT, or LOAD ---- */

/* A restore has it from the registry, an upload from what CHECK finds. */
static bool knows_its_name(const struct deploy_job *j)
{
	return j->kind != DEPLOY_UPLOAD || j->stage >= DEPLOY_TURN;
}

/* One job per name beyond TURN; who came first goes first. */
static bool is_its_turn(const struct deploy_job *j)
{
	const struct deploy_job *i;
	bool before = true;
	if (j->stage != DEPLOY_TURN)
		return false;
	TAILQ_FOREACH(i, &j->d->jobs, link)
	{
		if (i == j)
			before = false;
		else if (strcmp(i->name, j->name) == 0 &&
			 (i->stage > DEPLOY_TURN || (before && knows_its_name(i))))
			return false;
	}
	return true;
}

static void load(struct deploy_job *j);

static void on_taken(uv_work_t *w, int status)
{
	struct deploy_job *j = w->data;
	struct deployer *d = j->d;
	(void)status;
	if (worked(j))
		j->stage = DEPLOY_SLOT;
	advance(d);
}

static void turn(struct deploy_job *j)
{
	int err = j->kind == DEPLOY_UPLOAD ? deploy_grant(j) : 0;
	if (err < 0 || j->is_unchanged)
		deploy_job_over(j, err);
	else if (j->is_cached)
		load(j);
	else if (j->d->env.config->reuse_objects)
		work_start(j, DEPLOY_TAKE, take_on_thread, on_taken);
	else
		j->stage = DEPLOY_SLOT;
}

/* ---- SLOT -> COMPILE -> KEEP ---- */

static void objects_drop(struct deploy_job *j)
{
	own_fd_close(&j->objects_fd);
	j->objects_fd = -1;
}

/* Whether a module compiles is never for old objects to say. True: it is tried again without them. */
static bool try_without_objects(struct deploy_job *j, int err, const struct why *why)
{
	if (!j->has_objects)
		return false;
	LOG(LOG_INFO, "compiling again without the objects of the version before",
	    F_STR("function", j->name), F_STR("reason", why_text(why, err)), F_ERR(err));
	j->has_objects = false;
	objects_drop(j);
	j->stage = DEPLOY_SLOT;
	return true;
}

static void on_compiled(void *arg, const struct compile_result *r)
{
	struct deploy_job *j = arg;
	struct deployer *d = j->d;
	d->compiling--;
	j->compile = NULL;
	if (r->err < 0 && try_without_objects(j, r->err, r->why)) {
		free(r->report);
		advance(d);
		return;
	}
	j->so_fd = r->so_fd;
	j->report = r->report;
	j->compile_ms = r->wall_ms;
	if (r->err < 0) {
		deploy_job_over(j, why_set(&j->why, r->err, "%s", why_text(r->why, r->err)));
	} else {
		json_t *report = json_loads(r->report, JSON_ALLOW_NUL, NULL);
		j->is_reactor = json_is_true(json_object_get(report, "is_reactor"));
		/* One alone changes with whatever the module changes. */
		if (json_integer_value(json_object_get(report, "chunks")) < 2)
			objects_drop(j);
		json_decref(report);
		work_start(j, DEPLOY_KEEP, keep_on_thread, on_kept);
	}
	advance(d);
}

static void compile(struct deploy_job *j)
{
	struct deployer *d = j->d;
	int err = compile_start(d->env.loop, j->wasm_fd, j->objects_fd, on_compiled, j, &j->compile,
				&j->why);
	if (err < 0) {
		deploy_job_over(j, err);
		return;
	}
	j->stage = DEPLOY_COMPILE;
	d->compiling++;
}

static void on_kept(uv_work_t *w, int status)
{
	struct deploy_job *j = w->data;
	struct deployer *d = j->d;
	(void)status;
	if (worked(j))
		load(j);
	advance(d);
}

/* ---- LOAD -> RECORD ---- */

/* Trust may have been taken back while we compiled. */
static int ignore_key(void *arg, const struct registry_key *k)
{
	(void)arg;
	(void)k;
	return 0;
}

/* A restore is for the version that the registry has; meanwhile that may be another, or none. */
static int same_version(void *arg, const struct registry_function *f)
{
	struct deploy_job *j = arg;
	j->is_superseded = f->revision != j->revision || strcmp(f->hash, j->hash) != 0;
	return 0;
}

static int same_candidate(void *arg, const struct registry_rollout *o)
{
	struct deploy_job *j = arg;
	j->is_superseded = o->revision != j->revision || strcmp(o->state, "running") != 0;
	return 0;
}

static bool is_wanted(struct deploy_job *j)
{
	if (j->kind != DEPLOY_RESTORE) {
		int err = registry_keys(j->d->env.registry, j->key_id, ignore_key, NULL, NULL);
		if (err == -E_UNKNOWN)
			err = why_set(&j->why, -E_TRUST, "key %s is not trusted any more",
				      j->key_id);
		j->err = err;
		return err == 0;
	}
	if (j->role == PATH_ACTIVE) {
		j->err = registry_functions(j->d->env.registry, j->name, same_version, j, &j->why);
		j->is_superseded |= j->err == -E_UNKNOWN;
	} else {
		j->is_superseded = true; /* unless there is a row that says otherwise */
		j->err = registry_rollouts(j->d->env.registry, j->name, same_candidate, j, &j->why);
	}
	if (j->err == 0 && j->is_superseded)
		j->err = why_set(&j->why, -E_UNKNOWN, "another version took its place");
	return j->err == 0;
}

struct hashes {
	size_t n;
	char hash[REGISTRY_VERSIONS_MAX][REGISTRY_HASH_TEXT];
};

static int hash_take(void *arg, const struct registry_function *f)
{
	struct hashes *h = arg;
	if (h->n < ARRAY_LEN(h->hash))
		(void)snprintf(h->hash[h->n++], REGISTRY_HASH_TEXT, "%s", f->hash);
	return 0;
}

static int record_upload(struct deploy_job *j)
{
	struct registry *r = j->d->env.registry;
	struct hashes before = { 0 };
	const struct registry_rollout rollout = {
		.mode = deploy_mode_text(j->role),
		.percent = j->percent,
		.started_wall_ms = wall_ms(),
	};
	const struct registry_function f = {
		.name = j->name,
		.version = j->manifest.version ? j->manifest.version : "0.0.0",
		.revision = j->revision,
		.hash = j->hash,
		.key_id = j->key_id,
		.is_reactor = j->is_reactor,
		.manifest = j->manifest_json,
		.report = j->report,
		.deployed_wall_ms = rollout.started_wall_ms,
	};
	/* The oldest version goes with this one; so do its files. */
	int err = registry_versions(r, j->name, hash_take, &before, &j->why);
	if (err == 0)
		err = j->role == PATH_ACTIVE ? registry_function_put(r, &f, &j->why)
					     : registry_candidate_put(r, &f, &rollout, &j->why);
	for (size_t i = 0; err == 0 && i < before.n; i++)
		deployer_forget(j->d, before.hash[i]);
	return err;
}

static int record(struct deploy_job *j)
{
	struct registry *r = j->d->env.registry;
	switch (j->kind) {
	case DEPLOY_UPLOAD:
		return record_upload(j);
	case DEPLOY_SWITCH:
		return registry_activate(r, j->name, j->revision, wall_ms(), &j->why);
	case DEPLOY_RESTORE:
	case DEPLOY_ASIDE:
		break; /* it is there */
	}
	return 0;
}

/* The sandbox has the new revision, but the registry does not: what it has goes back. */
static void take_back(struct deploy_job *j)
{
	struct deployer *d = j->d;
	if (d->stopping || j->role == PATH_ASIDE) /* nobody uses it: it goes by itself */
		return;
	if (j->role != PATH_ACTIVE)
		(void)d->env.unload_candidate(d->env.load_arg, j->name);
	else if (registry_functions(d->env.registry, j->name, deploy_restore_row, d, NULL) < 0)
		(void)d->env.unload(d->env.load_arg, j->name);
}

static void on_loaded(void *arg, int err, const char *why)
{
	struct deploy_job *j = arg;
	struct deployer *d = j->d;
	j->is_loading = false;
	if (j->stage == DEPLOY_OVER) { /* whoever asked was told that it failed */
		TAILQ_REMOVE(&d->owed, j, link);
		if (err == 0 && j->kind != DEPLOY_RESTORE)
			take_back(j);
		deploy_job_free(j);
		advance(d);
		return;
	}
	if (err < 0) {
		err = why_set(&j->why, err, "the sandbox cannot load it: %s", why ? why : "?");
		if (err == -E_LIMIT)
			j->hint = "raise `limits.memory` in its manifest, and sign it again";
	} else if ((err = record(j)) < 0) {
		take_back(j);
	}
	deploy_job_over(j, err);
	advance(d);
}

static void on_tick(uv_timer_t *t)
{
	struct deployer *d = t->data;
	struct deploy_job *j, *next;
	bool waiting = false;
	for (j = TAILQ_FIRST(&d->jobs); j; j = next) {
		next = TAILQ_NEXT(j, link);
		if (j->stage != DEPLOY_LOAD)
			continue;
		waiting = true;
		if (uv_now(d->env.loop) >= j->load_by_ms)
			deploy_job_over(j, why_set(&j->why, -E_GONE,
						   "the sandbox did not answer within %d s",
						   DEPLOY_LOAD_MS / 1000));
	}
	if (!waiting)
		(void)uv_timer_stop(t);
	advance(d);
}

static void load(struct deploy_job *j)
{
	struct deployer *d = j->d;
	const struct path_function f = {
		.name = j->name,
		.revision = j->revision,
		.so_fd = j->so_fd,
		.limits = j->manifest.limits,
		.publish = j->manifest.publish,
		.npublish = j->manifest.npublish,
		.outputs = j->manifest.io,
		.noutputs = j->manifest.nio,
		.state = j->manifest.state,
		.buckets = j->manifest.buckets,
		.nbuckets = j->manifest.nbuckets,
		.is_reactor = j->is_reactor,
		.role = j->role,
		.percent = j->percent,
	};
	j->stage = DEPLOY_LOAD;
	if (!is_wanted(j)) {
		deploy_job_over(j, j->err);
		return;
	}
	j->load_by_ms = uv_now(d->env.loop) + DEPLOY_LOAD_MS;
	j->is_loading = true;
	int err = d->env.load(d->env.load_arg, &f, on_loaded, j, &j->why);
	if (err < 0) {
		j->is_loading = false;
		deploy_job_over(j, err);
	} else if (!uv_is_active((uv_handle_t *)&d->tick)) {
		(void)uv_timer_start(&d->tick, on_tick, 1000, 1000);
	}
}

/* ---- everything that waits ---- */

/* Moves one job that waits for its turn or for a compiler. False: none can move. */
static bool advance_one(struct deployer *d)
{
	struct deploy_job *j;
	TAILQ_FOREACH(j, &d->jobs, link)
	{
		if (is_its_turn(j)) {
			turn(j);
			return true;
		}
		if (j->stage == DEPLOY_SLOT && d->compiling < DEPLOY_COMPILES_MAX) {
			compile(j);
			return true;
		}
	}
	return false;
}

static void advance(struct deployer *d)
{
	while (!d->stopping && advance_one(d))
		;
}

void deploy_begin(struct deploy_job *j)
{
	TAILQ_INSERT_TAIL(&j->d->jobs, j, link);
	work_start(j, DEPLOY_CHECK, check_on_thread, on_checked);
}
