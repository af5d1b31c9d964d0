/* SPDX-License-Identifier: Apache-2.0 */
/* Inside deploy: one module on its way. */
#ifndef GATEWAY_DEPLOY_JOB_H
#define GATEWAY_DEPLOY_JOB_H

#include <sys/queue.h>

#include "base/arena.h"
#include "gateway/compile.h"
#include "gateway/deploy.h"

enum deploy_stage {
	DEPLOY_CHECK,
	DEPLOY_TURN,
	DEPLOY_TAKE,
	DEPLOY_SLOT,
	DEPLOY_COMPILE,
	DEPLOY_KEEP,
	DEPLOY_LOAD,
	DEPLOY_OVER,
};

struct deploy_job {
	struct deployer *d;
	TAILQ_ENTRY(deploy_job) link;
	enum deploy_stage stage;
	enum deploy_kind {
		DEPLOY_UPLOAD,
		DEPLOY_RESTORE, /* at start; done is NULL then */
		DEPLOY_SWITCH,  /* to another revision of the registry's */
		DEPLOY_ASIDE,   /* another revision, for repetitions */
	} kind;
	bool is_cached;     /* not UPLOAD: the sealed code was good */
	bool is_superseded; /* RESTORE: the registry has another version by now, or none */
	bool granted, older;
	enum path_role role;
	unsigned percent;
	bool is_unchanged; /* upload: this very module is the active version, and serves */
	deploy_done *done;
	void *arg;

	/* what came in, and what CHECK found */
	uint8_t *wasm; /* until CHECK has made wasm_fd of it */
	size_t len;
	struct sig_public *keys;
	size_t nkeys;
	char name[MANIFEST_NAME_MAX + 1]; /* "" until known */
	char hash[REGISTRY_HASH_TEXT];
	char key_id[SIG_KEY_ID_TEXT];
	struct arena arena;
	struct manifest manifest; /* strings in the arena */
	char *manifest_json;      /* as stored; "" without the section; in the arena */
	unsigned revision;
	bool is_reactor;

	/* on the way */
	int wasm_fd, so_fd;
	int objects_fd;   /* for --objects: a memfd, not sealed yet; -1: without */
	bool has_objects; /* there are some in it, of an earlier version */
	char objects_hash[REGISTRY_HASH_TEXT]; /* of that version's module; "" = of none */
	char *report;
	uint64_t compile_ms;
	json_t *previous;
	struct compile *compile;
	uv_work_t work;
	bool is_working;     /* work is with the thread pool */
	bool is_loading;     /* the sandbox owes us an answer */
	uint64_t load_by_ms; /* uv_now() */
	int err;
	struct why why;
	const char *hint; /* literal, or NULL */
};

struct deployer {
	struct deploy_env env;
	char compiler[SEAL_TEXT_MAX], cpu[SEAL_TEXT_MAX];
	TAILQ_HEAD(deploy_list, deploy_job) jobs; /* in order of arrival */
	struct deploy_list owed;                  /* over, but the sandbox still owes them a call */
	unsigned compiling, uploads;
	size_t upload_bytes;
	bool stopping;
	uv_timer_t tick; /* runs while a job waits for the sandbox */
};

struct deploy_job *deploy_job_new(struct deployer *d) MUST_USE; /* NULL: out of memory */
void deploy_job_free(struct deploy_job *j);
/* "canary" or "shadow", as the registry has it; "aside"; "" for the active one. */
const char *deploy_mode_text(enum path_role role);
/* At its turn: finds the version before it. -EPERM: somebody has to grant what is new;
 * -ESTALE: a newer one was active once. */
int deploy_grant(struct deploy_job *j) MUST_USE;
/* Does m ask for no more than `had` was granted, or than everyone gets? */
bool deploy_is_granted(const struct manifest *m, const struct manifest *had);

/* Puts it in line and starts it. */
void deploy_begin(struct deploy_job *j);
int deploy_name_refused(const char *name, struct why *why);
/* arg: the deployer. A restore of what a row has. */
int deploy_restore_row(void *arg, const struct registry_function *f);

/* The only end of a job: tells who asked, or the log. Whoever calls it lets the next ones advance
 * afterwards, and touches j no more. */
void deploy_job_over(struct deploy_job *j, int err);

/* Worker threads: touch only the job, and of the deployer only what never changes. */
void deploy_check(struct deploy_job *j, const struct deploy_env *env, const struct seal_id *id);
void deploy_take_objects(struct deploy_job *j, const struct deploy_env *env,
			 const struct seal_id *id);
void deploy_keep(struct deploy_job *j, const struct deploy_env *env, const struct seal_id *id);

#endif
