/* SPDX-License-Identifier: Apache-2.0 */
/* Host calls with arguments and memory of the fuzzer's choice: each must end in a way that leaves
 * the task whole (done, trapped, asleep), whatever the addresses and counts. */
#include <string.h>

#include "sandbox/runtime/host.h"
#include "sandbox/runtime/hostcall.h"
#include "sandbox/runtime/worker.h"
#include "tests/unit/runtime/guest.c"

static struct worker worker;
static struct instance *instance;
static struct host host = { .output_bytes = 1 << 20 };

static void start(void)
{
	struct types *known = types_new();
	struct resolver r = hostcalls_resolver(hostcalls_new(known));
	const struct instance_limits limits = { 4, 64 << 10, 1000 };
	struct module *m;
	ENSURE(worker_signals(NULL) == 0 && worker_init(&worker, NULL) == 0);
	ENSURE(module_adopt(known, &penstock_module, &m, NULL) == 0);
	ENSURE(instance_new(m, &r, &limits, &instance, NULL) == 0);
	ENSURE(instance_populate(instance) == AOT_TRAP_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct task t;
	union aot_value v[1];
	if (!instance)
		start();
	memset(instance->aot.mem_base, 0, 4096);
	host_reset(&host);
	host.payload = (struct span){ data, size };
	task_init(&t, instance, &host);
	task_add_call(&t, F_fuzz, v);
	t.cpu_budget_ns = 100000000;
	enum task_outcome o = worker_run(&worker, &t);
	ENSURE(o <= TASK_TRAPPED && host.reply.len + host.effects.len < 2 << 20);
	return 0;
}
