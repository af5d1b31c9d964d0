/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of brokers that behave badly, ended at any moment: while they connect, wait, are thrown out. */
#include "tests/unit/triggers/bad_broker.h"

#include <stdlib.h>

/* Paho forgets an answer that comes as who waited for it gives up. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:MQTTPacket_";
}

enum { ROUNDS = 60, BACKOFF_MS = 20, NAP_MS = 80 };

struct pair {
	struct broker b;
	char url[64];
	struct trigger *t;
};

static void begin_pair(struct pair *p, unsigned *seed)
{
	static const enum manner manners[] = { SILENT, GREETS, GREETS_AND_LEAVES, GREETS_AND_LEAVES,
					       ACKNOWLEDGES };
	static const struct trigger_sink sink = { .event = on_event };
	const struct trigger_route route = { .id = 1, .filter = text("a/#"), .qos = 1 };
	const struct trigger_message m = { .topic = text("t/1"), .payload = text("x"), .qos = 1 };
	struct why why = { 0 };
	begin(&p->b, manners[(unsigned)rand_r(seed) % ARRAY_LEN(manners)]);
	struct mqtt_options o = options(p->b.port, p->url);
	o.backoff_min_ms = o.backoff_max_ms = 1 + (unsigned)rand_r(seed) % BACKOFF_MS;
	p->t = client_of(&o, &sink);
	if (rand_r(seed) % 2)
		assert_int_equal(p->t->ops->subscribe(p->t, &route, &why), 0);
	p->t->ops->start(p->t);
	if (rand_r(seed) % 2)
		assert_int_equal(p->t->ops->publish(p->t, &m, 1), 0);
}

/* Paho's one receiving thread begins and ends with them: what it uses goes when the last is gone. */
static void who_is_stopped_at_any_moment_ends_and_leaves_nothing_behind(void **state)
{
	unsigned seed = 1;
	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct pair pair[2];
		for (size_t k = 0; k < ARRAY_LEN(pair); k++)
			begin_pair(&pair[k], &seed);
		nap((unsigned)rand_r(&seed) % NAP_MS);
		uint64_t before = ms();
		for (size_t k = 0; k < ARRAY_LEN(pair); k++)
			pair[k].t->ops->stop(pair[k].t, 20);
		for (size_t k = 0; k < ARRAY_LEN(pair); k++)
			pair[k].t->ops->free(pair[k].t);
		uint64_t took = ms() - before;
		for (size_t k = 0; k < ARRAY_LEN(pair); k++)
			finish(&pair[k].b);
		assert_in_range(took, 0, WAIT_MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_stopped_at_any_moment_ends_and_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
