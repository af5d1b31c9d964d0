/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs before devices that take what they are told to, are away, refuse, or take their time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/kinds.h"
#include "tests/unit/triggers/guard_program.h"
#include "triggers/outputs_impl.h"

enum { LAMPS = 3, SAID_BYTES = 4096, WAIT_MS = 10000, TOKENS = 1000 };

/* ---- a device ---- */

struct lamp {
	struct output base;
	bool used;
	atomic_bool away;
	atomic_bool slow;          /* waits until it is not */
	atomic_int calls;          /* begun */
	atomic_int file;           /* what the guard writes to; -1: none */
	pthread_mutex_t lock;      /* of what follows */
	char said[SAID_BYTES + 8]; /* "i 1 0 s": initial, set 1, set 0, safe */
};

static struct lamp lamps[LAMPS];

static void pause_ms(unsigned ms)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

static int say(struct output *o, const char *what, size_t n, struct why *why)
{
	struct lamp *l = (struct lamp *)o;
	atomic_fetch_add(&l->calls, 1);
	while (atomic_load(&l->slow))
		pause_ms(1);
	if (atomic_load(&l->away))
		return why_set(why, -EAGAIN, "the cable is out");
	(void)pthread_mutex_lock(&l->lock);
	size_t len = strlen(l->said);
	if (len + n + 1 < SAID_BYTES)
		(void)snprintf(l->said + len, sizeof(l->said) - len, "%.*s ", (int)n, what);
	(void)pthread_mutex_unlock(&l->lock);
	return 0;
}

static int lamp_set(struct output *o, struct span value, struct why *why)
{
	double n;
	if (span_eq(value, "broken"))
		return why_set(why, -EIO, "it smokes");
	if (!kind_level_parse(value, &n))
		return why_set(why, -E_INVALID, "that is no level");
	return say(o, (const char *)value.at, value.len, why);
}

static int lamp_initial(struct output *o, struct why *why)
{
	return say(o, "i", 1, why);
}

static int lamp_safe(struct output *o, struct why *why)
{
	return say(o, "s", 1, why);
}

static int lamp_probe(struct output *o, struct why *why)
{
	return atomic_load(&((struct lamp *)o)->away) ? why_set(why, -EAGAIN, "gone") : 0;
}

static void lamp_close(struct output *o)
{
	((struct lamp *)o)->used = false;
}

static int lamp_open(const char *target, struct span options, const void *config,
		     struct output **ret, struct why *why)
{
	(void)options;
	(void)config;
	if (strcmp(target, "none") == 0)
		return why_set(why, -E_INVALID, "there can be no such lamp");
	for (size_t i = 0; i < LAMPS; i++) {
		if (lamps[i].used)
			continue;
		lamps[i].used = true;
		*ret = &lamps[i].base;
		return 0;
	}
	return -ENOMEM;
}

/* The second lamp's kind makes a mistake. */
static bool lamp_guard(struct output *o, struct guard_action *ret)
{
	struct lamp *l = (struct lamp *)o;
	ret->verb = GUARD_WRITE;
	ret->fd = atomic_load(&l->file);
	ret->length = l == &lamps[1] ? GUARD_BYTES_MAX + 1 : 1;
	ret->bytes[0] = 's';
	return ret->fd >= 0;
}

static const struct output_ops lamp_ops = {
	.kind = "gpio",
	.open = lamp_open,
	.set = lamp_set,
	.initial = lamp_initial,
	.safe = lamp_safe,
	.probe = lamp_probe,
	.guard = lamp_guard,
	.close = lamp_close,
};

/* ---- the outbox's side ---- */

static struct {
	pthread_mutex_t lock;
	unsigned n;
	uint64_t token[TOKENS];
	const char *refused[TOKENS];
} acks = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_acknowledged(void *arg, uint64_t token, const char *refused)
{
	(void)arg;
	(void)pthread_mutex_lock(&acks.lock);
	assert_true(acks.n < TOKENS);
	acks.token[acks.n] = token;
	acks.refused[acks.n++] = refused;
	(void)pthread_mutex_unlock(&acks.lock);
}

static bool acked(unsigned n)
{
	(void)pthread_mutex_lock(&acks.lock);
	bool there = acks.n >= n;
	(void)pthread_mutex_unlock(&acks.lock);
	return there;
}

