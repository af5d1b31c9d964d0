/* SPDX-License-Identifier: Apache-2.0 */
/* penstockd: start-up as a table of steps, then the loop, then everything back in reverse. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/api/api.h"
#include "gateway/backup.h"
#include "gateway/binding_read.h"
#include "gateway/file_bindings.h"
#include "gateway/gateway.h"
#include "gateway/wall.h"

#ifndef PENSTOCK_ETC
#define PENSTOCK_ETC "/etc/penstock"
#endif

enum { EXIT_USAGE = 64, EXIT_NOFILE = 66, LOGS_BYTES = 1 << 20 };

struct options {
	const char *config_file; /* NULL: the default, when it is there */
	bool check_config;
	const char *restore_file;
	bool force;
};

/* ---- steps of the start ---- */

static int state_dir_open(struct gateway *g, struct why *why)
{
	const char *dir = g->config.state_dir;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return why_set(why, -errno, "cannot create state_dir %s: %s", dir, strerror(errno));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_set(why, -errno, "cannot open state_dir %s: %s", dir, strerror(errno));
	/* Keys and modules are in it: nobody else's business, also when a package made it wider. */
	if (fchmod(fd, 0700) < 0) {
		int err = why_set(why, -errno, "cannot set the mode of state_dir %s: %s", dir,
				  strerror(errno));
		(void)close(fd);
		return err;
	}
	g->lock_fd = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	(void)close(fd);
	if (g->lock_fd < 0)
		return why_set(why, -errno, "cannot open %s/lock: %s", dir, strerror(errno));
	if (flock(g->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return why_set(why, -errno,
			       "another gateway uses the state directory %s: stop it, or give this "
			       "one another state_dir",
			       dir);
	return 0;
}

static int restored_check(struct gateway *g, struct why *why)
{
	backup_sweep(g->config.state_dir);
	return backup_unfinished(g->config.state_dir, why);
}

static int runtime_open(struct gateway *g, struct why *why)
{
	const char *dir = g->config.runtime_dir;
	if (mkdir(dir, 0700) == 0)
		(void)chmod(dir, 0755); /* who may use the socket is the socket's mode */
	else if (errno != EEXIST)
		return why_set(why, -errno, "cannot create runtime_dir %s: %s", dir,
			       strerror(errno));
	return 0;
}

static int logs_open(struct gateway *g, struct why *why)
{
	enum log_level level;
	if (!log_level_parse(g->config.log_level, &level))
		return why_set(why, -E_CONFIG,
			       "log_level \"%s\" is none of error, warning, "
			       "notice, info, debug",
			       g->config.log_level);
	int err = logs_new(LOGS_BYTES, &g->logs, why);
	if (err < 0)
		return err;
	log_set_level(level);
	log_set_sink(logs_sink, g->logs);
	return 0;
}

static int registry_start(struct gateway *g, struct why *why)
{
	return registry_open(g->config.state_dir, &g->registry, why);
}

static bool keep_module(void *arg, const char *hash)
{
	struct gateway *g = arg;
	bool keep = registry_hash_used(g->registry, hash);
	if (!keep)
		seal_remove(g->seal, hash);
	return keep;
}

static int keys_open(struct gateway *g, struct why *why)
{
	int err = sig_init();
	if (err < 0)
		return why_set(why, err, "libsodium does not start");
	err = seal_open(g->config.state_dir, &g->seal, why);
	if (err == 0)
		err = store_open(g->config.state_dir, &g->store, why);
	if (err == 0)
		store_sweep(g->store, keep_module, g);
	return err;
}

static void on_signal(uv_signal_t *s, int signum)
{
	LOG(LOG_NOTE, "stopping", F_STR("signal", strsignal(signum)));
	uv_stop(s->loop);
}

static void on_hangup(uv_signal_t *s, int signum)
{
	struct gateway *g = s->data;
	struct file_reload done;
	struct why why = { 0 };
	(void)signum;
	int err = file_reload(g, &done, &why);
	if (err < 0)
		LOG(LOG_ERR, "the configuration makes no sense and stays as it was",
		    F_STR("reason", why_text(&why, err)), F_ERR(err));
}

static int loop_open(struct gateway *g, struct why *why)
{
	static const struct {
		int signum;
		uv_signal_cb then;
	} signals[] = { { SIGTERM, on_signal }, { SIGINT, on_signal }, { SIGHUP, on_hangup } };
	int err = uv_loop_init(&g->loop);
	g->has_loop = err == 0;
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(signals); i++) {
		err = uv_signal_init(&g->loop, &g->signals[i]);
		if (err < 0)
			break;
		g->nsignals++;
		g->signals[i].data = g;
		err = uv_signal_start(&g->signals[i], signals[i].then, signals[i].signum);
		uv_unref((uv_handle_t *)&g->signals[i]);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	return err < 0 ? why_set(why, err, "event loop: %s", uv_strerror(err)) : 0;
}

static int path_start(struct gateway *g, struct why *why)
{
	return path_new(&g->config, &g->loop, &g->path, why);
}

static int load(void *arg, const struct path_function *f, path_loaded *done, void *done_arg,
		struct why *why)
{
	struct gateway *g = arg;
	return path_function_put(g->path, f, done, done_arg, why);
}

static int unload(void *arg, const char *name)
{
	struct gateway *g = arg;
	return path_function_remove(g->path, name);
}

static bool serves(void *arg, const char *name)
{
	struct gateway *g = arg;
	json_t *known = path_function_counts(g->path, name);
	const char *state = json_string_value(json_object_get(known, "state"));
	bool active = state && strcmp(state, "active") == 0;
	json_decref(known);
	return active;
}

static int unload_candidate(void *arg, const char *name)
{
	struct gateway *g = arg;
	return path_candidate_remove(g->path, name);
}

/* The dispatcher has logged it. */
static void on_rollout_end(void *arg, const char *function, unsigned revision, const char *reason)
{
	struct gateway *g = arg;
	struct why why = { 0 };
	if (registry_rollout_end(g->registry, function, reason, wall_ms(), &why) < 0)
		LOG(LOG_ERR, "the end of a candidate cannot be stored", F_STR("function", function),
		    F_U64("revision", revision), F_STR("reason", why.text));
}

static int functions_restore(struct gateway *g, struct why *why)
{
	const struct deploy_env env = {
		.config = &g->config,
		.loop = &g->loop,
		.registry = g->registry,
		.seal = g->seal,
		.store = g->store,
		.load = load,
		.unload = unload,
		.unload_candidate = unload_candidate,
		.serves = serves,
		.load_arg = g,
	};
	path_on_rollout_end(g->path, on_rollout_end, g);
	int err = deployer_new(&env, &g->deployer, why);
	return err < 0 ? err : deployer_restore(g->deployer, why);
}

/* A binding that makes no sense any more (a broker that left the configuration) stays in the
 * registry and is logged: it must not keep the others from working. */
static int binding_restore(void *arg, const struct registry_binding *b)
{
	struct gateway *g = arg;
	struct why why = { 0 };
	const struct path_binding p = path_binding_of(b);
	int err = path_binding_put(g->path, &p, &why);
	if (err < 0)
		LOG(LOG_ERR, "binding cannot be restored", F_U64("binding", b->id),
		    F_STR("function", b->function), F_STR("reason", why_text(&why, err)),
		    F_ERR(err));
	return 0;
}

static int bindings_restore(struct gateway *g, struct why *why)
{
	int err = registry_bindings(g->registry, NULL, binding_restore, g, why);
	file_bindings_start(g);
	return err;
}

static int api_start(struct gateway *g, struct why *why)
{
	return api_new(g, &g->api, why);
}

/* Paths come from outside up to "config"; the registry is checked before anything starts that would
 * act on it; bindings come before brokers have connected, so nothing is missed. */
static const struct {
	const char *name;
	int (*run)(struct gateway *g, struct why *why);
} boot[] = {
	{ "state directory", state_dir_open },
	{ "restored state", restored_check },
	{ "runtime directory", runtime_open },
	{ "log", logs_open },
	{ "registry", registry_start },
	{ "keys", keys_open },
	{ "loop", loop_open },
	{ "event path", path_start },
	{ "functions", functions_restore },
	{ "bindings", bindings_restore },
	{ "api", api_start },
};

static int boot_all(struct gateway *g)
{
	struct why why = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(boot); i++) {
		int err = boot[i].run(g, &why);
		if (err < 0) {
			LOG(LOG_ERR, "start-up failed", F_STR("step", boot[i].name),
			    F_STR("reason", why_text(&why, err)), F_ERR(err));
			return err;
		}
	}
	return 0;
}

/* ---- the end ---- */

/* In the order in which nobody is called any more by somebody who is gone. */
static void shut_down(struct gateway *g)
{
	deployer_stop(g->deployer);
	api_stop(g->api);
	path_free(g->path);
	for (unsigned i = 0; i < g->nsignals; i++)
		uv_close((uv_handle_t *)&g->signals[i], NULL);
	if (g->has_loop)
		(void)uv_run(&g->loop, UV_RUN_DEFAULT);
	deployer_free(g->deployer);
	api_free(g->api);
	if (g->has_loop && uv_loop_close(&g->loop) < 0)
		LOG(LOG_WARN, "the loop still had handles at the end");
	store_close(g->store);
	seal_close(g->seal);
	registry_close(g->registry);
	log_set_sink(NULL, NULL);
	logs_free(g->logs);
	if (g->lock_fd >= 0)
		(void)close(g->lock_fd);
	file_bindings_free(g);
	if (g->has_config)
		config_fini(&g->config);
}

static void started_say(const struct gateway *g)
{
	char socket[PATH_MAX];
	unsigned with_url = 0;
	(void)snprintf(socket, sizeof(socket), "%s/penstock.sock", g->config.runtime_dir);
	LOG(LOG_NOTE, "started", F_STR("version", PENSTOCK_VERSION),
	    F_U64("start_ms", (uv_hrtime() - g->started_ns) / 1000000), F_STR("socket", socket));
	for (unsigned i = 0; i < g->config.nbrokers; i++)
		with_url += g->config.brokers[i].url[0] != '\0';
	if (with_url == 0)
		LOG(LOG_NOTE, "no broker is configured, so no messages come",
		    F_STR("hint", "set url = tcp://HOST:1883 in [mqtt] of the configuration, and "
				  "restart"));
}

static int run(struct gateway *g)
{
	int err = boot_all(g);
	if (err == 0) {
		started_say(g);
		(void)sd_notify(0, "READY=1");
		(void)uv_run(&g->loop, UV_RUN_DEFAULT);
		(void)sd_notify(0, "STOPPING=1");
	}
	shut_down(g);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- options ---- */

static void print_usage(FILE *to)
{
	(void)fputs("usage: penstockd [--config FILE] [--check-config] [--restore FILE [--force]]\n"
		    "The Penstock gateway: runs signed WebAssembly functions on events.\n"
		    "\n"
		    "  --config FILE    read FILE and conf.d/*.conf beside it\n"
		    "                   (default " PENSTOCK_ETC "/penstock.conf, where it exists)\n"
		    "  --check-config   read the configuration, say what is wrong with it and with "
		    "the\n"
		    "                   files it names, and exit\n"
		    "  --restore FILE   put a backup (penstock backup FILE) in place of what is in "
		    "state_dir,\n"
		    "                   and exit; --force: also where a gateway's state is "
		    "already\n"
		    "  --help-config    every key of the configuration with its default\n"
		    "  --version\n"
		    "  --help\n"
		    "\n"
		    "It stays in the foreground and logs to stderr; SIGTERM stops it.\n",
		    to);
}

/* Returns the exit code when there is nothing to start, else -1. */
static int options_parse(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "restore", required_argument, NULL, 'r' },
		{ "force", no_argument, NULL, 'f' },
		{ "help-config", no_argument, NULL, 'K' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			ret->config_file = optarg;
			break;
		case 'k':
			ret->check_config = true;
			break;
		case 'r':
			ret->restore_file = optarg;
			break;
		case 'f':
			ret->force = true;
			break;
		case 'K':
			config_print_help();
			return EXIT_SUCCESS;
		case 'V':
			(void)printf("penstockd %s\n", PENSTOCK_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_usage(stdout);
			return EXIT_SUCCESS;
		default:
			print_usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "penstockd: unexpected argument \"%s\"\n", argv[optind]);
		print_usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

static int config_say(struct config *c, const char *file)
{
	struct why why = { 0 };
	int err = config_check_files(c, &why);
	if (err < 0)
		(void)fprintf(stderr, "penstockd: %s: %s\n", file, why_text(&why, err));
	else
		(void)printf("%s: ok\n", file ? file : "defaults");
	config_fini(c);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What was created belongs to whom the directory belongs to, also when root did it. */
static void hand_over_lock(struct gateway *g)
{
	struct stat st;
	if (geteuid() == 0 && stat(g->config.state_dir, &st) == 0)
		(void)!fchown(g->lock_fd, st.st_uid, st.st_gid);
}

static int restore(struct gateway *g, const struct options *o)
{
	struct why why = { 0 };
	char *aside = NULL;
	int fd = open(o->restore_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		(void)fprintf(stderr, "penstockd: %s: %s\n", o->restore_file, strerror(errno));
		return EXIT_NOFILE;
	}
	int err = sig_init();
	if (err == 0)
		err = state_dir_open(g, &why);
	if (err == 0) {
		hand_over_lock(g);
		err = backup_restore(g->config.state_dir, fd, o->force, &aside, &why);
	}
	(void)close(fd);
	if (err < 0)
		(void)fprintf(stderr, "penstockd: %s is not restored: %s\n", o->restore_file,
			      why_text(&why, err));
	else
		(void)printf("%s: restored to %s%s%s\n", o->restore_file, g->config.state_dir,
			     aside ? "; what was there lies in " : "", aside ? aside : "");
	free(aside);
	if (g->lock_fd >= 0)
		(void)close(g->lock_fd);
	config_fini(&g->config);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct gateway g; /* large; one per process */
	struct options options = { 0 };
	struct why why = { 0 };
	int code = options_parse(argc, argv, &options);
	if (code >= 0)
		return code;
	(void)umask(0077);
	g.lock_fd = -1;
	g.started_wall_ms = wall_ms();
	g.started_ns = uv_hrtime();
	if (!options.config_file && access(PENSTOCK_ETC "/penstock.conf", F_OK) == 0)
		options.config_file = PENSTOCK_ETC "/penstock.conf";
	g.config_file = options.config_file;
	int err = config_load(options.config_file, &g.config, &why);
	if (err < 0) {
		(void)fprintf(stderr, "penstockd: %s\n", why_text(&why, err));
		return EXIT_FAILURE;
	}
	g.has_config = true;
	if (options.check_config)
		return config_say(&g.config, options.config_file);
	return options.restore_file ? restore(&g, &options) : run(&g);
}
