/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plant of a fake piControl, and who resets it:
 *	picontrol-ctl FILE make CONFIG.RSC      a device, FILE, with these names
 *	picontrol-ctl FILE set NAME VALUE       what a sensor shows (outputs, too: another program)
 *	picontrol-ctl FILE get NAME
 *	picontrol-ctl FILE stop                 the bridge stops
 *	picontrol-ctl FILE reset CONFIG.RSC     it stops, reads this, runs again, and says so to who waits
 *	picontrol-ctl FILE count WHAT           reads writes sets finds resets zeroed exported armed
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/picontrol.h"

enum { RESET_US = 300000 };

static int count(const struct fake_pi *f, const char *what)
{
	const struct {
		const char *name;
		uint64_t n;
	} counts[] = { { "reads", f->reads },      { "writes", f->writes }, { "sets", f->sets },
		       { "finds", f->finds },      { "resets", f->resets }, { "zeroed", f->zeroed },
		       { "exported", f->exported } };
	uint64_t armed = 0;
	for (int h = 0; h < FAKE_OPENS; h++)
		armed += f->open[h].used && f->open[h].watchdog_ms;
	if (strcmp(what, "armed") == 0)
		return printf("%llu\n", (unsigned long long)armed), 0;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (strcmp(counts[i].name, what) == 0)
			return printf("%llu\n", (unsigned long long)counts[i].n), 0;
	}
	return 64;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	const char *verb = argv[2], *a = argc > 3 ? argv[3] : "", *b = argc > 4 ? argv[4] : "";
	bool make = strcmp(verb, "make") == 0;
	struct fake_pi *f = make ? fake_new(argv[1]) : fake_attach(argv[1]);
	if (!f) {
		perror(argv[1]);
		return 1;
	}
	if (make)
		return fake_configure(f, a) ? 0 : 1;
	if (strcmp(verb, "set") == 0)
		return fake_set(f, a, (uint32_t)strtoul(b, NULL, 0)), 0;
	if (strcmp(verb, "get") == 0)
		return printf("%u\n", fake_get(f, a)), 0;
	if (strcmp(verb, "stop") == 0)
		return fake_stop(f), 0;
	if (strcmp(verb, "count") == 0)
		return (void)fake_get(f, ""), count(f, a); /* looks at watchdogs, too */
	if (strcmp(verb, "reset") != 0)
		return 64;
	fake_stop(f);
	if (!fake_configure(f, a))
		return 1;
	(void)usleep(RESET_US);
	fake_run(f);
	return 0;
}