/* ---- the bench ---- */

static const struct output_config config[LAMPS] = {
	{ "lamp", "gpio", "GPIO1", "{}" },
	{ "pump", "gpio", "GPIO2", "{}" },
	{ "heater", "gpio", "GPIO3", "{\"safe\":\"1\"}" },
};
static const struct output_ops *const ops[] = { &lamp_ops, NULL };

static struct trigger *bench_new(const char *guard)
{
	const struct outputs_options o = { .outputs = config,
					   .noutputs = LAMPS,
					   .guard_program = guard };
	const struct trigger_sink sink = { .acknowledged = on_acknowledged };
	struct trigger *t;
	struct why why = { 0 };
	log_set_level(LOG_ERR);
	for (size_t i = 0; i < LAMPS; i++) {
		lamps[i].base.ops = &lamp_ops;
		lamps[i].away = lamps[i].slow = false;
		lamps[i].calls = 0;
		lamps[i].file = -1;
		lamps[i].said[0] = '\0';
		(void)pthread_mutex_init(&lamps[i].lock, NULL);
	}
	acks.n = 0;
	assert_int_equal(outputs_new_of(&o, ops, &sink, &t, &why), 0);
	return t;
}

static struct trigger *bench(void)
{
	struct trigger *t = bench_new(NULL);
	t->ops->start(t);
	return t;
}

static bool said(unsigned lamp, const char *what)
{
	(void)pthread_mutex_lock(&lamps[lamp].lock);
	bool is = strcmp(lamps[lamp].said, what) == 0;
	(void)pthread_mutex_unlock(&lamps[lamp].lock);
	return is;
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		for (unsigned ms_ = 0; !(condition) && ms_ < WAIT_MS; ms_++)                       \
			pause_ms(1);                                                               \
		if (!(condition))                                                                  \
			fail_msg("not within %d ms: %s (said \"%s\")", WAIT_MS, #condition,        \
				 lamps[0].said);                                                   \
	} while (0)

static struct trigger_message message(const char *topic, const char *value, const char *function,
				      uint64_t token)
{
	return (struct trigger_message){ .topic = { (const uint8_t *)topic, strlen(topic) },
					 .payload = { (const uint8_t *)value, strlen(value) },
					 .function = function,
					 .token = token };
}

static void put(struct trigger *t, const char *topic, const char *value, const char *function)
{
	const struct trigger_message m = message(topic, value, function, 0);
	assert_int_equal(t->ops->publish(t, &m, 1), 0);
}

static void send(struct trigger *t, const char *topic, const char *value, const char *function,
		 uint64_t token)
{
	const struct trigger_message m = message(topic, value, function, token);
	assert_int_equal(t->ops->send(t, &m), 0);
}

static void end(struct trigger *t)
{
	t->ops->stop(t, 1000);
	t->ops->free(t);
}

static struct output_status status_of(struct trigger *t, unsigned i)
{
	struct output_status s;
	outputs_status(t, i, &s);
	return s;
}

/* ---- rules ---- */

static void values_are_set_in_order_between_initial_and_safe(void **state)
{
	(void)state;
	struct trigger *t = bench();
	UNTIL(said(0, "i "));
	for (unsigned i = 0; i < 20; i++)
		send(t, "$output/lamp", i % 2 ? "0" : "1", "f", i + 1);
	UNTIL(acked(20));
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(acks.token[i], i + 1);
		assert_null(acks.refused[i]);
	}
	struct output_status s = status_of(t, 0);
	assert_string_equal(s.value, "0");
	assert_string_equal(s.function, "f");
	assert_true(s.ok);
	end(t);
	assert_true(said(0, "i 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 s "));
	assert_true(said(1, "i s "));
}

static int seen_of(struct trigger *t, unsigned i, uint64_t look, struct why *why)
{
	int err = 1;
	UNTIL(outputs_looked(t, i, look, &err, why));
	return err;
}

