/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator has to see before a module becomes active: what it asks for and nobody granted yet. */
#include <errno.h>
#include <string.h>

#include "gateway/deploy_job.h"
#include "proto/semver.h"
#include "proto/topic.h"

static struct span span_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static bool same_text(struct span granted, struct span wanted)
{
	return granted.len == wanted.len && memcmp(granted.at, wanted.at, wanted.len) == 0;
}

struct names {
	const char *const *list;
	size_t n;
};

static bool all_granted(struct names wanted, struct names granted,
			bool (*covers)(struct span granted, struct span wanted))
{
	for (size_t i = 0; i < wanted.n; i++) {
		size_t k = 0;
		while (k < granted.n && !covers(span_of(granted.list[k]), span_of(wanted.list[i])))
			k++;
		if (k == granted.n)
			return false;
	}
	return true;
}

/* What every function gets counts as granted. */
static bool limits_granted(const struct manifest_limits *wanted, const struct manifest_limits *had)
{
	const struct manifest_limits *usual = &manifest_limits_default;
#define WITHIN(field) (wanted->field <= usual->field || wanted->field <= had->field)
	return WITHIN(memory_bytes) && WITHIN(stack_bytes) && WITHIN(output_bytes) &&
	       WITHIN(cpu_ms) && WITHIN(deadline_ms) && WITHIN(concurrency) && WITHIN(host_calls) &&
	       WITHIN(log_lines_per_s) &&
	       (wanted->criticality != CRITICALITY_HIGH || had->criticality == CRITICALITY_HIGH);
#undef WITHIN
}

bool deploy_is_granted(const struct manifest *m, const struct manifest *had)
{
#define NAMES(of, list) ((struct names){ (of)->list, (of)->n##list })
	return all_granted(NAMES(m, publish), NAMES(had, publish), topic_covers) &&
	       all_granted(NAMES(m, io), NAMES(had, io), same_text) &&
	       all_granted(NAMES(m, models), NAMES(had, models), same_text) &&
	       all_granted(NAMES(m, buckets), NAMES(had, buckets), same_text) &&
	       all_granted(NAMES(m, http), NAMES(had, http), same_text) &&
	       (had->state || !m->state) && limits_granted(&m->limits, &had->limits);
#undef NAMES
}

/* ---- the version that is there ---- */

struct before {
	struct deploy_job *j;
	struct manifest had;
	bool is_there, is_same;
	char highest[MANIFEST_VERSION_MAX + 1]; /* of all that were active; "" */
};

/* It was within this gateway's limits when it was granted; those may be lower now. */
static const struct manifest_limits any = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX,
					    UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
					    UINT32_MAX, 0 };

static int before_take(void *arg, const struct registry_function *f)
{
	struct before *b = arg;
	struct deploy_job *j = b->j;
	const struct deploy_env *env = &j->d->env;
	struct manifest had;
	b->is_there = true;
	b->is_same = strcmp(f->hash, j->hash) == 0;
	(void)snprintf(b->highest, sizeof(b->highest), "%s", f->highest_version);
	j->previous =
		json_pack("{s:i, s:s, s:s, s:o*}", "revision", (int)f->revision, "version",
			  f->version, "hash", f->hash, "manifest", deploy_sheet_of(f->manifest));
	if (f->manifest[0] != '\0' &&
	    manifest_parse(span_of(f->manifest), &any, &j->arena, &had, NULL) == 0)
		b->had = had;
	/* In quarantine, or when it could not be loaded, deploying it again is the way out. */
	j->is_unchanged = b->is_same && strcmp(f->state, "active") == 0 && env->serves &&
			  env->serves(env->load_arg, j->name);
	/* Of the same author only: whoever made them has a say in this compile (doc/adr/0013). */
	if (strcmp(f->key_id, j->key_id) == 0)
		(void)snprintf(j->objects_hash, sizeof(j->objects_hash), "%s", f->hash);
	if (j->is_unchanged) {
		j->revision = f->revision;
		j->report = strdup(f->report);
	}
	return 0;
}

/* An old module with a known hole keeps its good signature for ever. */
static int check_age(struct deploy_job *j, const struct before *b)
{
	const char *version = j->manifest.version ? j->manifest.version : "0.0.0";
	if (j->older || !semver_ok(b->highest) || semver_cmp(version, b->highest) >= 0)
		return 0;
	return why_set(&j->why, -ESTALE,
		       "version %s is older than %s, which was active here before", version,
		       b->highest);
}

/* A candidate runs beside something else. */
static int check_role(struct deploy_job *j, const struct before *b)
{
	if (j->role == PATH_ACTIVE)
		return 0;
	if (!b->is_there)
		return why_set(&j->why, -E_UNKNOWN,
			       "a %s runs beside an active version, and there is none: deploy it "
			       "as the active one",
			       deploy_mode_text(j->role));
	if (b->is_same)
		return why_set(&j->why, -E_EXISTS, "this very module is the active version");
	return 0;
}

int deploy_grant(struct deploy_job *j)
{
	struct registry *r = j->d->env.registry;
	struct before b = { .j = j, .had = { .limits = manifest_limits_default } };
	int err = registry_functions(r, j->name, before_take, &b, NULL);
	if (err < 0 && err != -E_UNKNOWN)
		return why_set(&j->why, err, "the registry cannot be read");
	err = check_role(j, &b);
	if (err < 0 || j->is_unchanged)
		return err;
	err = check_age(j, &b);
	if (err < 0)
		return err;
	err = registry_revision_next(r, j->name, &j->revision, &j->why);
	if (err < 0)
		return err;
	if (!j->granted && !deploy_is_granted(&j->manifest, &b.had))
		return why_set(&j->why, -EPERM,
			       "the manifest asks for capabilities or for more than the default "
			       "limits, and nobody granted them");
	return 0;
}
