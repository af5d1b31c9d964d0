/* SPDX-License-Identifier: Apache-2.0 */
/* Who shows the outputs is told when there is something new, and what values they take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "proto/kinds.h"
#include "triggers/outputs_impl.h"

enum { WAIT_MS = 10000 };

/* ---- a kind of output ---- */

static const struct output_ops lamp_ops;
static struct output lamp = { .ops = &lamp_ops };
static atomic_bool away;

static int lamp_open(const char *target, struct span options, const void *config,
		     struct output **ret, struct why *why)
{
	(void)target, (void)options, (void)config, (void)why;
	*ret = &lamp;
	return 0;
}

static int lamp_set(struct output *o, struct span value, struct why *why)
{
	double n;
	(void)o;
	if (atomic_load(&away))
		return why_set(why, -EAGAIN, "the cable is out");
	return kind_level_parse(value, &n) ? 0 : why_set(why, -E_INVALID, "that is no level");
}

static int lamp_option(struct output *o, struct why *why)
{
	return lamp_set(o, (struct span){ (const uint8_t *)"0", 1 }, why);
}

static bool lamp_range(struct output *o, struct output_range *ret)
{
	(void)o;
	*ret = (struct output_range){ 0, 255, true };
	return !atomic_load(&away);
}

static void lamp_close(struct output *o)
{
	(void)o;
}

static const struct output_ops lamp_ops = {
	.kind = "gpio",
	.open = lamp_open,
	.set = lamp_set,
	.initial = lamp_option,
	.safe = lamp_option,
	.probe = lamp_option,
	.range = lamp_range,
	.close = lamp_close,
};

/* ---- the bench ---- */

static atomic_uint changes;

static void on_changed(void *arg)
{
	assert_ptr_equal(arg, &lamp);
	atomic_fetch_add(&changes, 1);
}

static struct trigger *bench(void)
{
	static const struct output_config config = { "lamp", "gpio", "GPIO1", "{}" };
	static const struct output_ops *const ops[] = { &lamp_ops, NULL };
	const struct outputs_options o = {
		.outputs = &config, .noutputs = 1, .changed = on_changed, .arg = &lamp
	};
	const struct trigger_sink sink = { 0 };
	struct trigger *t;
	log_set_level(LOG_ERR);
	atomic_store(&changes, 0);
	assert_int_equal(outputs_new_of(&o, ops, &sink, &t, NULL), 0);
	t->ops->start(t);
	return t;
}

static struct output_status status(struct trigger *t)
{
	struct output_status s;
	outputs_status(t, 0, &s);
	return s;
}

static void set(struct trigger *t, const char *value)
{
	uint64_t ticket;
	const struct span v = { (const uint8_t *)value, strlen(value) };
	assert_int_equal(outputs_set(t, 0, v, &ticket, NULL), 0);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		for (unsigned ms_ = 0; !(condition) && ms_ < WAIT_MS; ms_++)                       \
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000L }, NULL);          \
		if (!(condition))                                                                  \
			fail_msg("not within %d ms: %s", WAIT_MS, #condition);                     \
	} while (0)

/* ---- rules ---- */

static void each_value_set_or_refused_is_news(void **state)
{
	(void)state;
	atomic_store(&away, false);
	struct trigger *t = bench();
	UNTIL(atomic_load(&changes) == 1); /* initial */
	set(t, "1");
	UNTIL(atomic_load(&changes) == 2);
	assert_string_equal(status(t).value, "1");
	set(t, "broken");
	UNTIL(atomic_load(&changes) == 3);
	assert_int_equal(status(t).refused, 1);
	t->ops->stop(t, 1000);
	t->ops->free(t);
}

static void the_range_is_known_when_the_device_has_come(void **state)
{
	(void)state;
	atomic_store(&away, true);
	struct trigger *t = bench();
	UNTIL(status(t).detail[0] != '\0'); /* it was tried */
	assert_true(status(t).range.most == 0);
	assert_int_equal(atomic_load(&changes), 0);
	atomic_store(&away, false);
	UNTIL(atomic_load(&changes) == 1);
	assert_true(status(t).range.most == 255 && status(t).range.whole);
	atomic_store(&away, true); /* what it said is kept */
	set(t, "1");
	UNTIL(status(t).detail[0] != '\0');
	assert_true(status(t).range.most == 255);
	t->ops->stop(t, 0);
	t->ops->free(t);
}

static void nobody_is_told_after_deafen(void **state)
{
	(void)state;
	atomic_store(&away, false);
	struct trigger *t = bench();
	UNTIL(atomic_load(&changes) == 1);
	t->ops->deafen(t);
	set(t, "1");
	UNTIL(strcmp(status(t).value, "1") == 0);
	t->ops->stop(t, 1000);
	t->ops->free(t);
	assert_int_equal(atomic_load(&changes), 1);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(each_value_set_or_refused_is_news),
		cmocka_unit_test(the_range_is_known_when_the_device_has_come),
		cmocka_unit_test(nobody_is_told_after_deafen),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
