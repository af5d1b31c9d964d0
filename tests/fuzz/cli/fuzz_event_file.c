/* SPDX-License-Identifier: Apache-2.0 */
/* A file for penstock run --replay; what is taken is taken by the sandbox, too, and its walks end. */
#include "cli/event_file.h"

static void ignore(void *arg, const char *what, struct span then, struct span now)
{
	(void)arg;
	ENSURE(what[0] && then.len <= OUTCOME_SHOWN && now.len <= OUTCOME_SHOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_file f;
	struct kept_event e;
	struct ipc_state_tell tell;
	const struct ipc_state_ask q = { .key = { (const uint8_t *)"count", 5 } };
	struct why why = { 0 };
	if (event_file_parse((struct span){ data, size }, &f, &why) == 0) {
		ENSURE(kept_event_parse(bytes_span(&f.packed), &e, NULL) == 0);
		(void)!told_find(&e.told, &q, &tell);
		ENSURE(outcome_compare(&e.outcome, &e.outcome, ignore, NULL) == 0);
	} else {
		ENSURE(why.text[0] != '\0');
	}
	event_file_fini(&f);
	return 0;
}