static void doctor_does_not_wait_for_a_device(void **state)
{
	(void)state;
	struct trigger *t = bench();
	struct why why = { 0 };
	int err;
	UNTIL(said(0, "i ") && said(1, "i "));
	atomic_store(&lamps[0].slow, true);
	send(t, "$output/lamp", "1", "f", 1);
	UNTIL(atomic_load(&lamps[0].calls) == 2);
	uint64_t look = outputs_look(t);
	pause_ms(20);
	assert_false(outputs_looked(t, 1, look, &err, &why));
	atomic_store(&lamps[0].slow, false);
	assert_int_equal(seen_of(t, 1, look, &why), 0);
	assert_int_equal(seen_of(t, 0, look, &why), 0);
	assert_false(outputs_looked(t, 0, look + 1, &err, &why));
	end(t);
}

static void one_that_is_away_gets_the_newest_and_the_others_go_on(void **state)
{
	(void)state;
	struct trigger *t = bench();
	struct why why = { 0 };
	UNTIL(said(0, "i "));
	atomic_store(&lamps[0].away, true);
	send(t, "$output/lamp", "1", "f", 1);
	UNTIL(!status_of(t, 0).ok);
	assert_non_null(strstr(status_of(t, 0).detail, "cable"));
	assert_int_equal(seen_of(t, 0, outputs_look(t), &why), -EAGAIN);
	assert_string_equal(why.text, "gone");
	for (unsigned i = 2; i <= 5; i++)
		send(t, "$output/lamp", i == 5 ? "7" : "0", "f", i);
	put(t, "$output/pump", "1", "f");
	UNTIL(said(1, "i 1 "));
	UNTIL(acked(4)); /* those that were replaced */
	assert_true(status_of(t, 0).waits);
	assert_int_equal(status_of(t, 0).replaced, 4);
	atomic_store(&lamps[0].away, false);
	UNTIL(said(0, "i 7 "));
	UNTIL(acked(5));
	assert_int_equal(acks.token[4], 5);
	UNTIL(status_of(t, 0).ok && !status_of(t, 0).waits);
	assert_string_equal(status_of(t, 0).detail, "");
	end(t);
}

static void a_value_that_makes_no_sense_is_refused_and_said(void **state)
{
	static const struct {
		const char *topic, *value;
		bool ok; /* the device is fine */
	} bad[] = {
		{ "$output/lamp", "nonsense", true }, { "$output/lamp", "", true },
		{ "$output/lamp", "broken", false },  { "$output/nothing", "1", false },
		{ "$output/", "1", false },           { "lamp", "1", false },
	};
	(void)state;
	struct trigger *t = bench();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		send(t, bad[i].topic, bad[i].value, "f", i + 1);
		UNTIL(acked((unsigned)i + 1));
		assert_non_null(acks.refused[i]);
		if (i < 3)
			assert_int_equal(status_of(t, 0).ok, bad[i].ok);
	}
	assert_int_equal(status_of(t, 0).refused, 3);
	send(t, "$output/lamp", "1", "f", 9);
	UNTIL(said(0, "i 1 "));
	UNTIL(status_of(t, 0).ok);
	end(t);
}

