/* SPDX-License-Identifier: Apache-2.0 */
/* /functions/NAME/rollback, promote, candidate: which version is the active one. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/text.h"
#include "gateway/wall.h"

static int rollout_pack(void *arg, const struct registry_rollout *o)
{
	char started[WALL_TEXT], ended[WALL_TEXT];
	json_t **ret = arg;
	const struct span reason = { (const uint8_t *)o->reason, strlen(o->reason) };
	*ret = json_pack("{s:i, s:s, s:i, s:s, s:o, s:s, s:s?}", "revision", (int)o->revision,
			 "mode", o->mode, "percent", (int)o->percent, "state", o->state, "reason",
			 text_json(reason), "started_at", wall_text(o->started_wall_ms, started),
			 "ended_at", o->ended_wall_ms ? wall_text(o->ended_wall_ms, ended) : NULL);
	return 0;
}

json_t *api_rollout_json(struct gateway *g, const char *name)
{
	json_t *rollout = NULL;
	(void)registry_rollouts(g->registry, name, rollout_pack, &rollout, NULL);
	return rollout ? rollout : json_null();
}

static int running_take(void *arg, const struct registry_rollout *o)
{
	if (strcmp(o->state, "running") == 0)
		*(unsigned *)arg = o->revision;
	return 0;
}

/* -E_UNKNOWN: none runs. */
static int candidate_of(struct gateway *g, const char *name, unsigned *ret, struct why *why)
{
	*ret = 0;
	int err = registry_rollouts(g->registry, name, running_take, ret, why);
	if (err == 0 && *ret == 0)
		err = why_set(why, -E_UNKNOWN, "no candidate runs beside function \"%s\"", name);
	return err;
}

static void switch_to(struct api_request *q, int err, unsigned revision, struct why *why)
{
	if (err == 0)
		err = deploy_switch(q->g->deployer, q->arg, revision, api_on_deployed, q, why);
	if (err == -E_LIMIT)
		err = -EAGAIN;
	if (err < 0)
		request_fail(q, err, why);
}

void api_versions_rollback(struct api_request *q)
{
	struct why why = { 0 };
	uint64_t revision = 0;
	int err = query_u64(&q->query, "revision", 1, INT32_MAX, &revision, &why);
	switch_to(q, err, (unsigned)revision, &why);
}

void api_versions_promote(struct api_request *q)
{
	struct why why = { 0 };
	unsigned revision = 0;
	int err = candidate_of(q->g, q->arg, &revision, &why);
	switch_to(q, err, revision, &why);
}

void api_versions_withdraw(struct api_request *q)
{
	struct why why = { 0 };
	unsigned revision = 0;
	int err = candidate_of(q->g, q->arg, &revision, &why);
	if (err == 0)
		err = registry_rollout_end(q->g->registry, q->arg, "withdrawn", wall_ms(), &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	(void)path_candidate_remove(q->g->path, q->arg); /* -E_UNKNOWN: it was not loaded yet */
	LOG(LOG_NOTE, "candidate withdrawn", F_STR("function", q->arg),
	    F_U64("revision", revision));
	request_reply(q, 200, json_pack("{s:s, s:i}", "name", q->arg, "withdrawn", (int)revision));
}
