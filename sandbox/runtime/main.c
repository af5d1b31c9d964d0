/* SPDX-License-Identifier: Apache-2.0 */
/* penstock-sandbox: runs compiled functions. Started by penstockd (serve) and penstock (run). */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/aot_abi.h"
#include "sandbox/runtime/run.h"
#include "sandbox/runtime/serve.h"
#include "sandbox/runtime/stack.h"

static const char usage_text[] =
	"usage: penstock-sandbox serve [--socket-fd 3] [--workers N] [--spin-us N] [--fifo]\n"
	"       penstock-sandbox run --so-fd N [--so-path FILE] [--env NAME=VALUE]... [--cpu-ms "
	"N]\n"
	"               [--memory BYTES] [--stack BYTES] [--invoke FUNCTION] -- NAME "
	"[ARGUMENT]...\n"
	"Not for people: penstockd starts it with serve, `penstock run` with run.\n";

enum {
	OPT_SOCKET = 256,
	OPT_WORKERS,
	OPT_SPIN,
	OPT_FIFO,
	OPT_SO,
	OPT_SO_PATH,
	OPT_ENV,
	OPT_CPU,
	OPT_MEMORY,
	OPT_STACK,
	OPT_INVOKE,
	OPT_REPLAY,
};

static int usage(const char *what, const char *value)
{
	if (what)
		(void)fprintf(stderr, "penstock-sandbox: %s: %s\n", what, value);
	(void)fputs(usage_text, stderr);
	return RUN_EXIT_USAGE;
}

static bool number(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *text != '-' && *ret <= most;
}

static int main_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket-fd", required_argument, NULL, OPT_SOCKET },
		{ "workers", required_argument, NULL, OPT_WORKERS },
		{ "spin-us", required_argument, NULL, OPT_SPIN },
		{ "fifo", no_argument, NULL, OPT_FIFO },
		{ 0 },
	};
	struct serve_options o = { .sock = 3, .workers = 1 };
	struct why why = { 0 };
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t v = 0;
		if (c == OPT_FIFO) {
			o.policy = POLICY_FIFO;
			continue;
		}
		uint64_t most = c == OPT_WORKERS ? SERVE_WORKERS_MAX
				: c == OPT_SPIN  ? SERVE_SPIN_US_MAX
						 : 1024;
		if (c == '?' || !number(optarg, most, &v))
			return usage("wrong option or value", argv[optind - 1]);
		if (c == OPT_SOCKET)
			o.sock = (int)v;
		else if (c == OPT_WORKERS)
			o.workers = (unsigned)v;
		else
			o.spin_us = (unsigned)v;
	}
	if (o.sock < 3 || o.workers == 0 || optind != argc)
		return usage("serve", "needs --socket-fd of at least 3, and a worker");
	int err = serve(&o, &why);
	LOG(LOG_ERR, "penstock-sandbox cannot start", F_STR("reason", why_text(&why, err)));
	return RUN_EXIT_INTERNAL;
}

/* Strings one after the other, each with its NUL. */
struct strings {
	uint8_t *p;
	size_t len;
};

static bool strings_add(struct strings *s, const char *text)
{
	size_t n = strlen(text) + 1;
	uint8_t *grown = realloc(s->p, s->len + n);
	if (!grown)
		return false;
	memcpy(grown + s->len, text, n);
	s->p = grown;
	s->len += n;
	return true;
}

static bool run_option(int c, struct run_options *o, struct strings *env)
{
	uint64_t v = 0;
	switch (c) {
	case OPT_SO:
		if (!number(optarg, 1024, &v))
			return false;
		o->so_fd = (int)v;
		return true;
	case OPT_REPLAY:
		if (!number(optarg, 1024, &v))
			return false;
		o->replay_fd = (int)v;
		return true;
	case OPT_SO_PATH:
		o->so_path = optarg;
		return true;
	case OPT_ENV:
		return strchr(optarg, '=') != NULL && strings_add(env, optarg);
	case OPT_CPU:
		if (!number(optarg, UINT32_MAX, &v))
			return false;
		o->cpu_ns = v * 1000000;
		return true;
	case OPT_MEMORY:
		if (!number(optarg, (uint64_t)AOT_PAGES_MAX * AOT_PAGE_BYTES, &v))
			return false;
		o->memory_pages = (uint32_t)(v / AOT_PAGE_BYTES);
		return true;
	case OPT_STACK:
		if (!number(optarg, STACK_BYTES_MAX, &v))
			return false;
		o->stack_bytes = (uint32_t)v;
		return true;
	case OPT_INVOKE:
		o->invoke = optarg;
		return true;
	default:
		return false;
	}
}

static int main_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "so-fd", required_argument, NULL, OPT_SO },
		{ "so-path", required_argument, NULL, OPT_SO_PATH },
		{ "env", required_argument, NULL, OPT_ENV },
		{ "cpu-ms", required_argument, NULL, OPT_CPU },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "stack", required_argument, NULL, OPT_STACK },
		{ "invoke", required_argument, NULL, OPT_INVOKE },
		{ "replay-fd", required_argument, NULL, OPT_REPLAY },
		{ 0 },
	};
	struct run_options o = { .so_fd = -1,
				 .replay_fd = -1,
				 .memory_pages = AOT_PAGES_MAX,
				 .stack_bytes = STACK_BYTES_DEFAULT };
	struct strings env = { 0 }, args = { 0 };
	int c;
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1)
		if (!run_option(c, &o, &env))
			return usage("wrong option or value", argv[optind - 1]);
	if (o.so_fd < 3 || optind == argc)
		return usage("run", "needs --so-fd of at least 3, and a name after --");
	for (int i = optind; i < argc; i++)
		if (!strings_add(&args, argv[i]))
			return RUN_EXIT_INTERNAL;
	o.env = (struct span){ env.p, env.len };
	o.args = (struct span){ args.p, args.len };
	o.invoke_args = argv + optind + 1;
	return run(&o);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "serve") == 0)
		return main_serve(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "run") == 0)
		return main_run(argc - 1, argv + 1);
	return usage(NULL, NULL);
}