static void too_long_a_value_is_refused(void **state)
{
	char value[OUTPUT_VALUE_MAX + 2];
	(void)state;
	struct trigger *t = bench();
	memset(value, '1', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	const struct trigger_message m = message("$output/lamp", value, "f", 0);
	assert_int_equal(t->ops->publish(t, &m, 1), -E_INVALID);
	send(t, "$output/lamp", value, "f", 1);
	UNTIL(acked(1));
	assert_non_null(acks.refused[0]);
	end(t);
	assert_true(said(0, "i s "));
}

static void of_several_messages_all_or_none_are_taken(void **state)
{
	(void)state;
	struct trigger *t = bench();
	UNTIL(said(0, "i "));
	const struct trigger_message m[] = { message("$output/lamp", "1", "f", 0),
					     message("$output/nothing", "1", "f", 0) };
	assert_int_equal(t->ops->publish(t, m, 2), -E_INVALID);
	end(t);
	assert_true(said(0, "i s "));
}

/* Pulses that come faster than the device takes them: bounded, and the last one counts. */
static void a_line_that_is_too_long_keeps_the_newest(void **state)
{
	(void)state;
	struct trigger *t = bench();
	UNTIL(said(0, "i "));
	atomic_store(&lamps[0].slow, true);
	int before = atomic_load(&lamps[0].calls);
	send(t, "$output/lamp", "2", "f", 1);
	UNTIL(atomic_load(&lamps[0].calls) > before);
	for (unsigned i = 0; i <= OUTPUT_LINE_MAX; i++)
		send(t, "$output/lamp", i == OUTPUT_LINE_MAX ? "9" : "3", "f", i + 2);
	assert_int_equal(status_of(t, 0).replaced, OUTPUT_LINE_MAX);
	atomic_store(&lamps[0].slow, false);
	UNTIL(said(0, "i 2 9 "));
	UNTIL(acked(OUTPUT_LINE_MAX + 2));
	end(t);
}

static void what_a_quarantined_function_set_goes_to_its_safe_state(void **state)
{
	(void)state;
	struct trigger *t = bench();
	put(t, "$output/lamp", "1", "bad");
	put(t, "$output/pump", "1", "bad");
	put(t, "$output/pump", "1", "good");
	put(t, "$output/heater", "0", "bad");
	UNTIL(said(0, "i 1 ") && said(1, "i 1 1 ") && said(2, "i 0 "));
	UNTIL(strcmp(status_of(t, 2).function, "bad") == 0);
	for (unsigned i = 0; i < 3; i++) /* at each tick of the gateway */
		outputs_release(t, "bad");
	UNTIL(said(0, "i 1 s ") && said(2, "i 0 s "));
	UNTIL(strcmp(status_of(t, 2).value, "1") == 0); /* its option safe */
	assert_string_equal(status_of(t, 2).function, "");
	outputs_release(t, "bad");
	pause_ms(20);
	assert_true(said(1, "i 1 1 ")); /* another function has set it since */
	assert_true(said(0, "i 1 s "));
	put(t, "$output/lamp", "1", "good");
	UNTIL(said(0, "i 1 s 1 "));
	end(t);
}

static void what_of_a_quarantined_function_waits_is_not_set(void **state)
{
	(void)state;
	struct trigger *t = bench();
	put(t, "$output/lamp", "1", "good");
	UNTIL(strcmp(status_of(t, 0).function, "good") == 0);
	atomic_store(&lamps[0].away, true);
	send(t, "$output/lamp", "2", "bad", 1);
	UNTIL(!status_of(t, 0).ok);
	outputs_release(t, "bad");
	UNTIL(acked(1));
	atomic_store(&lamps[0].away, false);
	put(t, "$output/lamp", "3", "good");
	UNTIL(said(0, "i 1 3 "));
	end(t);
}

static void one_that_is_just_setting_is_made_safe_behind_it(void **state)
{
	(void)state;
	struct trigger *t = bench();
	UNTIL(said(0, "i "));
	atomic_store(&lamps[0].slow, true);
	int before = atomic_load(&lamps[0].calls);
	put(t, "$output/lamp", "1", "bad");
	UNTIL(atomic_load(&lamps[0].calls) > before);
	put(t, "$output/lamp", "2", "bad");
	outputs_release(t, "bad");
	atomic_store(&lamps[0].slow, false);
	UNTIL(said(0, "i 1 s "));
	end(t);
}

static void what_has_a_token_is_left_to_the_outbox_at_the_end(void **state)
{
	(void)state;
	struct trigger *t = bench_new(NULL); /* not started: nothing is set before the end */
	send(t, "$output/lamp", "1", "f", 1);
	put(t, "$output/pump", "1", "f");
	t->ops->start(t);
	t->ops->stop(t, 1000);
	t->ops->free(t);
	/* By the time of stop the thread may have set it, and then it was acknowledged or is set again. */
	assert_true(said(1, "i 1 s "));
	assert_true(said(0, "i s ") || said(0, "i 1 s "));
}

static void by_hand_a_ticket_says_when_it_is_over(void **state)
{
	uint64_t ticket;
	unsigned i;
	struct why why = { 0 };
	(void)state;
	struct trigger *t = bench();
	assert_int_equal(outputs_find(t, (struct span){ (const uint8_t *)"pump", 4 }, &i, &why), 0);
	assert_int_equal(outputs_set(t, i, (struct span){ (const uint8_t *)"1", 1 }, &ticket, &why),
			 0);
	UNTIL(status_of(t, i).ended >= ticket);
	assert_true(status_of(t, i).ended_refused < ticket);
	assert_string_equal(status_of(t, i).value, "1");
	assert_int_equal(outputs_set(t, i, (struct span){ (const uint8_t *)"x", 1 }, &ticket, &why),
			 0);
	UNTIL(status_of(t, i).ended >= ticket);
	assert_int_equal(status_of(t, i).ended_refused, ticket);
	assert_int_equal(outputs_find(t, (struct span){ (const uint8_t *)"pum", 3 }, &i, &why),
			 -E_UNKNOWN);
	end(t);
}

static void an_output_that_makes_no_sense_says_why(void **state)
{
	static const struct output_config bad[] = {
		{ "lamp", "gpio", "none", "{}" },
		{ "lamp", "modbus", "plc/1/coil/1", "{}" }, /* not built in */
	};
	const struct trigger_sink sink = { .acknowledged = on_acknowledged };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct outputs_options o = { .outputs = &bad[i], .noutputs = 1 };
		struct trigger *t;
		struct why why = { 0 };
		assert_int_equal(outputs_new_of(&o, ops, &sink, &t, &why), 0);
		t->ops->start(t);
		UNTIL(!status_of(t, 0).ok && status_of(t, 0).detail[0] != '\0');
		end(t);
	}
}

