/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a deploy that take time or wait for the disk; they run on worker threads. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/deploy_job.h"
#include "gateway/file.h"

static struct manifest_limits limits_most(const struct config *c)
{
	return (struct manifest_limits){
		.memory_bytes = c->memory_bytes,
		.stack_bytes = c->stack_bytes,
		.output_bytes = c->output_bytes,
		.cpu_ms = c->cpu_ms,
		.deadline_ms = c->deadline_ms,
		.events_per_s = manifest_limits_most.events_per_s,
		.concurrency = manifest_limits_most.concurrency,
		.host_calls = manifest_limits_most.host_calls,
		.log_lines_per_s = manifest_limits_most.log_lines_per_s,
	};
}

static int manifest_take(struct deploy_job *j, struct span json, struct why *why)
{
	j->manifest_json = arena_strndup(&j->arena, (const char *)json.at, json.len);
	return j->manifest_json ? 0 : why_set(why, -ENOMEM, "out of memory");
}

/* Uploaded bytes: nothing in them is believed before the signature over all of them is good. */
static int check_upload(struct deploy_job *j, const struct deploy_env *env)
{
	const struct span wasm = { j->wasm, j->len };
	const struct manifest_limits most = limits_most(env->config);
	struct span json = { (const uint8_t *)"", 0 };
	size_t key = 0;
	struct sig_seen seen[SIG_SIGNATURES_MAX];
	size_t nseen = 0;
	int err = sig_verify(wasm, j->keys, j->nkeys, &key, &j->why);
	if (err == -E_SIGNATURE && sig_list(wasm, seen, ARRAY_LEN(seen), &nseen, NULL) < 0 &&
	    nseen == 0)
		j->hint = "penstock sign FILE.wasm --key NAME.key";
	if (err < 0)
		return err;
	sig_key_id(&j->keys[key], j->key_id);
	store_hash(wasm, j->hash);
	err = manifest_from_module(wasm, &most, &j->arena, &j->manifest, &json, &j->why);
	if (err == 0)
		err = manifest_take(j, json, &j->why);
	if (err == 0)
		err = file_memfd(wasm, "penstock-wasm", &j->wasm_fd, &j->why);
	return err;
}

/* From the registry: sealed code, or else the module to compile again. */
static int check_stored(struct deploy_job *j, const struct deploy_env *env,
			const struct seal_id *id)
{
	const struct manifest_limits most = limits_most(env->config);
	const struct span json = { (const uint8_t *)j->manifest_json, strlen(j->manifest_json) };
	struct why miss = { 0 };
	int err = 0;
	if (json.len > 0)
		err = manifest_parse(json, &most, &j->arena, &j->manifest, &j->why);
	else
		manifest_default(&most, &j->manifest);
	if (err < 0)
		return err;
	err = seal_get(env->seal, id, &j->so_fd, &miss);
	j->is_cached = err == 0;
	if (err == 0)
		return 0;
	LOG(err == -E_SIGNATURE ? LOG_WARN : LOG_NOTE, "no usable native code, compiling again",
	    F_STR("function", j->name), F_STR("reason", miss.text), F_ERR(err));
	return store_get(env->store, j->hash, env->config->module_bytes, &j->wasm_fd, &j->why);
}

void deploy_check(struct deploy_job *j, const struct deploy_env *env, const struct seal_id *id)
{
	j->err = j->kind == DEPLOY_UPLOAD ? check_upload(j, env) : check_stored(j, env, id);
	free(j->wasm);
	j->wasm = NULL;
}

/* ---- objects: without them all is compiled, so nothing here fails a deploy ---- */

/* Into a file that the compiler can write; what the seal gives never changes. */
static int copy_objects(int from, int to, struct why *why)
{
	struct stat st;
	off_t at = 0;
	if (fstat(from, &st) < 0)
		return why_set(why, -errno, "cannot be read: %s", strerror(errno));
	while (at < st.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return why_set(why, n < 0 ? -errno : -EIO, "cannot be copied");
	}
	return 0;
}

void deploy_take_objects(struct deploy_job *j, const struct deploy_env *env,
			 const struct seal_id *id)
{
	struct why why = { 0 };
	OWN_FD sealed = -1;
	j->objects_fd = memfd_create("penstock-objects", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (j->objects_fd < 0 || id->hash[0] == '\0')
		return;
	int err = seal_get(env->seal, id, &sealed, &why);
	if (err == 0)
		err = copy_objects(sealed, j->objects_fd, &why);
	j->has_objects = err == 0;
	if (err == 0 || err == -ENOENT)
		return;
	own_fd_close(&j->objects_fd); /* half a copy, perhaps */
	j->objects_fd = memfd_create("penstock-objects", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	LOG(LOG_INFO, "objects of the version before are not used", F_STR("function", j->name),
	    F_STR("reason", why.text), F_ERR(err));
}

/* The compiler is gone, but what it may have left running is not to change the file below our eyes. */
static void keep_objects(const struct deploy_job *j, const struct deploy_env *env,
			 const struct seal_id *code)
{
	struct seal_id id = *code;
	struct stat st;
	struct why why = { 0 };
	id.kind = SEAL_OBJECTS;
	if (j->objects_fd < 0 || fstat(j->objects_fd, &st) < 0 || st.st_size == 0)
		return;
	int err = file_memfd_seal(j->objects_fd, "penstock-objects", &why);
	if (err == 0)
		err = seal_put(env->seal, &id, j->objects_fd, &why);
	if (err < 0)
		LOG(LOG_INFO, "objects for the next version are not kept",
		    F_STR("function", j->name), F_STR("reason", why.text), F_ERR(err));
}

void deploy_keep(struct deploy_job *j, const struct deploy_env *env, const struct seal_id *id)
{
	struct span wasm;
	if (j->kind == DEPLOY_UPLOAD) {
		j->err = file_map(j->wasm_fd, env->config->module_bytes, &wasm, &j->why);
		if (j->err == 0) {
			j->err = store_put(env->store, j->hash, wasm, &j->why);
			file_unmap(wasm);
		}
	}
	if (j->err == 0)
		j->err = seal_put(env->seal, id, j->so_fd, &j->why);
	if (j->err == 0)
		keep_objects(j, env, id);
}
