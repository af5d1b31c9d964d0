/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured: of one function as JSON, of all for Prometheus. */
#include <errno.h>
#include <stdlib.h>

#include "base/own.h"
#include "gateway/api/request.h"

void api_function_metrics(struct api_request *q)
{
	json_t *metrics = path_function_metrics(q->g->path, q->arg);
	struct why why = { 0 };
	if (metrics)
		request_reply(q, 200, metrics);
	else
		request_fail(
			q, why_set(&why, -E_UNKNOWN, "no function \"%s\" is at work here", q->arg),
			&why);
}

void api_metrics(struct api_request *q)
{
	size_t len = 0;
	OWN_FREE char *text = path_metrics_text(q->g->path, &len);
	struct why why = { 0 };
	if (text)
		request_reply_text(q, "text/plain; version=0.0.4; charset=utf-8",
				   (struct span){ (const uint8_t *)text, len });
	else
		request_fail(q, why_set(&why, -ENOMEM, "out of memory"), &why);
}