/* A gateway that ends without a goodbye; its first guard was killed. Its exit code: 0. */
static void live_and_die(int file)
{
	struct trigger *t = bench_new(guard_program());
	pid_t first = guard_pid();
	atomic_store(&lamps[0].file, file); /* the device comes */
	atomic_store(&lamps[1].file, file);
	t->ops->start(t);
	put(t, "$output/lamp", "1", "f");
	UNTIL(said(0, "i 1 "));
	assert_true(first > 0 && kill(first, SIGKILL) == 0);
	UNTIL(guard_pid() > 0 && guard_pid() != first);
	put(t, "$output/lamp", "2", "f");
	UNTIL(said(0, "i 1 2 "));
	_exit(0);
}

static char first_byte(int fd)
{
	char c = 0;
	return pread(fd, &c, 1, 0) == 1 ? c : 0;
}

static void a_guard_that_died_is_replaced_and_told_all(void **state)
{
	int status = -1;
	(void)state;
#if __has_feature(thread_sanitizer)
	skip(); /* it needs more than the guard's jail allows */
#endif
	int file = memfd_create("brightness", MFD_CLOEXEC);
	assert_int_equal(write(file, "1", 1), 1);
	pid_t pid = fork();
	if (pid == 0)
		live_and_die(file);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	UNTIL(first_byte(file) == 's');
	(void)close(file);
}

/* Many threads at once: for ThreadSanitizer. */
static void *busy(void *arg)
{
	struct trigger *t = arg;
	for (unsigned i = 0; i < 200; i++) {
		put(t, "$output/lamp", i % 2 ? "1" : "0", i % 3 ? "f" : "g");
		if (i % 10 == 0)
			outputs_release(t, "g");
		(void)status_of(t, 0);
	}
	return NULL;
}

static void any_thread_may_set_release_and_look(void **state)
{
	pthread_t thread[4];
	(void)state;
	struct trigger *t = bench();
	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, busy, t), 0);
	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		(void)pthread_join(thread[i], NULL);
	UNTIL(!status_of(t, 0).waits);
	end(t);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(values_are_set_in_order_between_initial_and_safe),
		cmocka_unit_test(doctor_does_not_wait_for_a_device),
		cmocka_unit_test(one_that_is_away_gets_the_newest_and_the_others_go_on),
		cmocka_unit_test(a_value_that_makes_no_sense_is_refused_and_said),
		cmocka_unit_test(too_long_a_value_is_refused),
		cmocka_unit_test(of_several_messages_all_or_none_are_taken),
		cmocka_unit_test(a_line_that_is_too_long_keeps_the_newest),
		cmocka_unit_test(what_a_quarantined_function_set_goes_to_its_safe_state),
		cmocka_unit_test(what_of_a_quarantined_function_waits_is_not_set),
		cmocka_unit_test(one_that_is_just_setting_is_made_safe_behind_it),
		cmocka_unit_test(what_has_a_token_is_left_to_the_outbox_at_the_end),
		cmocka_unit_test(by_hand_a_ticket_says_when_it_is_over),
		cmocka_unit_test(an_output_that_makes_no_sense_says_why),
		cmocka_unit_test(a_guard_that_died_is_replaced_and_told_all),
		cmocka_unit_test(any_thread_may_set_release_and_look),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
